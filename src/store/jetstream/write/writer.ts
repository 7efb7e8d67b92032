/**
 * Writing commits: one message for each actor, guarded by the sequence of the actor's last one, repeated until its outcome is
 * known.
 *
 * @module
 */

import type { StoredEvent } from "../../../event/types.ts";
import { backoff, sleep } from "../../../sleep.ts";
import type { Commit } from "../../commit.ts";
import { FencedError, VersionConflictError } from "../../errors.ts";
import { abortable } from "../../../abortable.ts";
import { countSettled } from "../../observation.ts";
import type { PublishOutcome } from "../../../nats/jetstream/acknowledgement.ts";
import type { CommitEncoder } from "../format/commit_encoder.ts";
import type { BackendError } from "../../../errors.ts";
import { Deadlines } from "../../../deadlines.ts";
import { NotConnectedError } from "../../../nats/errors.ts";
import type { JetStreamContext } from "../context.ts";
import { backendError, failureOf, type NotSent } from "../failures.ts";
import { FIRST_WAIT, LONGEST_WAIT } from "../../../nats/patience.ts";
import { isConflict, isMomentary } from "../../../nats/jetstream/error_codes.ts";
import { BatchSender, REFUSED_TOGETHER } from "./batch_sender.ts";
import { Confirmations } from "./confirmations.ts";
import { type Head, NEW_HEAD } from "./head.ts";
import type { KnownActors } from "./known_actors.ts";
import type { OutgoingMessage, Publication } from "../../../nats/jetstream/publication.ts";
import type { Publisher } from "../../../nats/jetstream/publisher.ts";
import type { SoleWriter } from "./sole_writer.ts";
import { repairActor, type RepairOptions, type RepairResult } from "./repair.ts";
import { findWrite } from "./write_search.ts";
import { Write, type WriteCondition, type WriteOutcome } from "./write.ts";

/** What a writer works with in addition to the log. */
export interface WriterSetup {
  /** Writes messages. */
  readonly encoder: CommitEncoder;
  /** The actors that are remembered. */
  readonly actors: KnownActors;
  /** Knows which actors have messages, while no other program writes. */
  readonly sole: SoleWriter;
  /** Sends. */
  readonly publisher: Publisher;
  /** How long a commit may take, in milliseconds. */
  readonly timeout: number;
}

/** What the outcome of a try means for a write. */
type Next = "answered" | "try at once" | "try later";

/** Writes commits, one at a time for each actor. */
export class Writer {
  readonly #context: JetStreamContext;
  readonly #setup: WriterSetup;
  readonly #deadlines = new Deadlines();
  readonly #batches: BatchSender;
  readonly #confirmations: Confirmations;
  readonly #refusal = (): BackendError | undefined => this.#context.log.refusal;
  readonly #idPrefix: string = crypto.randomUUID().replaceAll("-", "").slice(0, 20);
  #writes = 0;

  constructor(context: JetStreamContext, setup: WriterSetup) {
    this.#context = context;
    this.#setup = setup;
    this.#batches = new BatchSender(setup.publisher);
    this.#confirmations = new Confirmations(context.log, this.#beginConfirmed);
  }

