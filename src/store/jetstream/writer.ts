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
import { DamagedHistoryError, FencedError, VersionConflictError } from "../errors.ts";
import { countSettled } from "../observation.ts";
import type { PublishOutcome } from "./acknowledgement.ts";
import { publishBatch } from "./batch.ts";
import type { CommitEncoder } from "./commit_encoder.ts";
import { NotConnectedError } from "../../nats/errors.ts";
import type { EventLog } from "./event_log.ts";
import {
  backendError,
  failureOf,
  FIRST_WAIT,
  isConflict,
  isMomentary,
  LONGEST_WAIT,
  type NotSent,
} from "./failures.ts";
import { type Head, headAfter, type Heads, NEW_HEAD } from "./heads.ts";
import type { KnownActors } from "./known_actors.ts";
import { Lanes } from "./lanes.ts";
import type { OutgoingMessage, Publisher, PublishOptions } from "./publisher.ts";
import type { Records } from "./record.ts";
import { Semaphore } from "./semaphore.ts";
import { type Tried, Write, type WritePart } from "./write.ts";

/** A server takes 50 open batches a stream; some of them are left to others. */
const MAX_BATCHES_IN_FLIGHT = 16;

/** What a writer works with. */
export interface WriterSetup {
  /** The stream. */
  readonly log: EventLog;
  /** Reads messages. */
  readonly records: Records;
  /** Writes messages. */
  readonly encoder: CommitEncoder;
  /** The actors that are written to, and others. */
  readonly actors: KnownActors;
  /** Their heads. */
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
  /** Another commit: it cannot be stored there any more. */
  | "another"
  /** Nothing that proves either: it may still come. */
  | "nothing";

/** Writes commits, one of an actor's at a time. */
export class Writer {
  readonly #setup: WriterSetup;
  readonly #lanes: Lanes;
  readonly #batches = new Semaphore(MAX_BATCHES_IN_FLIGHT);
  readonly #idPrefix: string = crypto.randomUUID().replaceAll("-", "").slice(0, 20);
  #writes = 0;

  constructor(setup: WriterSetup) {
    this.#setup = setup;
    this.#lanes = new Lanes(setup.actors);
  }

  /** Stores a commit whose events are encoded. */
  write(commit: Commit, bodies: readonly string[]): Promise<readonly StoredEvent[]> {
    const { log, timeout } = this.#setup;
    const id = this.#idPrefix + (this.#writes++).toString(36);
    const now = performance.now();
    const write = new Write(id, commit, bodies, log.layout, now + timeout, this.#took);
    if (this.#lanes.enter(write)) this.#begin(write, now);
    else write.failOnAbort();
    return write.answer;
  }

  #begin(write: Write, now: number): void {
    if (!this.#sendAtOnce(write, now)) this.#persist(write, undefined);
  }

  /**
   * Sends a write in the turn in which it comes, where nothing is in its way. What most writes need is no more than that
   * and the acknowledgement: they cost a single promise, that of the answer.
   */
  #sendAtOnce(write: Write, now: number): boolean {
    const { log, publisher, encoder } = this.#setup;
    if (write.parts.length > 1 || write.commit.signal || log.isReplaced || !this.#numberAtOnce(write, now)) {
      return false;
    }
    write.seen = log.highest;
    let messages: readonly OutgoingMessage[];
    try {
      messages = write.messages(encoder);
    } catch (error) {
      this.#took(write, { status: "not taken", error });
      return true;
    }
    publisher.submit(messages, write);
    return true;
  }

  /** Takes what became of a write that was sent at once. */
  readonly #took = (write: Write, tried: Tried): void => {
    if (tried.status === "stored" && tried.sequence > write.seen) {
      this.#succeed(write, tried.sequence);
      this.#leave(write);
    } else this.#persist(write, tried);
  };

  #leave(write: Write): void {
    for (const next of this.#lanes.leave(write)) this.#begin(next, performance.now());
  }

  #persist(write: Write, tried: Tried | undefined): void {
    void this.#store(write, tried).then(() => this.#leave(write));
  }

