/**
 * The stream of one namespace as the store reads it: from its leader if the result must be fresh, by sequence if the
 * sequence is known.
 *
 * @module
 */

import type { ConnectionState } from "../../../nats/connection_state.ts";
import type { BackendError, SettingDifference } from "../../../errors.ts";
import type { Warn } from "../../../warning.ts";
import { DamagedHistoryError } from "../../errors.ts";
import { refusalOf } from "../../../nats/refusals.ts";
import { retryTransient } from "../../../nats/jetstream/retry.ts";
import type { Layout } from "../format/layout.ts";
import { OrderedConsumer, type OrderedConsumerOptions } from "../../../nats/jetstream/ordered_consumer.ts";
import { JetStreamApiError, NoAnswerError } from "../../../nats/jetstream/api_errors.ts";
import type { JetStreamRequests } from "../../../nats/jetstream/requests.ts";
import type { MessageQuery, StreamConfig, StreamInfo } from "../../../nats/jetstream/api_types.ts";
import { retentionOf } from "../retention/retention.ts";
import { Expiry } from "./expiry.ts";
import { Leadership } from "./leadership.ts";
import { ObservedConfig } from "./observed_config.ts";
import { Replicas } from "./replicas.ts";
import { StreamIdentity } from "./stream_identity.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";

/** Every subject, as a query. */
const ANY = ">";

/** The status of a direct read that would find too many subjects. */
const TOO_MANY_RESULTS = 413;

/** How often to ask for a message that only some replicas have: each answer comes from one of them by chance. */
const COPY_TRIES = 16;

/** What an event log needs. */
export interface EventLogSetup {
  readonly state: ConnectionState;
  readonly requests: JetStreamRequests;
  /** The names of streams and subjects. */
  readonly layout: Layout;
  /** The stream as it is when the log is opened. */
  readonly config: StreamConfig;
  /** How long a read may wait for a leader or a connection, in milliseconds. */
  readonly patience: number;
  /** Takes what an operator should know. */
  readonly warn: Warn;
  /** How a configuration differs from what the store needs. */
  readonly differences: (config: StreamConfig) => readonly SettingDifference[];
}

/** What a store knows of the stream. */
interface Knowledge {
  readonly expiry: Expiry;
  readonly replicas: Replicas;
  readonly config: ObservedConfig;
  readonly leadership: Leadership;
  readonly identity: StreamIdentity;
  /** The greatest sequence that this store has seen. */
  highest: number;
}

/** Reads the stream. */
export class EventLog {
  /** The names of streams and subjects. */
  readonly layout: Layout;
  readonly requests: JetStreamRequests;
  readonly #setup: EventLogSetup;
  readonly #known: Knowledge;
  readonly #signal: AbortSignal | undefined;

  /**
   * @param signal Ends every wait with its reason.
   * @param known What is shared with the log that it is derived from.
   */
  constructor(setup: EventLogSetup, signal?: AbortSignal, known?: Knowledge) {
    this.#setup = setup;
    this.#signal = signal;
    this.requests = setup.requests;
    this.layout = setup.layout;
    this.#known = known ?? this.#knowledge();
  }

