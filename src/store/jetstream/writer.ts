/**
 * Writing commits: one message an actor, guarded by the sequence of the actor's last one, repeated until its outcome is
 * known.
 *
 * @module
 */

import type { StoredEvent } from "../../event/types.ts";
import { backoff, sleep } from "../../sleep.ts";
import type { Warn } from "../../warning.ts";
import type { Commit } from "../commit.ts";
import { BackendError, DamagedHistoryError, FencedError, VersionConflictError } from "../errors.ts";
import { countSettled } from "../observation.ts";
import { publishBatch } from "./batch.ts";
import type { EventLog } from "./event_log.ts";
import { backendError, FIRST_WAIT, isConflict, isMomentary, LONGEST_WAIT } from "./failures.ts";
import { type Head, headAfter, type Heads, NEW_HEAD } from "./heads.ts";
import { Lanes } from "./lanes.ts";
import type { Publisher, PublishOptions, PublishOutcome, Refused } from "./publisher.ts";
import type { Records } from "./record.ts";
import { JetStreamApiError, NoAnswerError } from "./requests.ts";
import { Semaphore } from "./semaphore.ts";
import { Write, type WritePart } from "./write.ts";

/** A server takes 50 open batches a stream; some of them are left to others. */
const MAX_BATCHES_IN_FLIGHT = 16;

/** What a writer works with. */
export interface WriterSetup {
  /** The stream. */
  readonly log: EventLog;
  /** Writes and reads messages. */
  readonly records: Records;
  /** The heads of actors. */
  readonly heads: Heads;
  /** Sends. */
  readonly publisher: Publisher;
  /** How long a commit may take, in milliseconds. */
  readonly timeout: number;
  /** Takes what an operator should know. */
  readonly warn: Warn;
}

/** What is found where a write was to stand. */
type Found =
  /** The write itself, its first message at this sequence. */
  | { readonly own: number }
  /** Another commit, or a head that is not the expected one: it can be stored there no more. */
  | "another"
  /** Nothing: it may yet come. */
  | "nothing";

/** Writes commits, one of an actor's at a time. */
export class Writer {
  readonly #setup: WriterSetup;
  readonly #lanes = new Lanes();
  readonly #batches = new Semaphore(MAX_BATCHES_IN_FLIGHT);
  readonly #idPrefix: string = crypto.randomUUID().replaceAll("-", "").slice(0, 20);
  #writes = 0;

  constructor(setup: WriterSetup) {
    this.#setup = setup;
  }

