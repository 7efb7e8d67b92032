/**
 * The heads of actors, read and cached.
 *
 * @module
 */

import { lostTail } from "../../continuity.ts";
import { DamagedHistoryError } from "../../errors.ts";
import type { EventLog } from "../read/event_log.ts";
import type { ExpiredActors } from "../retention/expired_actors.ts";
import { type Head, headAfter, NEW_HEAD } from "./head.ts";
import type { KnownActors } from "./known_actors.ts";
import type { CommitDecoder } from "../format/commit_decoder.ts";
import type { StoredCommit } from "../format/commit_header.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";
import { Trail } from "../format/trail.ts";

/** For how long it counts that an actor has no message, in milliseconds: a command reads, decides, and saves. */
const NONE_VALIDITY = 1_000;

/** An actor's latest commit, and its head. */
export interface Latest {
  /** The message of the latest commit; `undefined` if the stream has none. */
  readonly message: StoredMessage | undefined;
  /** What it holds. */
  readonly commit: StoredCommit | undefined;
  /** How far the actor is. */
  readonly head: Head;
  /** The fault if this store has seen a later commit of the actor. */
  readonly fault: DamagedHistoryError | undefined;
}

/** What was read, and whether more was seen before. */
interface Found extends Omit<Latest, "fault"> {
  readonly isBehind: boolean;
}

/** The fault of an actor whose latest commit is not the one that was seen. */
function lostHead(actorId: string, head: Head, known: Head): DamagedHistoryError {
  if (head.version < known.version) return lostTail(actorId, head.version, known.version);
  return new DamagedHistoryError("its latest commit, which this store has seen, is missing", {
    actorId,
    version: head.version + 1,
  });
}

/** Keeps the heads of recently used actors, and reads the others. A stale head costs at most a refused commit. */
export class Heads {
  readonly #log: EventLog;
  readonly #decoder: CommitDecoder;
  readonly #expired: ExpiredActors;
  readonly #actors: KnownActors;

  /** @param actors Keeps them. */
  constructor(log: EventLog, decoder: CommitDecoder, expired: ExpiredActors, actors: KnownActors) {
    this.#log = log;
    this.#decoder = decoder;
    this.#expired = expired;
    this.#actors = actors;
  }

  /** The head as it was last seen. */
  cached(actorId: string): Head | undefined {
    return this.#actors.get(actorId)?.head;
  }

  /** All heads as they were last seen. */
  *entries(): Iterable<[string, Head]> {
    for (const { actorId, head } of this.#actors.all()) if (head) yield [actorId, head];
  }

  /** Keeps a head that was just seen. */
  set(actorId: string, head: Head): void {
    this.#log.saw(head.sequence);
    this.#actors.hold(actorId).head = head;
  }

  /**
   * Reads a head from the leader.
   *
   * @param signal Ends the wait: it rejects with the signal's reason.
   * @throws {DamagedHistoryError} If the actor's latest commit cannot be read, or is behind what this store has seen.
   */
  async read(actorId: string, signal?: AbortSignal): Promise<Head> {
    const { head, fault } = await this.latest(actorId, signal);
    if (fault) throw fault;
    return head;
  }

  /**
   * Reads an actor's latest commit from the leader. Sequences tell an older head from the present one: versions may be
   * equal, as after a `takeOver`.
   *
   * @param signal Ends the wait: it rejects with the signal's reason.
   * @param seen A head that was seen before: what is read is not older.
   * @throws {DamagedHistoryError} If it cannot be read.
   */
  async latest(actorId: string, signal?: AbortSignal, seen?: Head): Promise<Latest> {
    const cached = this.cached(actorId);
    const known = cached && cached.sequence >= (seen?.sequence ?? 0) ? cached : seen;
    const log = this.#log.until(signal);
    const { message, commit, head, isBehind } = await log.upToDate(
      async () => {
        const message = await log.lastOf(log.layout.subject(actorId));
        if (!message) return await this.#withoutMessage(log, actorId, known, signal);
        const commit = this.#read(message);
        const head = headAfter(commit);
        return { message, commit, head, isBehind: head.sequence < (known?.sequence ?? 0) };
      },
      ({ isBehind }) => isBehind,
    );
    if (known && isBehind) {
      await log.assertSame();
      return { message, commit, head, fault: lostHead(actorId, head, known) };
    }
    // What this store has saved while it read is newer than what it read.
    const current = this.cached(actorId);
    if (!current || current === cached || head.sequence >= current.sequence) this.set(actorId, head);
    if (head === NEW_HEAD) this.#actors.hold(actorId).noneUntil = performance.now() + NONE_VALIDITY;
    return { message, commit, head, fault: undefined };
  }

  /**
   * The head that an actor's last commit has left behind.
   *
   * @param commit The commit; `undefined` if the stream has none.
   * @param known The head that was cached before the commit was read.
   * @returns The head, and the fault if this store has seen a later commit.
   */
  async after(
    log: EventLog,
    actorId: string,
    commit: StoredCommit | undefined,
    known: Head | undefined,
  ): Promise<Pick<Latest, "head" | "fault">> {
    const { head, isBehind } = commit
      ? { head: headAfter(commit), isBehind: commit.sequence < (known?.sequence ?? 0) }
      : await this.#withoutMessage(log, actorId, known);
    return { head, fault: known && isBehind ? lostHead(actorId, head, known) : undefined };
  }

  /** Reads the whole commit: a version counts only if its events can be read. */
  #read(message: StoredMessage): StoredCommit {
    const commit = this.#decoder.read(message);
    if (commit instanceof DamagedHistoryError) throw commit;
    return commit;
  }

  /** The stream has nothing of the actor: it is new, or all of it has expired. */
  async #withoutMessage(
    log: EventLog,
    actorId: string,
    known: Head | undefined,
    signal?: AbortSignal,
  ): Promise<Found> {
    const none = {
      message: undefined,
      commit: undefined,
      head: NEW_HEAD,
      isBehind: known !== undefined && known.sequence > 0,
    };
    // A log that was made again has nothing of the actor either.
    const { state } = await log.info();
    // The log may have been one with a retention before it was first opened here.
    if (!log.config.expires && (state.first_seq <= 1 || none.isBehind)) return none;
    // Read after the miss: while the first message is stored, nothing has expired.
    if (await log.at(1)) return none;
    if (none.isBehind) {
      // The commits that were seen have expired, or they are lost, or this leader never had them.
      if (known!.sequence > await log.lastSequence()) return none;
      if (known!.sequence >= await log.firstSequence()) return none;
    }
    const recorded = await this.#expired.find(actorId, signal);
    const version = Math.max(recorded?.version ?? 0, known?.version ?? 0);
    const fence = Math.max(recorded?.fence ?? 0, known?.fence ?? 0);
    const head = { version, fence, sequence: 0, trail: Trail.EMPTY };
    return { message: undefined, commit: undefined, head, isBehind: false };
  }
}