  /** Stores a commit whose events are encoded. */
  write(commit: Commit, bodies: readonly string[]): Promise<readonly StoredEvent[]> {
    const { log } = this.#context;
    const id = this.#idPrefix + (this.#writes++).toString(36);
    const now = performance.now();
    const deadline = now + this.#setup.timeout;
    const write = new Write(id, commit, bodies, log.layout, deadline, this.#onOutcome, this.#refusal);
    if (commit.signal) write.listen();
    if (!this.#setup.actors.enter(write)) this.#deadlines.add(write);
    else if (!this.#sendAtOnce(write, now)) this.#begin(write, now);
    return write.answer;
  }

  /** Passes over the messages of other programs that an actor's history ends with. */
  repair(actorId: string, options: RepairOptions): Promise<RepairResult> {
    return repairActor(this.#context, this.#setup, actorId, options);
  }

  /** Ends the timers. */
  close(): void {
    this.#deadlines.close();
    this.#confirmations.close();
  }

  /** Begins a write that cannot be sent at once. */
  #begin(write: Write, now: number): void {
    if (this.#maySkipHeads(write, now) && !this.#mayBeNew(write, now)) {
      this.#deadlines.add(write);
      this.#confirmations.ask(write);
    } else this.#persist(write, undefined);
  }

  /** Whether it can be numbered without reading heads: the server refuses it if an actor has a message. */
  #maySkipHeads(write: Write, now: number): boolean {
    const { log } = this.#context;
    return !write.isConfirmed && !log.isReplaced && write.expectsNewActors &&
      (log.expiry.nothingExpired(now) || log.expiry.looking !== undefined);
  }

  /** Begins writes for which the server was asked whether it counts no message of their actors. */
  readonly #beginConfirmed = (writes: readonly Write[], isNone: boolean): void => {
    const now = performance.now();
    for (const write of writes) {
      if (write.isOver(now)) {
        write.expire();
        this.#leave(write);
        continue;
      }
      write.isConfirmed = isNone;
      if (!isNone || !this.#sendAtOnce(write, now)) this.#persist(write, undefined);
    }
  };

  /**
   * Sends a write within the call, if nothing prevents it. Most writes need only that and the acknowledgement: they cost a
   * single promise, that of the answer.
   */
  #sendAtOnce(write: Write, now: number): boolean {
    const { log } = this.#context;
    const { publisher, encoder } = this.#setup;
    if (write.messageCount > 1 || write.commit.signal || log.isReplaced || !this.#numberAtOnce(write, now)) {
      return false;
    }
    write.seen = log.highest;
    let messages: readonly OutgoingMessage[];
    try {
      messages = write.messages(encoder, log.layout);
    } catch (error) {
      this.#onOutcome(write, { status: "not taken", error });
      return true;
    }
    if (!publisher.submit(messages, write)) this.#deadlines.add(write);
    return true;
  }

  /** Takes the outcome of a write that was sent within the call. */
  readonly #onOutcome = (write: Write, tried: WriteOutcome): void => {
    if (tried.status === "stored") this.#noteStored(write, tried.sequence);
    if (tried.status === "stored" && tried.sequence > write.seen) {
      write.succeed(tried.sequence, this.#context.log, this.#context.decoder);
      this.#leave(write);
    } else this.#persist(write, tried);
  };

  /** Takes an acknowledgement as soon as it comes: they come in the order of the log. */
  #noteStored(write: Write, sequence: number): void {
    this.#setup.sole.stored(write, sequence - write.messageCount + 1, write.deadline - this.#setup.timeout);
  }

