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
import { NotConnectedError } from "../../nats/errors.ts";
import type { EventLog } from "./event_log.ts";
import { backendError, FIRST_WAIT, isConflict, isMomentary, LONGEST_WAIT } from "./failures.ts";
import { type Head, headAfter, type Heads, NEW_HEAD } from "./heads.ts";
import { Lanes } from "./lanes.ts";
import type { Publisher, PublishOptions, PublishOutcome, Stored } from "./publisher.ts";
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

/** The connection was down, and nothing was sent. */
interface NotSent {
  readonly status: "not sent";
  readonly error: NotConnectedError;
}

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
    let sent = false;
    try {
      write.begin();
      if (this.#setup.log.isReplaced) await this.#setup.log.assertSame();
      const fresh = new Map<string, Head>();
      for (let attempt = 1;; attempt++) {
        if (uncertain === undefined && !this.#numberAtOnce(write)) await this.#number(write, fresh);
        const seen = this.#setup.log.highest;
        if (!sent) write.commit.signal?.throwIfAborted();
        const outcome = await this.#trySend(write, sent ? undefined : write.commit.signal);
        sent ||= outcome.status !== "not sent";
        if (outcome.status === "stored") {
          if (uncertain !== undefined) countSettled("jetstream", 1);
          if (outcome.sequence <= seen) await this.#explainOrder(outcome.sequence, seen);
          return this.#succeed(write, outcome.sequence - write.parts.length + 1);
        }
        if (outcome.status === "unknown") {
          if (outcome.cause === "no responders") await this.#setup.log.assertThere();
          else uncertain = reason(write, outcome);
        } else if (outcome.status === "refused" && isConflict(outcome.code)) {
          const found = await this.#look(write, uncertain !== undefined, fresh);
          if (uncertain !== undefined && found !== "nothing") countSettled("jetstream", 1);
          if (typeof found === "object") return this.#succeed(write, found.own);
          if (found === "another") {
            uncertain = undefined;
            if (performance.now() < write.deadline) continue;
          }
        } else if (outcome.status === "refused" && uncertain === undefined && !isMomentary(outcome.code)) {
          return write.fail(backendError("append", reason(write, outcome)));
        }
        if (performance.now() > write.deadline) throw reason(write, outcome);
        await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
      }
    } catch (error) {
      if (uncertain === undefined) write.fail(write.aborted(error) ? error : backendError("append", error));
      else write.giveUp(error);
    }
  }

  /** Numbers a write against the heads in mind, where they are there and it fits them: most do, without a promise. */
  #numberAtOnce(write: Write): boolean {
    const { heads, log } = this.#setup;
    let known = true;
    for (const { part } of write.parts) known &&= heads.cached(part.actorId) !== undefined;
    // Where nothing has expired yet, the server itself finds out whether an actor is new: it has no message.
    if (!known && !(write.expectsNewActors && log.nothingExpired)) return false;
    try {
      write.number((actorId) => heads.cached(actorId) ?? NEW_HEAD);
      return true;
    } catch {
      return false; // it is told from fresh heads
    }
  }

  /** Numbers a write. A refusal counts only against heads that were read for it. */
  async #number(write: Write, fresh: Map<string, Head>): Promise<void> {
    const { heads } = this.#setup;
    const read = async (parts: readonly WritePart[]): Promise<void> => {
      await Promise.all(parts.map(async ({ part: { actorId } }) => {
        fresh.set(actorId, await heads.read(actorId, write.deadline));
      }));
    };
    // What is in mind now may have made room for others when it is needed.
    const known = new Map<string, Head | undefined>();
    for (const { part: { actorId } } of write.parts) known.set(actorId, heads.cached(actorId));
    const headOf = (actorId: string): Head | undefined =>
      heads.cached(actorId) ?? fresh.get(actorId) ?? known.get(actorId);
    const cold = write.parts.filter(({ part }) => !headOf(part.actorId));
    if (cold.length > 0) await read(cold);
    for (;;) {
      try {
        return write.number((actorId) => headOf(actorId)!);
      } catch (error) {
        const refused = error instanceof VersionConflictError || error instanceof FencedError;
        const stale = write.parts.filter(({ part }) => !fresh.has(part.actorId));
        if (!refused || stale.length === 0) throw error;
        await read(stale);
      }
    }
  }

  /** Sends a write; a connection that is down may come back. */
  async #trySend(write: Write, signal: AbortSignal | undefined): Promise<PublishOutcome | NotSent> {
    const { publisher, records, log } = this.#setup;
    const options: PublishOptions | undefined = signal && { signal };
    try {
      if (write.parts.length === 1) return await publisher.publish(write.message(records), options);
      using _turn = await this.#batches.acquire();
      return await publishBatch(publisher, write.batch(records), options);
    } catch (error) {
      if (!(error instanceof NotConnectedError) || log.isClosed) throw error;
      return { status: "not sent", error };
    }
  }

  /** Sequences only rise: a stream that was created anew begins with 1 again, and so does one that lost its end. */
  async #explainOrder(sequence: number, seen: number): Promise<void> {
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
      const { message, head: current, fault } = await heads.latest(part.actorId, write.deadline);
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
    for (let index = 0; index < write.parts.length; index++) {
      const part = write.parts[index]!;
      const head = write.headAfter(part, firstSequence + index);
      const { actorId } = part.part;
      if ((heads.cached(actorId)?.sequence ?? 0) <= head.sequence) heads.set(actorId, head);
    }
    write.succeed(firstSequence, records);
  }
}

/** Why a write could not be stored. */
function reason(write: Write, outcome: Exclude<PublishOutcome | NotSent, Stored>): Error {
  const { subject } = write.parts[0]!;
  if (outcome.status === "not sent") return outcome.error;
  if (outcome.status === "unknown") return new NoAnswerError(subject, outcome.cause);
  const { code, description } = outcome;
  return isConflict(code)
    ? new BackendError("append", "other writers came first for too long: try again")
    : new JetStreamApiError(subject, code, description);
}
