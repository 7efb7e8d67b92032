/**
 * Reading one actor's history from JetStream, its chain checked.
 *
 * @module
 */

import type { StoredEvent } from "../../../event/types.ts";
import type { HistoryRead } from "../../backend.ts";
import { follows, lastVersion, missingVersions } from "../../continuity.ts";
import { DamagedHistoryError, type HistoryFault, HistoryTruncatedError } from "../../errors.ts";
import { type JetStreamContext, until } from "../context.ts";
import { scanBackward, scanForward } from "./actor_scan.ts";
import type { Latest } from "../write/heads.ts";
import { missingBefore } from "./missing.ts";
import type { OrFault } from "../format/commit_decoder.ts";
import type { StoredCommit } from "../format/commit_header.ts";
import { Repairs } from "./repairs.ts";
import { BrokenTrail, walkTrail } from "./trail_walk.ts";

/** An actor's events, in batches. */
export function readHistory(
  context: JetStreamContext,
  actorId: string,
  read: HistoryRead,
): AsyncIterable<readonly StoredEvent[]> {
  return new HistoryReading(context, actorId, read).run();
}

/*
 * What reading a history costs, in microseconds (measured): a commit fetched by its sequence; a consumer; a commit that
 * the consumer delivers; a message that the server scans for it.
 */
const FETCH_COST = 18;
const CONSUMER_COST = 1_500;
const DELIVERY_COST = 4;
const SCAN_COST = 0.08;

/** One read in progress. */
class HistoryReading {
  readonly #context: JetStreamContext;
  readonly #repairs: Repairs;
  readonly #actorId: string;
  readonly #read: HistoryRead;
  /** The last commit that was read. */
  #last: StoredCommit | undefined;
  /** Whether the last message that was read is damaged. */
  #interrupted = false;

  constructor(context: JetStreamContext, actorId: string, read: HistoryRead) {
    this.#context = until(context, read.signal);
    this.#repairs = new Repairs(this.#context);
    this.#actorId = actorId;
    this.#read = read;
  }