  /** Notes that the actors of a write may have a message: the server is asked before the next one. */
  #noteDoubt({ parts }: Write): void {
    for (const { actor } of parts) {
      actor!.noneUntil = 0;
      this.#setup.sole.mayHave(actor!);
    }
  }

  #leave(write: Write): void {
    if (write.slot >= 0) this.#deadlines.delete(write);
    if (write.doubt !== undefined) this.#noteDoubt(write);
    const ready = this.#setup.actors.leave(write);
    if (ready.length > 0) this.#beginThose(ready);
  }

  /** Begins writes that are first in their queues, or those behind them if their deadlines have passed. */
  #beginThose(ready: readonly Write[]): void {
    const now = performance.now();
    const queue = [...ready];
    for (let write = queue.shift(); write; write = queue.shift()) {
      if (!write.isOver(now)) {
        if (!this.#sendAtOnce(write, now)) this.#begin(write, now);
      } else {
        write.expire();
        this.#deadlines.delete(write);
        queue.push(...this.#setup.actors.leave(write));
      }
    }
  }

  #persist(write: Write, tried: WriteOutcome | undefined): void {
    this.#deadlines.add(write);
    void this.#store(write, tried).then(() => this.#leave(write));
  }

  /**
   * Stores a write and answers it; never rejects. It continues until the write is answered.
   *
   * @param tried The outcome, if it was sent within the call.
   */
  async #store(write: Write, tried: WriteOutcome | undefined): Promise<void> {
    const { log } = this.#context;
    try {
      if (!tried && log.isReplaced) await abortable(log.assertSame(), write.ending);
      const fresh = new Map<string, Head>();
      let next = tried && this.#sentOrThrow(tried);
      for (let attempt = 1; !write.isAnswered; attempt++) {
        // A server that cannot read the first commit of an actor any more takes another one for it.
        if (!next && write.mayBeFirst && await this.#find(write, fresh) === "answered") return;
        const outcome = next ?? await this.#try(write, fresh);
        next = undefined;
        const step = await this.#settle(write, outcome, fresh);
        if (step === "answered") return;
        if (write.isOver(performance.now())) return write.expire();
        if (step === "try at once") continue;
        await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), write.ending);
      }
    } catch (error) {
      if (write.isAnswered) return;
      if (write.doubt === undefined) write.fail(backendError("append", error));
      else write.giveUp(error);
    }
  }

  /** Numbers a write, and sends it. */
  async #try(write: Write, fresh: Map<string, Head>): Promise<PublishOutcome | NotSent> {
    if (write.doubt === undefined && !this.#numberAtOnce(write, performance.now())) {
      await abortable(this.#number(write, fresh), write.ending);
    }
    write.seen = this.#context.log.highest;
    return await this.#trySend(write);
  }

  /** Takes the outcome of a try. */
  async #settle(
    write: Write,
    outcome: PublishOutcome | NotSent,
    fresh: Map<string, Head>,
  ): Promise<Next> {
    const { log, decoder } = this.#context;
    write.isConfirmed = false; // by the next try, it may have changed
    if (outcome.status === "stored") {
      if (write.doubt !== undefined) countSettled("jetstream", 1);
      if (outcome.sequence <= write.seen) await this.#explainOrder(outcome.sequence, write.seen);
      write.succeed(outcome.sequence - write.messageCount + 1, log, decoder);
      return "answered";
    }
    const failure = write.hindrance = failureOf(write.subject, outcome);
    if (outcome.status === "unknown") {
      if (outcome.cause !== "no responders") write.doubt = failure;
      await abortable(log.assertNotReplaced(), write.ending);
    } else if (outcome.status === "refused") {
      const mayPass = isConflict(outcome.code) || isMomentary(outcome.code);
      if (mayPass) await this.#noteRefusal(write, failure);
      if (isConflict(outcome.code)) return await this.#find(write, fresh);
      if (!mayPass && write.doubt === undefined) {
        write.fail(backendError("append", failure));
        return "answered";
      }
    }
    return "try later";
  }

  /** A refusal may be the answer of a former leader, while the present one stores the write. */
  async #noteRefusal(write: Write, refusal: Error): Promise<void> {
    if (!await abortable(this.#context.log.hasSettledLeader(), write.ending)) write.doubt ??= refusal;
  }

  /** Searches for a write, or for what was stored in its place. */
  async #find(write: Write, fresh: Map<string, Head>): Promise<Next> {
    const found = await abortable(findWrite(this.#context, write, fresh), write.ending);
    if (found === "nothing") return "try later";
    if (write.doubt !== undefined) countSettled("jetstream", 1);
    write.doubt = undefined;
    if (found === "another") return "try at once";
    write.succeed(found.own, this.#context.log, this.#context.decoder);
    return "answered";
  }

  /** Numbers a write against the cached heads, if they are cached and it fits them: most do, without a promise. */
  #numberAtOnce(write: Write, now: number): boolean {
    let known = true;
    for (const part of write.parts) {
      const { head = NEW_HEAD } = part.actor!;
      part.head = head;
      known &&= head.sequence > 0;
    }
    for (const condition of write.conditions) {
      condition.head = this.#context.heads.cached(condition.actorId) ?? NEW_HEAD;
      known &&= condition.head.sequence > 0;
    }
    // If nothing has expired yet, the server itself checks whether an actor is new: it has no message.
    if (!known && !this.#mayBeNew(write, now)) return false;
    try {
      write.number();
      return true;
    } catch {
      return false; // the refusal is repeated against fresh heads
    }
  }

  /** Whether a write may be numbered as the first one of its actors whose heads are not cached. */
  #mayBeNew(write: Write, now: number): boolean {
    return write.expectsNewActors && this.#context.log.expiry.nothingExpired(now) &&
      (write.isConfirmed || this.#hasNone(write, now));
  }

  /** Whether it is known that the actors of a write whose heads are not cached have no message. */
  #hasNone({ parts, conditions }: Write, now: number): boolean {
    for (const { actor } of parts) {
      const { head = NEW_HEAD, noneUntil } = actor!;
      if (head.sequence === 0 && noneUntil <= now && !this.#setup.sole.hasNone(actor!, now)) return false;
    }
    return conditions.length === 0;
  }

  /** Numbers a write. A refusal counts only against heads that were read for it. */
  async #number(write: Write, fresh: Map<string, Head>): Promise<void> {
    const { heads } = this.#context;
    const actorIds = [...write.parts.map(({ part }) => part.actorId), ...write.conditions.map(actorIdOf)];
    const read = async (actorIds: readonly string[]): Promise<void> => {
      // All of them end before one fails: nothing continues after the answer.
      const reads = await Promise.allSettled(actorIds.map(async (actorId) => {
        fresh.set(actorId, await heads.read(actorId, write.ending));
      }));
      for (const read of reads) if (read.status === "rejected") throw read.reason;
    };
    const headOf = (actorId: string): Head | undefined => {
      const head = heads.cached(actorId);
      return head !== undefined && head.sequence > 0 ? head : fresh.get(actorId);
    };
    for (;;) {
      // While some are read, others may be forgotten.
      const unknown = actorIds.filter((actorId) => !headOf(actorId));
      if (unknown.length > 0) {
        await read(unknown);
        continue;
      }
      for (const part of write.parts) part.head = headOf(part.part.actorId)!;
      for (const condition of write.conditions) condition.head = headOf(condition.actorId)!;
      try {
        return write.number();
      } catch (error) {
        const refused = error instanceof VersionConflictError || error instanceof FencedError;
        const stale = actorIds.filter((actorId) => !fresh.has(actorId));
        if (!refused || stale.length === 0) throw error;
        await read(stale);
      }
    }
  }

  /** Sends a write; a lost connection may come back. */
  async #trySend(write: Write): Promise<PublishOutcome | NotSent> {
    // A condition may be on an actor that another commit writes to.
    const isAlone = write.conditions.length > 0;
    let tried = await this.#publish(write, isAlone);
    if (tried.status === "not taken" && tried.error === REFUSED_TOGETHER) {
      await this.#noteRefusal(write, REFUSED_TOGETHER);
      tried = await this.#publish(write, true);
    }
    return this.#sentOrThrow(tried);
  }

  #publish(write: Write, isAlone: boolean): Promise<WriteOutcome> {
    if (write.isOver(performance.now())) write.expire();
    const messages = write.messages(this.#setup.encoder, this.#context.log.layout);
    const signal = write.ending;
    return new Promise((resolve) => {
      const publication: Publication = {
        isOver: (now) => write.isOver(now),
        onSent: () => write.onSent(),
        onOutcome: (outcome) => {
          write.isUnderWay = false;
          if (outcome.status === "stored") this.#noteStored(write, outcome.sequence);
          resolve(outcome);
        },
        onNotSent: (error) => {
          write.isUnderWay = false;
          resolve({ status: "not taken", error });
        },
      };
      if (messages.length === 1) this.#setup.publisher.submit(messages, publication, { signal });
      else this.#batches.submit(messages, publication, { signal, isAlone });
    });
  }

  /** The outcome of a try; throws if another try is useless. */
  #sentOrThrow(tried: WriteOutcome): PublishOutcome | NotSent {
    if (tried.status !== "not taken") return tried;
    const { error } = tried;
    if (!(error instanceof NotConnectedError) || this.#context.log.isClosed) throw error;
    return { status: "not sent", error };
  }

  /** Sequences only rise: a stream that was created again begins with 1, and so does one that lost its end. */
  async #explainOrder(sequence: number, seen: number): Promise<void> {
    const { log, warn } = this.#context;
    await log.assertSame();
    warn({
      code: "log-tail-lost",
      message:
        `a commit was stored at sequence ${sequence} of stream "${log.layout.stream}", which had reached ${seen}: ` +
        "its end is lost. Run verify(), and restore from a backup",
    });
  }
}

function actorIdOf({ actorId }: WriteCondition): string {
  return actorId;
}
