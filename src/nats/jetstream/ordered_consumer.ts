/**
 * An ordered subscription to a stream, from a sequence on: history, then live, without gap or duplicate. It is a push
 * consumer of our own that is created again after the last message whenever it falls silent or skips, because the stock
 * one never resumes when the server that hosts it dies.
 *
 * @module
 */
import { backoff, sleep } from "../../sleep.ts";
import { abortable } from "../../abortable.ts";
import { createInbox, type NatsMessage, type NatsSubscription, randomToken } from "../connection.ts";
import { NotConnectedError } from "../errors.ts";
import { headerIn, headerLine, headerText, statusOf, type WireMessage, wireMessage } from "../wire.ts";
import type { ConnectionListener, ConnectionState } from "../connection_state.ts";
import { type Delivery, readDelivery, Subjects } from "./delivery.ts";
import { FlowControl } from "./flow_control.ts";
import { ReadAhead } from "./read_ahead.ts";
import { SilenceMonitor } from "./silence.ts";
import type { ConsumerInfo } from "./api_types.ts";
import { isTransient, NoAnswerError } from "./api_errors.ts";
import type { JetStreamRequests } from "./requests.ts";

/** Where and how an {@linkcode OrderedConsumer} reads. */
export interface OrderedConsumerOptions {
  /** The stream's name. */
  readonly stream: string;
  /** The first stream sequence to deliver. @default {1} */
  readonly startSequence?: number;
  /** Subjects, with wildcards or without, of which a message must match one. @default {all subjects} */
  readonly filterSubjects?: readonly string[];
  /** How often the server reports while it has nothing to deliver, in milliseconds, 100 or more. @default {1000} */
  readonly heartbeat?: number;
  /**
   * How many bytes may wait for the reader before the server is held back. What was sent before still arrives: up to
   * 8 MiB. @default {4194304}
   */
  readonly maxBufferedBytes?: number;
  /** Called with the reason each time the consumer is created again. */
  readonly onReset?: (reason: string) => void;
  /** Whether only the last message of each subject is delivered. @default {false} */
  readonly lastOfEach?: boolean;
  /**
   * Whether a read also returns, with nothing, when the position has moved past messages that the filter left out, or
   * when messages are known to be left out; the server
   * reports it with each heartbeat. @default {false}
   */
  readonly reportProgress?: boolean;
  /** Called before the consumer is created again, to see that the stream is still the same one; what it throws ends the reading. */
  readonly check?: (passed: number, last: Delivery | undefined) => Promise<void>;
  /** A sequence that the stream has reached: before it, the consumer is not at its end when it rests. @default {0} */
  readonly endSequence?: number;
  /** How long the first consumer may wait for a leader or an answer, in milliseconds. @default {0} */
  readonly patience?: number;
  /**
   * Called with each creation: chooses the servers of a cluster that the consumer may run on. The server places it at
   * random, so that it is created until it runs on one of them. `undefined` accepts every server. @default {every server}
   */
  readonly chooseServer?: (() => Promise<(server: string) => boolean> | undefined) | undefined;
  /** Ends the reading at once and deletes the consumer: a read that waits rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_HEARTBEAT_MS = 1_000;
const DEFAULT_MAX_BUFFERED_BYTES = 4 * 1_024 * 1_024;

/** How long the server keeps a consumer whose reader went away without deleting it. */
const INACTIVE_THRESHOLD_MS = 30_000;

/** How often a consumer is created until it runs on a chosen server: one of five is missed so often once in 7,000 times. */
const PLACEMENT_TRIES = 40;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1_000;
const NANOSECONDS = 1_000_000;
const STATUS_CONTROL = 100;

/** What the server's own messages say. */
const STALLED = "Nats-Consumer-Stalled";
const LAST_OF_CONSUMER = "Nats-Last-Consumer";
const LAST_OF_STREAM = "Nats-Last-Stream";

/** Reads a stream in order until `close()`. One reader at a time. */
export class OrderedConsumer implements ConnectionListener, AsyncIterable<Delivery>, AsyncDisposable {
  readonly #state: ConnectionState;
  readonly #requests: JetStreamRequests;
  readonly #options: OrderedConsumerOptions;
  readonly #heartbeat: number;

