/**
 * Turning the messages that a consumer delivers into events of the global log. They are compared with the stream's
 * sequences, unless a filter leaves some out, and with the versions of their actors.
 *
 * @module
 */

import type { StoredEvent } from "../../../event/types.ts";
import type { LogBatch, LogPart, LogRead } from "../../backend.ts";
import { VersionContinuity } from "../../continuity.ts";
import { DamagedHistoryError, type HistoryFault, HistoryTruncatedError } from "../../errors.ts";
import type { JetStreamContext } from "../context.ts";
import type { StoredCommit } from "../format/commit_header.ts";
import { countUnreadable } from "./left_out.ts";
import type { Start } from "./log_position.ts";
import { fetchSkipped, missingBefore, truncated } from "./missing.ts";
import { Repairs } from "./repairs.ts";
import type { OrderedConsumer } from "../../../nats/jetstream/ordered_consumer.ts";
import type { MessageBytes } from "../../../nats/jetstream/stored_message.ts";
import { TextRuns } from "../../../nats/jetstream/text_run.ts";

/** How many events are returned together, if more have arrived. */
const EVENTS_AT_ONCE = 128;

export function narrowed(subject: string | undefined): { filterSubjects?: readonly string[] } {
  return subject === undefined ? {} : { filterSubjects: [subject] };
}

/** Turns messages into events, and checks them. */
export class LogReading {
  /** The sequence of the last message that was read. */
  sequence: number;
  /** The consumer that delivers the messages. */
  consumer: OrderedConsumer | undefined;
  readonly #context: JetStreamContext;
  readonly #onDamage: ((fault: HistoryFault) => void) | undefined;
  readonly #onPart: ((part: LogPart) => void) | undefined;
  readonly #after: string | undefined;
  readonly #subject: string | undefined;
  readonly #chains: VersionContinuity<StoredCommit>;
  readonly #repairs: Repairs;
  /** How many messages the consumer has delivered. */
  delivered = 0;
  /** How many messages that were left out have been checked. */
  #leftOut = 0;
  /** From this sequence on, messages may have been left out that have not been checked. */
  #counted: number;
  /** Whether the read may begin behind messages that expire before it has the first one. */
  readonly #fromFirstKept: boolean;
  /** The sequence of the first message that was read. */
  #first: number | undefined;
  /** The last commit that was read. */
  #last: StoredCommit | undefined;
  #position: string | undefined;

  /** @param subject The subjects that a filter chooses; `undefined` without one. */
  constructor(
    context: JetStreamContext,
    { onDamage, onPart }: Pick<LogRead, "onDamage" | "onPart">,
    start: Start,
    subject: string | undefined,
  ) {
    this.#context = context;
    this.#repairs = new Repairs(context);
    this.#onDamage = onDamage;
    this.#onPart = onPart;
    this.#after = start.after;
    this.#position = start.after;
    this.#subject = subject;
    this.#counted = start.sequence;
    this.#fromFirstKept = start.fromFirstKept;
    const isBefore = ({ previousSequence }: StoredCommit): boolean => previousSequence < start.sequence;
    this.#chains = new VersionContinuity(start.fromStart ? undefined : isBefore);
    this.sequence = start.sequence - 1;
  }

  /** Throws a fault, or gives it to `onDamage`. */
  report(fault: HistoryFault): void {
    if (!this.#onDamage) throw fault;
    this.#onDamage(fault);
  }

  readonly #choose = ({ position }: StoredEvent): boolean => {
    return this.#after === undefined || position > this.#after;
  };