  #knowledge(): Knowledge {
    const { requests, layout, differences, warn } = this.#setup;
    const config = new ObservedConfig(this.#setup.config, layout.stream, differences, warn);
    return {
      expiry: new Expiry(() => config.expires, () => this.#timeLeft()),
      replicas: new Replicas(layout.stream, warn),
      config,
      leadership: new Leadership(),
      identity: new StreamIdentity(requests, layout, config),
      highest: 0,
    };
  }

  /** The same log, of which every wait ends with the signal's reason. */
  until(signal: AbortSignal | undefined): EventLog {
    return signal ? new EventLog(this.#setup, signal, this.#known) : this;
  }

  /** Whether the connection is closed and stays closed. */
  get isClosed(): boolean {
    return this.#setup.state.isClosed;
  }

  /** Why the connection is down now, if the server refuses its credentials. */
  get refusal(): BackendError | undefined {
    return refusalOf(this.#setup.state.connection);
  }

  /** The greatest sequence that this store has seen. */
  get highest(): number {
    return this.#known.highest;
  }

  /** Remembers that a sequence was seen. */
  saw(sequence: number): void {
    if (sequence > this.#known.highest) this.#known.highest = sequence;
  }

  /** Whether messages may have expired. */
  get expiry(): Expiry {
    return this.#known.expiry;
  }

  /** The stream's configuration as it was last seen: an operator may change it. */
  get config(): ObservedConfig {
    return this.#known.config;
  }

  /** Whether messages may have expired, by the stream as it is now: before something is reported as lost. */
  async mayHaveExpired(): Promise<boolean> {
    if (!this.config.expires) await this.info();
    return this.config.expires;
  }

  /** What is known of the servers that keep the stream. */
  get replicas(): Replicas {
    return this.#known.replicas;
  }

  /** Whether the log was deleted or replaced when it was last checked. */
  get isReplaced(): boolean {
    return this.#known.identity.isReplaced;
  }

  /**
   * The last message of a subject, from the leader. A server also reports no message if it cannot read it, so that
   * `undefined` is returned only if no replica counts one.
   *
   * @throws {DamagedHistoryError} If the last message is counted, and cannot be read.
   */
  async lastOf(subject: string): Promise<StoredMessage | undefined> {
    const message = await this.#get({ last_by_subj: subject });
    return message ?? await this.#confirmNone(subject);
  }

  /** Whether no message of these subjects is counted, by any one replica. */
  async countsNone(subjects: readonly string[]): Promise<boolean> {
    const { messages, isUnreadable } = await this.requests.getLastOfSubjects(this.layout.stream, subjects);
    return messages.length === 0 && !isUnreadable;
  }

  /** Whether nothing that a filter chooses is counted. */
  async hasNone(filter: string): Promise<boolean> {
    try {
      return await this.#patiently(() => this.#answered(() => this.countsNone([filter])));
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === TOO_MANY_RESULTS) return false;
      throw error;
    }
  }

  /** The first message of a subject from a sequence on, from the leader. The server scans for it: use it rarely. */
  nextOf(subject: string, sequence: number): Promise<StoredMessage | undefined> {
    return this.#get({ next_by_subj: subject, seq: sequence });
  }

  /** The last message, of all or of those that a filter chooses, from the leader. */
  last(filter = ANY): Promise<StoredMessage | undefined> {
    const read = (): Promise<StoredMessage | undefined> => this.#ofThisLog({ last_by_subj: filter });
    if (filter !== ANY) return read();
    return this.upToDate(read, (last) => last !== undefined && last.sequence < this.#known.highest);
  }

  /**
   * Repeats a read that returns less than is known to be stored, as long as it may come from a deposed leader that has
   * not noticed it. Only a confirmed leader may report that something is lost.
   */
  upToDate<T>(read: () => Promise<T>, isBehind: (found: T) => boolean): Promise<T> {
    return this.#known.leadership.upToDate(read, isBehind, () => this.info(), this.#signal);
  }

  /** Whether there has been one leader for so long that a refusal is certain. */
  hasSettledLeader(): Promise<boolean> {
    return this.#known.leadership.isSettled(() => this.info());
  }

  /** The first message that is kept, from the leader. */
  first(): Promise<StoredMessage | undefined> {
    return this.#ofThisLog({ next_by_subj: ANY, seq: 1 });
  }

  /** The sequence of the first message that is kept, from the leader; `Infinity` if there is none. */
  async firstSequence(): Promise<number> {
    return (await this.first())?.sequence ?? Infinity;
  }

  /** The sequence of the last message, also of one that has expired. */
  async lastSequence(): Promise<number> {
    return (await this.last())?.sequence ?? (await this.info()).state.last_seq;
  }

  /** The message at a sequence, from the leader. */
  at(sequence: number): Promise<StoredMessage | undefined> {
    return this.#get({ seq: sequence });
  }

  /**
   * Messages by sequence, pipelined, from any replica; one that a replica does not have is asked for again from the
   * leader, and one that the leader does not have from the others. `undefined` stands for one that none of them has.
   */
  async all(sequences: readonly number[]): Promise<(StoredMessage | undefined)[]> {
    const messages = await this.#direct(sequences);
    const missing = (): number[] => Array.from(messages.keys()).filter((index) => !messages[index]);
    await Promise.all(missing().map(async (index) => messages[index] = await this.at(sequences[index]!)));
    const lost = missing();
    if (lost.length === 0 || !await this.#isReplicated()) return messages;
    const kept = await this.mayHaveExpired() ? await this.firstSequence() : 1; // read after the misses
    for (const index of lost) {
      if (sequences[index]! >= kept) messages[index] = await this.#fromOthers(sequences[index]!);
    }
    return messages;
  }

  /**
   * What the server reports about the stream. Its counts may be stale.
   *
   * @throws {LogReplacedError} If the stream is not the log that was opened.
   */
  info(): Promise<StreamInfo> {
    return this.#patiently(() => this.#known.identity.info());
  }

  /** A reader of the stream in order. It ends with an error when the stream is gone or another one. */
  consumer(options: Omit<OrderedConsumerOptions, "stream" | "patience" | "signal">): OrderedConsumer {
    return new OrderedConsumer(this.#setup.state, this.requests, {
      ...options,
      stream: this.layout.stream,
      signal: this.#signal,
      patience: this.#setup.patience,
      chooseServer: options.filterSubjects ? this.#chooseServer : undefined,
      check: async (passed, last) => {
        await this.assertSame();
        await options.check?.(passed, last);
      },
    });
  }

  /**
   * Checks that the stream is still the log that was opened.
   *
   * @throws {LogReplacedError} If it is another one, or does not exist.
   */
  async assertSame(): Promise<void> {
    await this.#known.identity.info();
  }

  /**
   * Checks the same if no stream took a message, as far as it can be known now: an election passes.
   *
   * @throws {LogReplacedError} If it is another one, or does not exist.
   */
  assertNotReplaced(): Promise<void> {
    return this.#known.identity.assertNotReplaced();
  }

  /** For how long the first message is still kept, in milliseconds; NaN if it is gone. */
  async #timeLeft(): Promise<number> {
    const first = this.config.expires ? await this.at(1) : undefined;
    const { ts, config, state } = await this.#known.identity.info(); // which also notices that the log was replaced
    if (!this.config.expires) return Infinity;
    // An empty log has no first message, and nothing of it has expired.
    const begun = first ? Date.parse(first.time) : state.last_seq === 0 ? Date.parse(ts ?? "") : NaN;
    return retentionOf(config) - (Date.parse(ts ?? "") - begun);
  }

  /** Compares the leader's answer that a subject has no message with what the replicas count. */
  async #confirmNone(subject: string): Promise<StoredMessage | undefined> {
    const { stream } = this.layout;
    for (let attempt = 1;; attempt++) {
      const { messages: [copy], isUnreadable } = await this.#patiently(
        () => this.#answered(() => this.requests.getLastOfSubjects(stream, [subject])),
      );
      if (!copy && !isUnreadable) return undefined;
      const message = await this.#get({ last_by_subj: subject });
      if (message) return message;
      const isReplicated = await this.#isReplicated();
      if (copy && isReplicated) {
        await this.#noteLacking(copy.sequence);
        return copy;
      }
      // Any replica may answer. A single server is asked twice, because messages arrive and expire.
      if (attempt < (isReplicated ? COPY_TRIES : 2)) continue;
      throw new DamagedHistoryError("the server counts commits of it, and cannot read the last one", {
        actorId: this.layout.actorId(subject),
      });
    }
  }

  /** Direct reads of a stream that does not exist find no responder, as during an election. */
  async #answered<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof NoAnswerError && error.why === "no responders") await this.assertNotReplaced();
      throw error;
    }
  }

  /** A message that the leader does not have, from the other replicas. */
  async #fromOthers(sequence: number): Promise<StoredMessage | undefined> {
    const copies = await this.#direct(new Array(COPY_TRIES).fill(sequence));
    const copy = copies.find((found) => found !== undefined);
    if (copy) await this.#noteLacking(sequence);
    return copy;
  }

  /** Whether several servers keep each message, by the stream as it is now: before something is reported as lost. */
  async #isReplicated(): Promise<boolean> {
    if (!this.config.isReplicated) await this.info();
    return this.config.isReplicated;
  }

  /** Where a consumer with a filter may run, unless a single server keeps the stream. */
  readonly #chooseServer = (): Promise<(server: string) => boolean> | undefined =>
    this.config.isSingle ? undefined : this.#known.identity.info().then((info) => this.replicas.choose(info));

  /** Notes that the leader lacks a message that another replica has. */
  #noteLacking(sequence: number): Promise<void> {
    return this.replicas.noteLacking(sequence, async () => (await this.info()).cluster?.leader);
  }

  #direct(sequences: readonly number[]): Promise<(StoredMessage | undefined)[]> {
    const { stream } = this.layout;
    return this.#patiently(() => this.requests.getDirect(stream, sequences, this.#signal));
  }

  #get(query: MessageQuery): Promise<StoredMessage | undefined> {
    const { stream } = this.layout;
    return this.#patiently(() => this.#known.identity.found(() => this.requests.getMessage(stream, query)));
  }

  /** A message that may be of any actor: that there is none, or one of another log, may mean that the log was replaced. */
  async #ofThisLog(query: MessageQuery): Promise<StoredMessage | undefined> {
    const message = await this.#get(query);
    if (!message || !this.layout.holds(message.subject)) await this.info();
    return message;
  }

  #patiently<T>(read: () => Promise<T>): Promise<T> {
    return retryTransient(this.#setup.patience, read, () => this.isClosed, this.#signal);
  }
}