  /** The last stream sequence that the server has passed, delivered or filtered out. */
  #passed: number;
  /** What the reader knows of that. */
  #reported: number;
  #consumerSequence = 0;
  /** The last message that it took. */
  #last: Delivery | undefined;
  /** How many messages are still to be delivered, as the server counts them. */
  #pending = 0;
  #expected = 0;
  /** How many messages matched when the present consumer was created. */
  #matching = Infinity;
  #isCreated = false;
  /** Whether the present subscription has taken a message, and whether any has. */
  #isHeard = false;
  #wasHeard = false;
  /** What was delivered while it is not known where the consumer runs. */
  #early: NatsMessage[] | undefined;
  #leftOut = 0;
  #reportedLeftOut = 0;
  /** Separates the messages of an older consumer from those of the present one. */
  #generation = 0;
  #name = "";
  #server: string | undefined;
  #subscription: NatsSubscription | undefined;
  readonly #subjects: Subjects;
  readonly #silence: SilenceMonitor;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryDelay = FIRST_RETRY_MS;

  readonly #readAhead = new ReadAhead();
  readonly #flow: FlowControl;
  #failure: { readonly error: unknown } | undefined;
  #started: Promise<void> | undefined;
  #closed = false;

  /** Does nothing yet: see {@linkcode OrderedConsumer.start}. */
  constructor(state: ConnectionState, requests: JetStreamRequests, options: OrderedConsumerOptions) {
    this.#state = state;
    this.#requests = requests;
    this.#options = options;
    this.#subjects = new Subjects(!options.lastOfEach);
    this.#heartbeat = options.heartbeat ?? DEFAULT_HEARTBEAT_MS;
    this.#silence = new SilenceMonitor(this.#heartbeat, () => {
      if (state.isConnected) this.#reset("silent");
    });
    this.#passed = (options.startSequence ?? 1) - 1;
    this.#reported = this.#passed;
    const { maxBufferedBytes = DEFAULT_MAX_BUFFERED_BYTES } = options;
    const hasRoom = (): boolean => this.bufferedBytes <= maxBufferedBytes;
    const source = { hasRoom, renew: (): void => this.#renew() };
    // The last message of each subject: a new consumer begins with the first one again.
    this.#flow = new FlowControl(state.connection, source, !options.lastOfEach);
  }

  /**
   * The stream sequence up to which everything was handed out or did not match the filter; a filtered reader's
   * position moves with it.
   */
  get position(): number {
    const next = this.#readAhead.first;
    return next ? next.sequence - 1 : this.#passed;
  }

  /** The name of the server that the consumer runs on; `undefined` if there is a single one. */
  get server(): string | undefined {
    return this.#server;
  }

  /** How many messages the first consumer was to deliver, as the server counts them; known once it has started. */
  get expected(): number {
    return this.#expected;
  }

  /**
   * Whether everything was handed out that matched when the consumer was created, or created again. What has expired since
   * is not delivered, and then it stays false until as much else is.
   */
  get hasDelivered(): boolean {
    return this.#readAhead.isEmpty && this.#consumerSequence >= this.#matching;
  }

  /** How many messages are still to be delivered, as the server counted them when it sent the last one. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * How many messages the server counts and did not deliver, as far as is known: they have expired meanwhile, or they
   * cannot be read. It is known whenever the consumer rests at its end.
   */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** Whether it was closed. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** How many bytes wait for the reader, or are with it, estimated. */
  get bufferedBytes(): number {
    return this.#readAhead.bytes;
  }

  /**
   * Creates the consumer; reading does so too. Once it resolved, nothing that is stored is missed.
   *
   * @throws {StreamNotFoundError} If the stream does not exist.
   * @throws {JetStreamApiError} If the server refuses the consumer.
   * @throws {NoAnswerError} If the server does not answer.
   */
  start(): Promise<void> {
    return this.#started ??= this.#start();
  }

