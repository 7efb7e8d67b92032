/**
 * The owner's side of the shard map: which shards this incarnation of a node holds, from grant to release.
 *
 * @module
 */
import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";
import type { ChangeRules } from "./broadcast.ts";
import type { HeldLease } from "./held_lease.ts";
import { LeaseLostError } from "./errors.ts";
import type { Assignment, Session, ShardMap } from "./shard_map.ts";

/**
 * A shard that this node holds.
 *
 * @category Cluster
 */
export interface OwnedShard {
  /** The shard's number. */
  readonly id: number;
  /** Higher than that of every earlier owner of the shard: hand it to the store as `fencingToken`. */
  readonly fencingToken: number;
  /**
   * Whether this node holds the shard at this very instant: ask immediately before each action. No other node holds it
   * meanwhile.
   */
  readonly isHeld: boolean;
  /** Aborts when work on the shard has to stop: it is to move, or the node has lost its lease. */
  readonly signal: AbortSignal;
  /**
   * Keeps the shard from moving on until this work is done, so that a job can be finished after the signal has
   * aborted. It does not keep it beyond the node's lease.
   *
   * @throws {InvalidArgumentError} If `work` is no promise.
   */
  waitUntil(work: Promise<unknown>): void;
}

/**
 * A shard was gained, or work on it has to stop.
 *
 * @category Cluster
 */
export interface ShardChange {
  /** `gained`: work may start. `lost`: its signal has aborted. */
  readonly type: "gained" | "lost";
  /** The shard. */
  readonly shard: OwnedShard;
}

/** What a loop that is behind still has to hear of a shard: at most that one was lost, and that another was gained. */
export const shardChangeRules: ChangeRules<ShardChange> = {
  keyOf: ({ shard }) => shard.id,
  merge(pending): readonly ShardChange[] {
    const [before, latest] = pending.slice(-2);
    const isUndone = before?.type === "gained" && latest?.type === "lost" && before.shard === latest.shard;
    return isUndone ? pending.slice(0, -2) : pending;
  },
};

class HeldShard implements OwnedShard {
  readonly id: number;
  readonly fencingToken: number;
  readonly #lease: HeldLease;
  readonly #letGo: (shard: HeldShard) => void;
  readonly #work = new Set<Promise<unknown>>();
  #controller: AbortController | undefined;
  #reason: unknown;
  #held = true;

  constructor(id: number, token: number, lease: HeldLease, letGo: (shard: HeldShard) => void) {
    this.id = id;
    this.fencingToken = token;
    this.#lease = lease;
    this.#letGo = letGo;
  }

  get isHeld(): boolean {
    return this.#held && this.#lease.isHeld;
  }

  /** Made when it is first asked for: a cluster may have thousands of shards. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get isRevoked(): boolean {
    return this.#reason !== undefined;
  }

  waitUntil(work: Promise<unknown>): void {
    if (typeof (work as Partial<typeof work> | undefined | null)?.then !== "function") {
      throw new InvalidArgumentError("work", `must be a promise, and is ${describe(work)}`);
    }
    this.#work.add(work);
    const done = (): void => {
      this.#work.delete(work);
      this.#letGoIfIdle();
    };
    Promise.resolve(work).then(done, done);
  }

  revoke(reason: unknown): void {
    if (this.isRevoked) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.#letGoIfIdle();
  }

  #letGoIfIdle(): void {
    if (!this.isRevoked || this.#work.size > 0 || !this.#held) return;
    this.#held = false;
    this.#letGo(this);
  }
}

/** The shards of one incarnation of a node. */
export class OwnedShards {
  readonly #session: Session;
  readonly #lease: HeldLease;
  readonly #onChange: (change: ShardChange) => void;
  readonly #onAnswer: () => void;
  readonly #shards = new Map<number, HeldShard>();
  readonly #idle = new Set<() => void>();
  #seen = 0;
  #closed = false;

  /**
   * Holds nothing yet.
   *
   * @param onChange Called with every shard gained and lost.
   * @param onAnswer Called when the leader waits for the present {@linkcode seen} and {@linkcode releasing}.
   */
  constructor(
    session: Session,
    lease: HeldLease,
    onChange: (change: ShardChange) => void,
    onAnswer: () => void,
  ) {
    this.#session = session;
    this.#lease = lease;
    this.#onChange = onChange;
    this.#onAnswer = onAnswer;
  }

  /** The revision of the latest map that was taken in. */
  get seen(): number {
    return this.#seen;
  }

  /** The shards that were revoked and in which work goes on. */
  get releasing(): number[] {
    return [...this.#shards.values()].filter((shard) => shard.isRevoked).map((shard) => shard.id);
  }

  /** The shards on which work may go on. */
  *active(): Generator<OwnedShard> {
    for (const shard of this.#shards.values()) if (!shard.isRevoked) yield shard;
  }

  /** A shard, if work may go on on it. */
  find(id: number): OwnedShard | undefined {
    const shard = this.#shards.get(id);
    return shard?.isRevoked ? undefined : shard;
  }

  /** Takes in a version of the map; an older one than the latest changes nothing. */
  apply(map: ShardMap | undefined, revision: number): void {
    if (revision <= this.#seen || this.#closed) return;
    this.#seen = revision;
    const mine = (assignment: Assignment | undefined): assignment is Assignment =>
      assignment?.owner.session === this.#session.session && assignment.owner.name === this.#session.name;
    let mustAnswer = map !== undefined && (map.genesis ?? revision) > this.#session.session;
    for (const shard of [...this.#shards.values()]) {
      const assignment = map?.assignments[shard.id];
      if (mine(assignment) && assignment.revokedOver === 0 && assignment.token === shard.fencingToken) {
        continue;
      }
      mustAnswer = true;
      this.#revoke(shard, new LeaseLostError(`shard.${shard.id}`, shard.fencingToken, "released"));
    }
    map?.assignments.forEach((assignment, id) => {
      if (!mine(assignment)) return;
      if (assignment.revokedOver !== 0) mustAnswer = true;
      else if (!this.#shards.has(id)) this.#gain(id, assignment.token);
    });
    if (mustAnswer) this.#onAnswer();
  }

  #gain(id: number, token: number): void {
    const shard = new HeldShard(id, token, this.#lease, (released) => {
      this.#shards.delete(released.id);
      if (this.#shards.size === 0) { for (const resolve of this.#idle) resolve(); }
      this.#onAnswer();
    });
    this.#shards.set(id, shard);
    this.#onChange({ type: "gained", shard });
  }

  #revoke(shard: HeldShard, reason: unknown): void {
    if (shard.isRevoked) return;
    shard.revoke(reason);
    this.#onChange({ type: "lost", shard });
  }

  /** Stops all work; resolves when it has stopped. */
  async close(reason: unknown): Promise<void> {
    this.#closed = true;
    for (const shard of [...this.#shards.values()]) this.#revoke(shard, reason);
    if (this.#shards.size > 0) await new Promise<void>((resolve) => this.#idle.add(resolve));
  }
}