  /**
   * Stores a write and answers it; never rejects.
   *
   * @param tried What became of it, if it was sent at once.
   */
  async #store(write: Write, tried: Tried | undefined): Promise<void> {
    let uncertain: unknown;
    let sent = false;
    try {
      if (!tried) {
        write.begin();
        if (this.#setup.log.isReplaced) await this.#setup.log.assertSame();
      }
      const fresh = new Map<string, Head>();
      for (let attempt = 1;; attempt++) {
        let outcome: PublishOutcome | NotSent;
        if (tried && attempt === 1) outcome = this.#sentOrThrow(tried);
        else {
          if (uncertain === undefined && !this.#numberAtOnce(write, performance.now())) {
            await this.#number(write, fresh);
          }
          write.seen = this.#setup.log.highest;
          if (!sent) write.commit.signal?.throwIfAborted();
          outcome = await this.#trySend(write, sent ? undefined : write.commit.signal);
        }
        sent ||= outcome.status !== "not sent";
        if (outcome.status === "stored") {
          if (uncertain !== undefined) countSettled("jetstream", 1);
          if (outcome.sequence <= write.seen) await this.#explainOrder(outcome.sequence, write.seen);
          return this.#succeed(write, outcome.sequence - write.parts.length + 1);
        }
        if (outcome.status === "unknown") {
          if (outcome.cause !== "no responders") uncertain = failureOf(write.subject, outcome);
          await this.#setup.log.assertNotReplaced();
        } else if (outcome.status === "refused" && isConflict(outcome.code)) {
          const found = await this.#look(write, uncertain !== undefined, fresh);
          if (uncertain !== undefined && found !== "nothing") countSettled("jetstream", 1);
          if (typeof found === "object") return this.#succeed(write, found.own);
          if (found === "another") {
            uncertain = undefined;
            if (performance.now() < write.deadline) continue;
          }
        } else if (outcome.status === "refused" && uncertain === undefined && !isMomentary(outcome.code)) {
          return write.fail(backendError("append", failureOf(write.subject, outcome)));
        }
        if (performance.now() > write.deadline) throw failureOf(write.subject, outcome);
        await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
      }
    } catch (error) {
      if (uncertain === undefined) write.fail(write.aborted(error) ? error : backendError("append", error));
      else write.giveUp(error);
    }
  }

  /** Numbers a write against the heads in mind, where they are there and it fits them: most do, without a promise. */
  #numberAtOnce(write: Write, now: number): boolean {
    let known = true;
    for (const { actor } of write.parts) known &&= actor!.head !== undefined;
    // Where nothing has expired yet, the server itself finds out whether an actor is new: it has no message.
    if (!known && !(write.expectsNewActors && this.#setup.log.nothingExpired(now))) return false;
    try {
      write.number(headInMind);
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
    const headOf = ({ actor, part }: WritePart): Head | undefined => actor!.head ?? fresh.get(part.actorId);
    const cold = write.parts.filter((part) => !headOf(part));
    if (cold.length > 0) await read(cold);
    for (;;) {
      try {
        return write.number((part) => headOf(part)!);
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
    const { publisher, encoder } = this.#setup;
    const options: PublishOptions | undefined = signal && { signal };
    try {
      const messages = write.messages(encoder);
      if (messages.length === 1) return await publisher.publishAll(messages, options);
      using _turn = await this.#batches.acquire();
      return await publishBatch(publisher, messages, options);
    } catch (error) {
      return this.#sentOrThrow({ status: "not taken", error });
    }
  }

  /** What became of a try; throws where there is no use in another one. */
  #sentOrThrow(tried: Tried): PublishOutcome | NotSent {
    if (tried.status !== "not taken") return tried;
    const { error } = tried;
    if (!(error instanceof NotConnectedError) || this.#setup.log.isClosed) throw error;
    return { status: "not sent", error };
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

  /**
   * Looks what is stored in the place of a refused write. A write of unknown outcome may still come, unless another
   * commit follows directly on what it was guarded with.
   */
  async #look(write: Write, uncertain: boolean, fresh: Map<string, Head>): Promise<Found> {
    const { heads, log, records } = this.#setup;
    let found: Found = "nothing";
    for (const [index, { part, subject, head }] of write.parts.entries()) {
      const { message, head: current, fault } = await heads.latest(part.actorId, write.deadline, head);
      if (fault) throw fault;
      fresh.set(part.actorId, current);
      if (current.sequence === head.sequence) continue;
      if (!uncertain) found = "another";
      const candidates = [message];
      // It may have been followed by others since.
      if (uncertain) candidates.push(await log.nextOf(subject, head.sequence + 1));
      for (const candidate of candidates) {
        const header = candidate && records.header(candidate);
        if (header instanceof DamagedHistoryError) throw header;
        if (header?.commitId === write.id) {
          if (candidate === message) heads.set(part.actorId, headAfter(header));
          return { own: header.sequence - index };
        }
        // The server had checked that it follows on the head; a leader that lags may not have what does.
        if (header?.previousSequence === head.sequence) found = "another";
      }
    }
    return found;
  }

  /** Answers a write that is stored, and keeps the heads that it leaves behind. */
  #succeed(write: Write, firstSequence: number): void {
    const { heads, records } = this.#setup;
    for (let index = 0; index < write.parts.length; index++) {
      const part = write.parts[index]!;
      heads.advance(part.actor!, write.headAfter(part, firstSequence + index));
    }
    write.succeed(firstSequence, records);
  }
}

function headInMind({ actor }: WritePart): Head {
  return actor!.head ?? NEW_HEAD;
}