  /** Stores a commit whose events are encoded. */
  write(commit: Commit, bodies: readonly string[]): Promise<readonly StoredEvent[]> {
    const { log, timeout } = this.#setup;
    const id = this.#idPrefix + (this.#writes++).toString(36);
    const write = new Write(id, commit, bodies, log.layout, performance.now() + timeout);
    if (this.#lanes.enter(write)) this.#begin(write);
    else write.failOnAbort();
    return write.answer;
  }

  #begin(write: Write): void {
    void this.#store(write).then(() => {
      for (const next of this.#lanes.leave(write)) this.#begin(next);
    });
  }

  /** Stores a write and answers it; never rejects. */
  async #store(write: Write): Promise<void> {
    let uncertain: unknown;
    try {
      write.begin();
      const fresh = new Map<string, Head>();
      for (let attempt = 1;; attempt++) {
        if (uncertain === undefined) await this.#number(write, fresh);
        const seen = this.#setup.log.highest;
        const outcome = await this.#send(write, attempt === 1 ? write.commit.signal : undefined);
        if (outcome.status === "stored") {
          if (uncertain !== undefined) countSettled("jetstream", 1);
          await this.#checkOrder(outcome.sequence, seen);
          return this.#succeed(write, outcome.sequence - write.parts.length + 1);
        }
        if (outcome.status === "unknown") {
          if (outcome.cause === "no responders") await this.#setup.log.assertThere();
          else uncertain = new NoAnswerError(write.parts[0]!.subject, outcome.cause);
        } else if (isConflict(outcome.code)) {
          const found = await this.#look(write, uncertain !== undefined, fresh);
          if (uncertain !== undefined && found !== "nothing") countSettled("jetstream", 1);
          if (typeof found === "object") return this.#succeed(write, found.own);
          if (found === "another") {
            uncertain = undefined;
            if (performance.now() < write.deadline) continue;
          }
        } else if (uncertain === undefined && !isMomentary(outcome.code)) {
          return write.fail(backendError("append", refusal(write, outcome)));
        }
        if (performance.now() > write.deadline) {
          throw outcome.status === "refused"
            ? refusal(write, outcome)
            : new NoAnswerError(write.parts[0]!.subject, outcome.cause);
        }
        await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
      }
    } catch (error) {
      if (uncertain === undefined) write.fail(write.aborted(error) ? error : backendError("append", error));
      else write.giveUp(error);
    }
  }

  /** Numbers a write. A refusal counts only against heads that were read for it. */
  async #number(write: Write, fresh: Map<string, Head>): Promise<void> {
    const { heads, log } = this.#setup;
    const read = async (parts: readonly WritePart[]): Promise<void> => {
      await Promise.all(parts.map(async ({ part: { actorId } }) => {
        fresh.set(actorId, await heads.read(actorId));
      }));
    };
    const headOf = (actorId: string): Head | undefined => heads.cached(actorId) ?? fresh.get(actorId);
    const cold = write.parts.filter(({ part }) => !headOf(part.actorId));
    // Where nothing has expired yet, the server itself finds out whether an actor is new: it has no message.
    if (cold.length > 0 && !(write.expectsNewActors && log.nothingExpired)) await read(cold);
    for (;;) {
      try {
        return write.number((actorId) => headOf(actorId) ?? NEW_HEAD);
      } catch (error) {
        const refused = error instanceof VersionConflictError || error instanceof FencedError;
        const stale = write.parts.filter(({ part }) => !fresh.has(part.actorId));
        if (!refused || stale.length === 0) throw error;
        await read(stale);
      }
    }
  }

  async #send(write: Write, signal: AbortSignal | undefined): Promise<PublishOutcome> {
    const { publisher, records } = this.#setup;
    const options: PublishOptions = signal ? { signal } : {};
    if (write.parts.length === 1) return await publisher.publish(write.message(records), options);
    using _turn = await this.#batches.acquire();
    return await publishBatch(publisher, write.batch(records), options);
  }

  /** Sequences only rise: a stream that was created anew begins with 1 again, and so does one that lost its end. */
  async #checkOrder(sequence: number, seen: number): Promise<void> {
    if (sequence > seen) return;
    const { log, warn } = this.#setup;
    await log.assertSame();
    warn({
      code: "log-tail-lost",
      message:
        `a commit was stored at sequence ${sequence} of stream "${log.layout.stream}", which had reached ${seen}: ` +
        "its end is lost. Run verify(), and restore from a backup",
    });
  }

  /** Looks what stands where a refused write was to stand. */
  async #look(write: Write, uncertain: boolean, fresh: Map<string, Head>): Promise<Found> {
    const { heads, log, records } = this.#setup;
    let changed = false;
    for (const [index, { part, subject, head }] of write.parts.entries()) {
      const { message, head: current, fault } = await heads.latest(part.actorId);
      if (fault) throw fault;
      fresh.set(part.actorId, current);
      if (current.sequence === head.sequence) continue;
      changed = true;
      const candidates = [message];
      // It may have been followed by others since.
      if (uncertain) candidates.push(await log.nextOf(subject, head.sequence + 1));
      for (const candidate of candidates) {
        const header = candidate && records.header(candidate);
        if (header instanceof DamagedHistoryError) throw header;
        if (header?.commitId !== write.id) continue;
        if (candidate === message) heads.set(part.actorId, headAfter(header));
        return { own: header.sequence - index };
      }
    }
    return changed ? "another" : "nothing";
  }

  /** Answers a write that is stored, and keeps the heads that it leaves behind. */
  #succeed(write: Write, firstSequence: number): void {
    const { heads, records } = this.#setup;
    for (const [index, part] of write.parts.entries()) {
      const head = write.headAfter(part, firstSequence + index);
      const { actorId } = part.part;
      if ((heads.cached(actorId)?.sequence ?? 0) <= head.sequence) heads.set(actorId, head);
    }
    write.succeed(firstSequence, records);
  }
}

function refusal(write: Write, { code, description }: Refused): Error {
  const { subject } = write.parts[0]!;
  return isConflict(code)
    ? new BackendError("append", "other writers came first for too long: try again")
    : new JetStreamApiError(subject, code, description);
}