  async *run(): AsyncGenerator<readonly StoredEvent[]> {
    const { heads } = this.#context;
    const { fromVersion, toVersion } = this.#read;
    let found: Latest;
    try {
      found = await heads.latest(this.#actorId, this.#read.signal);
    } catch (error) {
      if (!(error instanceof DamagedHistoryError) || !this.#read.onDamage) throw error;
      yield* this.#aroundHead(error);
      return;
    }
    const { message, commit, head, fault } = found;
    const lostTail = fault && fault.version! > fromVersion - 1 && toVersion > head.version
      ? fault
      : undefined;
    if (!message || !commit) {
      if (head.version >= fromVersion) this.#report(new HistoryTruncatedError({ actorId: this.#actorId }));
    } else if (head.version >= fromVersion) {
      if (this.#read.direction === "backward" && lostTail) this.#report(lostTail);
      const isDone = yield* this.#take(this.#commits(commit, message.bytes.length));
      if (isDone) return;
      await this.#checkBeginning();
      if (this.#read.direction === "backward") return;
    }
    if (lostTail) this.#report(lostTail);
  }

  /** What can be read of an actor whose latest commit cannot. */
  async *#aroundHead(fault: DamagedHistoryError): AsyncGenerator<readonly StoredEvent[]> {
    const { log, decoder } = this.#context;
    const isForward = this.#read.direction === "forward";
    // A message that is not a commit is reported when it is read, a missing one is reported here.
    const isMissing = fault.position === undefined;
    const to = isMissing ? await log.lastSequence() : decoder.place(fault.position!).sequence;
    if (isMissing && !isForward) this.#report(fault);
    const isDone = yield* this.#take(
      isForward
        ? scanForward(this.#context, this.#actorId, 1, to)
        : scanBackward(this.#context, this.#actorId, to),
    );
    if (isDone) return;
    await this.#checkBeginning();
    if (isMissing && isForward) this.#report(fault);
  }

  /** Takes commits in the order of the read; returns whether they include all that was asked for. */
  async *#take(
    batches: AsyncIterable<readonly OrFault<StoredCommit>[]>,
  ): AsyncGenerator<readonly StoredEvent[], boolean> {
    for await (const commits of batches) {
      let events: StoredEvent[] = [];
      let done = false;
      for (const commit of commits) {
        if (commit instanceof DamagedHistoryError && await this.#repairs.covers(commit)) continue;
        const fault = this.#check(commit);
        if (fault) {
          if (events.length > 0) yield events;
          events = [];
          this.#report(await fault);
        }
        if (!(commit instanceof DamagedHistoryError)) this.#add(commit.events, events);
        done = this.#isLast(commit);
        if (done) break;
      }
      if (events.length > 0) yield events;
      if (done) return true;
    }
    return false;
  }

  /** The commits in the order of the read, by the trail or by a search, as costs less; by a search if the trail is broken. */
  async *#commits(latest: StoredCommit, bytes: number): AsyncGenerator<readonly OrFault<StoredCommit>[]> {
    const { log, decoder } = this.#context;
    const { direction, fromVersion, toVersion, limit } = this.#read;
    if (latest.trail && this.#trailIsCheaper(latest)) {
      try {
        const walk = { fromVersion, toVersion, direction, expected: limit + 2 };
        yield* walkTrail(log, decoder, latest, bytes, walk);
        return;
      } catch (error) {
        if (!(error instanceof BrokenTrail)) throw error;
      }
    }
    if (direction === "forward") {
      yield* scanForward(this.#context, this.#actorId, (this.#last?.sequence ?? 0) + 1, latest.sequence);
      if ((this.#last?.sequence ?? 0) < latest.sequence) {
        const position = decoder.placeOf(latest.sequence, undefined);
        throw new DamagedHistoryError("the latest commit is gone while it is read", {
          actorId: this.#actorId,
          position,
        });
      }
    } else {yield* scanBackward(
        this.#context,
        this.#actorId,
        (this.#last?.sequence ?? latest.sequence + 1) - 1,
      );}
  }

  #trailIsCheaper({ trail, sequence }: StoredCommit): boolean {
    const { direction, fromVersion, toVersion, limit } = this.#read;
    const named = trail!.entries();
    const count = trail!.count + 1;
    if (direction === "backward" || fromVersion > 1 || toVersion < Number.MAX_SAFE_INTEGER || limit < count) {
      return true;
    }
    const span = sequence - (named[0]?.sequence ?? sequence);
    return count * FETCH_COST <= CONSUMER_COST + count * DELIVERY_COST + span * SCAN_COST;
  }

  /** Compares a commit with the one that was read before it. */
  #check(commit: OrFault<StoredCommit>): HistoryFault | Promise<HistoryFault> | undefined {
    const last = this.#last;
    const interrupted = this.#interrupted;
    if (commit instanceof DamagedHistoryError) {
      this.#interrupted = true;
      return commit;
    }
    this.#last = commit;
    this.#interrupted = false;
    if (interrupted) return undefined;
    if (this.#read.direction === "forward") {
      if (!last) return this.#begins(commit);
      const fault = follows(commit, lastVersion(last));
      return fault && missingBefore(this.#context.log, commit, fault);
    }
    if (!last || lastVersion(commit) === last.previousVersion) return undefined;
    const lost = missingVersions(this.#actorId, lastVersion(commit) + 1, last.previousVersion);
    return missingBefore(this.#context.log, last, lost);
  }

  /** The first commit must begin at the first version that was asked for, or before it. */
  #begins(commit: StoredCommit): Promise<HistoryFault> | undefined {
    const { fromVersion } = this.#read;
    const { previousVersion, events } = commit;
    if (previousVersion < fromVersion) return undefined;
    const lost = missingVersions(this.#actorId, fromVersion, previousVersion, events[0]?.position);
    return missingBefore(this.#context.log, commit, lost);
  }

  /** A backward read must have come to the first version that was asked for. */
  async #checkBeginning(): Promise<void> {
    if (this.#read.direction === "forward" || !this.#last || this.#interrupted) return;
    const fault = await this.#begins(this.#last);
    if (fault) this.#report(fault);
  }

  #isLast(commit: OrFault<StoredCommit>): boolean {
    if (commit instanceof DamagedHistoryError) return false;
    const { direction, fromVersion, toVersion } = this.#read;
    return direction === "forward" ? lastVersion(commit) >= toVersion : commit.previousVersion < fromVersion;
  }

  /** Adds those events of a commit that were asked for. */
  #add(of: readonly StoredEvent[], events: StoredEvent[]): void {
    const { direction, fromVersion, toVersion } = this.#read;
    for (let count = 0; count < of.length; count++) {
      const event = of[direction === "forward" ? count : of.length - 1 - count]!;
      if (event.version >= fromVersion && event.version <= toVersion) events.push(event);
    }
  }

  #report(fault: HistoryFault): void {
    if (!this.#read.onDamage) throw fault;
    this.#read.onDamage(fault);
  }
}