  /**
   * Takes everything that has arrived, at least one message unless progress is reported; an empty array after
   * `close()`.
   *
   * @throws {StreamNotFoundError} If the stream does not exist any more.
   * @throws {NotConnectedError} If the connection was closed.
   */
  async read(): Promise<readonly Delivery[]> {
    await this.start();
    this.#readAhead.release();
    this.#flow.proceed();
    const { reportProgress = false } = this.#options;
    while (this.#readAhead.isEmpty) {
      if (this.#failure) throw this.#failure.error;
      const hasProgress = this.#passed > this.#reported || this.#leftOut > this.#reportedLeftOut;
      if (this.#closed || (reportProgress && hasProgress)) break;
      await this.#readAhead.wait();
    }
    const messages = this.#readAhead.take();
    this.#reported = this.#passed;
    this.#reportedLeftOut = this.#leftOut;
    this.#flow.proceed();
    return messages;
  }

  /** Hands out message by message; leaving the loop closes the consumer. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery, void, void> {
    try {
      while (true) {
        const messages = await this.read();
        if (messages.length === 0 && this.#closed) return;
        yield* messages;
      }
    } finally {
      this.close();
    }
  }

  /** Ends the reading and deletes the consumer. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#readAhead.clear();
    this.#end();
    this.#readAhead.wake();
  }

  /** Ends the reading and deletes the consumer. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** If the server has more to deliver, it must not do so when the connection is back, in addition to a new consumer. */
  onDisconnect(): void {
    if (this.#pending > 0) this.#flow.noteLoss();
    this.#subscription?.unsubscribe();
  }

  /** What the server sent meanwhile is lost: begin again at once, instead of when the gap shows. */
  onReconnect(): void {
    this.#reset("reconnected");
  }

  /** The refused subscription may be this one, unless it has taken a message. A reader that has begun tries again. */
  onTooManySubscriptions(description: string): void {
    if (this.#isHeard || !this.#subscription) return;
    const error = new NoAnswerError(`CONSUMER.CREATE.${this.#options.stream}`, "timeout", description);
    if (this.#wasHeard) this.#retryLater(this.#generation, error);
    else this.#fail(error);
  }

  /** The connection is closed: what has arrived can still be read, then a read rejects. */
  onClose(): void {
    this.#fail(new NotConnectedError("The connection was closed."));
  }

  async #start(): Promise<void> {
    if (this.#closed) return;
    const { signal } = this.#options;
    signal?.throwIfAborted();
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#state.add(this);
    this.#silence.start();
    const deadline = performance.now() + (this.#options.patience ?? 0);
    for (let attempt = 1;; attempt++) {
      const generation = ++this.#generation;
      try {
        return await this.#create(generation);
      } catch (error) {
        signal?.throwIfAborted();
        if (generation !== this.#generation && !this.#failure) return; // a reset has taken over meanwhile
        if (!isTransient(error) || performance.now() > deadline) {
          this.#fail(error);
          throw error;
        }
        this.#abandon();
        await sleep(backoff(attempt, FIRST_RETRY_MS, LAST_RETRY_MS), signal);
        if (generation !== this.#generation || this.#closed) return;
      }
    }
  }

  /** Gives up the present consumer, without waiting for it, and makes another one after the last message. */
  #reset(reason: string): void {
    if (this.#closed || this.#failure) return;
    this.#abandon();
    const generation = ++this.#generation;
    this.#options.onReset?.(reason);
    void this.#recreate(generation);
  }

  /** Makes the consumer again where the reader is. Nothing was lost, so that the check of the stream need not come first. */
  #renew(): void {
    const { check } = this.#options;
    const pending = this.#pending;
    this.#abandon();
    const generation = ++this.#generation;
    const renewed = this.#create(generation).then(async () => {
      // What the server counted before the reader's place, and has not delivered.
      if (generation === this.#generation) this.#leftOut += Math.max(0, pending - this.#matching);
      await check?.(this.#passed, this.#last);
    });
    renewed.catch((error) => this.#retryLater(generation, error));
  }

  async #recreate(generation: number): Promise<void> {
    try {
      await this.#options.check?.(this.#passed, this.#last);
      if (generation !== this.#generation || this.#closed) return;
      await this.#create(generation);
      this.#retryDelay = FIRST_RETRY_MS;
    } catch (error) {
      this.#retryLater(generation, error);
    }
  }

  #retryLater(generation: number, error: unknown): void {
    if (generation !== this.#generation || this.#closed) return;
    if (!isTransient(error)) return this.#fail(error);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#reset(String(error)), this.#retryDelay);
    this.#retryDelay = Math.min(this.#retryDelay * 2, LAST_RETRY_MS);
  }

  async #create(generation: number): Promise<void> {
    const { chooseServer, signal } = this.#options;
    const choice = chooseServer?.();
    const chosen = choice && abortable(choice, signal);
    chosen?.catch(() => {}); // awaited below, unless the creation fails first
    for (let tries = 1;; tries++) {
      // What is delivered before it is known where the consumer runs.
      const early: NatsMessage[] | undefined = chosen && [];
      const { num_pending, delivered, cluster } = await abortable(
        this.#createOnce(generation, early),
        signal,
      );
      const server = cluster?.leader;
      const isChosen = server === undefined || (await chosen)?.(server) !== false;
      if (generation !== this.#generation) return;
      if (!isChosen && tries < PLACEMENT_TRIES) {
        this.#abandon();
        continue;
      }
      this.#server = server;
      this.#matching = num_pending + (delivered?.consumer_seq ?? 0);
      if (!this.#isCreated) this.#expected = this.#matching;
      this.#isCreated = true;
      if (this.#consumerSequence === 0) this.#pending = num_pending;
      this.#early = undefined;
      for (const message of early ?? []) if (generation === this.#generation) this.#take(message);
      return;
    }
  }

  #createOnce(generation: number, early: NatsMessage[] | undefined): Promise<ConsumerInfo> {
    const { stream, filterSubjects = [], lastOfEach = false } = this.#options;
    const inbox = createInbox(this.#state.connection);
    const name = `aether-${randomToken()}`;
    this.#consumerSequence = 0;
    this.#matching = Infinity;
    this.#silence.restart();
    this.#name = name;
    this.#isHeard = false;
    this.#early = early;
    this.#subscription = this.#state.connection.subscribe(inbox, {
      callback: (error, message) => {
        if (generation !== this.#generation || name !== this.#name) return;
        this.#isHeard = this.#wasHeard = true;
        if (error) this.#fail(new NoAnswerError(inbox, "denied", error.message, { cause: error }));
        else if (this.#early) {
          this.#silence.heard = true;
          this.#early.push(message);
        } else this.#take(message);
      },
    });
    const [first] = filterSubjects;
    return this.#requests.createConsumer(stream, {
      name,
      deliver_subject: inbox,
      ack_policy: "none",
      ...(lastOfEach
        ? { deliver_policy: "last_per_subject" }
        : { deliver_policy: "by_start_sequence", opt_start_seq: this.#passed + 1 }),
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      flow_control: true,
      idle_heartbeat: this.#heartbeat * NANOSECONDS,
      inactive_threshold: INACTIVE_THRESHOLD_MS * NANOSECONDS,
      ...(first === undefined
        ? {}
        : filterSubjects.length === 1
        ? { filter_subject: first }
        : { filter_subjects: filterSubjects }),
    });
  }

  #take(message: NatsMessage): void {
    this.#silence.heard = true;
    const wire = wireMessage(message);
    const delivery = readDelivery(wire, this.#subjects);
    if (!delivery) return this.#control(wire, message);
    if (delivery.consumerSequence !== this.#consumerSequence + 1) {
      return this.#reset(`skipped from ${this.#consumerSequence} to ${delivery.consumerSequence}`);
    }
    this.#consumerSequence = delivery.consumerSequence;
    this.#pending = delivery.pending;
    if (delivery.sequence <= this.#passed) return; // of last messages, a new consumer begins with the first one again
    this.#passed = delivery.sequence;
    this.#last = delivery;
    this.#readAhead.push(delivery);
    this.#flow.took(wire.subject.length + wire.reply.length + wire.bytes.length); // may give the consumer up
  }

  /** A flow-control request, or a heartbeat. */
  #control(wire: WireMessage, { reply }: NatsMessage): void {
    const status = statusOf(wire);
    if (status === 0) return; // not the server's: no other client knows the inbox, but nothing forbids it
    const text = headerText(wire);
    const header = (name: string): string | undefined => headerIn(text, text.length, headerLine(name));
    if (status !== STATUS_CONTROL) return this.#reset(`status ${text.slice(0, text.indexOf("\r\n"))}`);
    // A request for a sign that the messages before it were taken, or a heartbeat that names the missing one.
    const flowControl = reply || header(STALLED);
    if (flowControl) this.#flow.ask(flowControl, !reply);
    const lastOfConsumer = header(LAST_OF_CONSUMER);
    if (!lastOfConsumer) return;
    if (Number(lastOfConsumer) !== this.#consumerSequence) {
      return this.#reset(`heartbeat at ${lastOfConsumer}, received ${this.#consumerSequence}`);
    }
    // Everything that matches up to here has arrived: the filter left out the rest.
    const lastOfStream = Number(header(LAST_OF_STREAM) || 0);
    if (!flowControl && this.#pending > 0 && lastOfStream >= Math.max(1, this.#options.endSequence ?? 0)) {
      this.#leftOut += this.#pending;
      this.#pending = 0;
      this.#readAhead.wake();
    }
    if (this.#readAhead.isEmpty) {
      this.#passed = Math.max(this.#passed, lastOfStream);
      if (this.#options.reportProgress && this.#passed > this.#reported) this.#readAhead.wake();
    }
  }

  readonly #abort = (): void => {
    this.#readAhead.clear();
    this.#fail(this.#options.signal?.reason);
  };

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#failure ??= { error };
    this.#end();
    this.#readAhead.wake();
  }

  #end(): void {
    this.#silence.stop();
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#state.remove(this);
    this.#generation++;
    this.#abandon();
  }

  /** Leaves the consumer to the server: deleted if the message arrives, or else when it was inactive for long enough. */
  #abandon(): void {
    clearTimeout(this.#retry);
    this.#flow.end();
    const { connection } = this.#state;
    if (connection.isClosed() || !this.#subscription) return;
    this.#subscription.unsubscribe();
    this.#subscription = undefined;
    connection.publish(`${this.#requests.apiPrefix}.CONSUMER.DELETE.${this.#options.stream}.${this.#name}`);
  }
}