  async *take(messages: readonly MessageBytes[]): AsyncGenerator<LogBatch> {
    const { log, decoder } = this.#context;
    const runs = new TextRuns(messages);
    let events: StoredEvent[] = [];
    for (let index = 0; index < messages.length; index++) {
      const message = messages[index]!;
      let missing = false;
      if (message.sequence !== this.sequence + 1 && this.#subject === undefined) {
        if (events.length > 0) yield this.#batch(events);
        events = [];
        missing = yield* this.skipTo(message.sequence);
      }
      this.#first ??= message.sequence;
      this.sequence = message.sequence;
      const commit = decoder.read(message, runs.of(index));
      let fault: HistoryFault | undefined;
      if (commit instanceof DamagedHistoryError) {
        fault = await this.#repairs.covers(commit) ? undefined : commit;
      } else {
        const broken = this.#chains.accept(commit, message.known);
        // A commit that is no longer remembered was not missing, or its sequence would be.
        if (broken && broken !== "forgotten" && !missing) fault = await this.#missingBefore(commit, broken);
      }
      if (fault) {
        if (events.length > 0) yield this.#batch(events);
        events = [];
        this.#reportUnlessBefore(fault);
      }
      if (commit instanceof DamagedHistoryError) continue;
      this.#last = commit;
      const from = events.length;
      for (const event of commit.events) if (this.#choose(event)) events.push(event);
      if (this.#onPart) this.#take(commit, events.slice(from));
      // Events that are kept longer cost as much garbage collection as reading them.
      if (events.length >= EVENTS_AT_ONCE) {
        yield this.#batch(events);
        events = [];
      }
    }
    log.saw(this.sequence);
    if (messages.length > 0) yield this.#batch(events);
  }

  /** Hands over a part; a token that is stored alone is one without events. */
  #take(commit: StoredCommit, events: readonly StoredEvent[]): void {
    const isToken = commit.events.length === 0 && commit.fence > 0;
    if (events.length === 0 && !isToken) return;
    const { commitId, actorId, fence } = commit;
    this.#onPart!({ commitId, actorId, fence, events });
  }

  /**
   * Reads from the leader what the consumer has not delivered before a sequence, and reports the rest.
   *
   * @returns Whether something is missing.
   */
  async *skipTo(end: number): AsyncGenerator<LogBatch, boolean> {
    const { log, decoder } = this.#context;
    if (await log.mayHaveExpired()) {
      const first = await log.first();
      const kept = Math.min(end, first?.sequence ?? Infinity);
      if (this.sequence + 1 < kept) {
        if (!this.#fromFirstKept || this.#first !== undefined) {
          this.#reportUnlessBefore(truncated(decoder, first));
        }
        this.sequence = kept - 1;
        if (kept === end) return true;
      }
    }
    let isMissing = false;
    if (this.#subject !== undefined) return isMissing;
    for await (const found of fetchSkipped(log, this.sequence + 1, end)) {
      if (!("count" in found)) {
        log.replicas.noteDamaged(this.consumer?.server, found.sequence);
        yield* this.take([found]);
        continue;
      }
      isMissing = true;
      this.sequence = found.from + found.count - 1;
      this.#reportUnlessBefore(
        new DamagedHistoryError(`${found.count} commit(s) are missing from the log`, {
          position: decoder.placeOf(found.from, undefined),
        }),
      );
    }
    return isMissing;
  }

  /** The fault of a commit whose predecessor was not read, unless that one expired before the read had its first. */
  async #missingBefore(commit: StoredCommit, lost: DamagedHistoryError): Promise<HistoryFault | undefined> {
    const fault = await missingBefore(this.#context.log, commit, lost);
    const isBefore = this.#fromFirstKept && commit.previousSequence < this.#first!;
    return isBefore && fault instanceof HistoryTruncatedError ? undefined : fault;
  }

  /** Compares what was delivered with what the server counted when the consumer was created. */
  async checkLeftOut(consumer: OrderedConsumer): Promise<void> {
    // The server reports the end within a heartbeat, or delivers new messages.
    while (this.delivered < consumer.expected && consumer.pending > 0 && consumer.leftOut === 0) {
      const messages = await consumer.read();
      this.delivered += messages.length;
      if (messages.length === 0 && consumer.leftOut === 0) return;
    }
    await this.reportLeftOut(consumer);
  }

  /** Reports messages that the server counts and cannot read. */
  async reportLeftOut({ leftOut, pending, position, server }: OrderedConsumer): Promise<void> {
    const { log, decoder } = this.#context;
    const from = this.#counted;
    if (pending === 0) this.#counted = position + 1;
    if (leftOut === this.#leftOut) return;
    const range = { filterSubjects: [this.#subject ?? log.layout.all], from, to: position };
    const count = await countUnreadable(log, range, leftOut - this.#leftOut);
    this.#leftOut = leftOut;
    if (count === 0) return;
    log.replicas.noteDamaged(server);
    this.report(
      new DamagedHistoryError(`${count} commit(s) that the server counts are missing from what it delivers`, {
        position: decoder.placeOf(this.sequence, undefined),
      }),
    );
  }

  /** Reports a fault, unless it is at or before the position after which the read begins. */
  #reportUnlessBefore(fault: HistoryFault | undefined): void {
    if (!fault || (fault instanceof DamagedHistoryError && this.#isBefore(fault))) return;
    this.report(fault);
  }

  /** Whether a fault is at or before the position after which the read begins. */
  #isBefore({ position }: DamagedHistoryError): boolean {
    return this.#after !== undefined && position !== undefined && position <= this.#after;
  }

  #batch(events: readonly StoredEvent[]): LogBatch {
    const { decoder } = this.#context;
    this.#position = events.at(-1)?.position ?? this.#position ??
      (this.#last ? decoder.endOf(this.#last) : decoder.placeOf(this.sequence, undefined));
    return { events, position: this.#position };
  }
}
