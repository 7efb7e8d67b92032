/**
 * What must hold at every step, whatever happens.
 *
 * @module
 */
import type { Entry } from "../../../src/cluster/bucket.ts";
import type { Lease } from "../../../src/cluster/lease.ts";
import type { Member } from "../../../src/cluster/member.ts";
import type { OwnedShard } from "../../../src/cluster/owned_shards.ts";
import type { Process } from "./process.ts";
import type { Subject } from "./subject.ts";

/** A promise of the protocol was broken. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** What one process believes to have. */
export interface Beliefs {
  readonly process: Process;
  readonly member: Member;
  readonly shards: Set<OwnedShard>;
  lease: Lease | undefined;
  /** Whether it has left, or could not join. */
  readonly isDone: boolean;
  /** Whether it waits for a lease. */
  readonly isAcquiring: boolean;
}

/** The most requests that a process may send within a second, whatever fails. */
const MAX_REQUESTS_A_SECOND = 100;
const SECOND = 1_000;

/** Watches over the promises. */
export class Invariants {
  readonly #subject: Subject;
  readonly #shardTokens = new Map<number, number>();
  readonly #stored = new Map<number, number>();
  readonly #requests = new Map<Process, number[]>();
  #leaseToken = 0;
  #leaderToken = 0;
  #violation: Violation | undefined;

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  /** Throws what was found, also inside code that would swallow it. */
  rethrow(): void {
    if (this.#violation !== undefined) throw this.#violation;
  }

  #broken(message: string): void {
    this.#violation ??= new Violation(message);
  }

  /** At every step: one holder a lease, one leader, one number of shards, one holder a shard. */
  check(all: Iterable<Beliefs>): void {
    let holder: string | undefined;
    let leader: string | undefined;
    const owners = new Map<number, string>();
    let shardCount: number | undefined;
    for (const { process, member, shards, lease } of all) {
      if (!process.isRunning) continue;
      if (lease?.isHeld) {
        if (holder !== undefined) this.#broken(`${holder} and ${process.name} hold one lease`);
        holder = process.name;
      }
      if (member.isLeader) {
        if (leader !== undefined) this.#broken(`${leader} and ${process.name} lead`);
        leader = process.name;
        this.#leaderToken = Math.max(this.#leaderToken, member.leaderToken ?? 0);
      }
      for (const shard of shards) {
        if (!shard.isHeld) {
          if (shard.signal.aborted) shards.delete(shard);
          continue;
        }
        shardCount ??= member.options.shardCount;
        if (shardCount !== member.options.shardCount) {
          this.#broken(`${process.name} holds shards of another number of shards than others`);
        }
        const other = owners.get(shard.id);
        if (other !== undefined) this.#broken(`${other} and ${process.name} hold shard ${shard.id}`);
        owners.set(shard.id, process.name);
      }
    }
    this.rethrow();
  }

  /** A process that fails waits before it tries again. */
  requested(process: Process, time: number): void {
    const recent = (this.#requests.get(process) ?? []).filter((sent) => sent > time - SECOND);
    this.#requests.set(process, [...recent, time]);
    if (recent.length >= MAX_REQUESTS_A_SECOND) {
      this.#broken(`${process.name} sends more than ${MAX_REQUESTS_A_SECOND} requests a second`);
    }
  }

  /** A process whose connection was closed for good holds nothing, waits for nothing, and has left. */
  mustHaveEnded({ process, isDone, lease, isAcquiring }: Beliefs): void {
    if (!process.isRunning) return;
    const goesOn = isAcquiring ? "waits for a lease" : lease?.isHeld ? "holds a lease" : "is a member";
    if (isDone && !isAcquiring && !lease?.isHeld) return;
    this.#broken(`${process.name} ${goesOn} after its connection was closed`);
  }

  /** Tokens of acquisitions rise, in the order of the acquisitions. */
  acquired(process: Process, lease: Lease): void {
    if (!lease.isHeld) return;
    if (lease.fencingToken <= this.#leaseToken) this.#broken(`${process.name} got an old lease token`);
    this.#leaseToken = lease.fencingToken;
  }

  gained(process: Process, shard: OwnedShard): void {
    if (!shard.isHeld) return;
    if (shard.fencingToken <= (this.#shardTokens.get(shard.id) ?? 0)) {
      this.#broken(`${process.name} got an old token for shard ${shard.id}`);
    }
    this.#shardTokens.set(shard.id, shard.fencingToken);
  }

  /** The event store took a write for an actor of the shard. */
  stored(process: string, shard: number, token: number): void {
    if (token < (this.#stored.get(shard) ?? 0)) {
      this.#broken(
        `${process} stored in shard ${shard} under token ${token} after ${this.#stored.get(shard)}`,
      );
    }
    this.#stored.set(shard, Math.max(token, this.#stored.get(shard) ?? 0));
  }

  /** The bucket took a write: the map changes only under the stamp of the leader who changes it. */
  wrote(entry: Entry, before: Entry | undefined): void {
    if (entry.key !== "map") return;
    const map = this.#subject.decodeShardMap(entry);
    const previous = this.#subject.decodeShardMap(before);
    if (map === undefined) return;
    if (previous !== undefined && map.leaderToken < previous.leaderToken) {
      this.#broken("a deposed leader wrote the map");
    }
    if (map.leaderToken < this.#leaderToken) {
      this.#broken("the map was written under the token of an earlier leader");
    }
    if (previous?.leaderToken === map.leaderToken) return;
    const text = (assignments: readonly unknown[] | undefined): string => JSON.stringify(assignments ?? []);
    const empty = map.assignments.every((assignment) => assignment === undefined);
    if (text(map.assignments) !== text(previous?.assignments) && !empty) {
      this.#broken("a leader decided before it had stamped the map");
    }
  }
}
