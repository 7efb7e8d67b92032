/**
 * The lean pipelined publisher: many acknowledged publications in flight on one connection, and one outcome for each
 * that states exactly what is known. The `publish` of the stock client costs several times as much.
 *
 * @module
 */
import { MessageSender } from "../sender.ts";
import { NotConnectedError, PayloadTooLargeError } from "../errors.ts";
import { refusalOf, refusalText } from "../refusals.ts";
import type { ConnectionListener, ConnectionState } from "../connection_state.ts";
import type { AcknowledgementReader, PublishOutcome } from "./acknowledgement.ts";
import { NoAnswerError } from "./api_errors.ts";
import { AcknowledgementWaiter, type OutgoingMessage, type Publication } from "./publication.ts";
import { ReplyInbox } from "./reply_inbox.ts";

/** How a {@linkcode Publisher} works. */
export interface PublisherOptions {
  /** How many publications may await their acknowledgement; more are queued. @default {1024} */
  readonly maxInFlight?: number;
  /** How long an acknowledgement, or the connection's return, may take, in milliseconds. @default {5000} */
  readonly timeout?: number;
}

/** How one publication is made. */
export interface PublishOptions {
  /** Takes the message out of the queue; once the message is sent, the signal has no effect. */
  readonly signal?: AbortSignal;
  /** Reads the answers. @default {the publisher's own} */
  readonly answers?: AcknowledgementReader;
}

const DEFAULT_MAX_IN_FLIGHT = 1_024;
const DEFAULT_TIMEOUT_MS = 5_000;

/** A publication that has not been sent yet. */
interface Queued {
  readonly messages: readonly OutgoingMessage[];
  readonly publication: Publication;
  readonly answers: AcknowledgementReader;
  readonly release: () => void;
}

/** Publishes to JetStream until `close()`. */
export class Publisher implements ConnectionListener {
  readonly #state: ConnectionState;
  readonly #inbox: ReplyInbox;
  readonly #sender: MessageSender;
  readonly #answers: AcknowledgementReader;
  readonly #maxInFlight: number;
  readonly #timeout: number;
  /** First in, first out; a Set, so that an abort takes its entry out of the middle. */
  readonly #queue = new Set<Queued>();
  #outage: ReturnType<typeof setTimeout> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  #closed = false;
  #isPumping = false;

  /**
   * Subscribes to its inbox. The connection stays the caller's.
   *
   * @param answers Reads the answers: only those of the stream that is published to count.
   */
  constructor(state: ConnectionState, answers: AcknowledgementReader, options: PublisherOptions = {}) {
    this.#state = state;
    this.#answers = answers;
    this.#maxInFlight = options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT;
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT_MS;
    this.#inbox = new ReplyInbox(state, this.#timeout);
    this.#sender = new MessageSender(state.connection);
    state.add(this);
  }

  /** How many publications await their acknowledgement. */
  get inFlight(): number {
    return this.#inbox.waiting;
  }

  /** Whether the next publication is sent at once. */
  get isReady(): boolean {
    return this.#queue.size === 0 && this.#inbox.waiting < this.#maxInFlight && this.#state.isConnected;
  }

  /** How many publications are queued. */
  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Publishes one message. Once it was sent, the promise resolves, with what is known; a rejection means that nothing
   * was sent.
   *
   * @throws {PayloadTooLargeError} If the server does not take a message of that size.
   * @throws {NotConnectedError} If the connection is closed, or stays down for longer than the timeout.
   * @throws {NoAnswerError} If the server denied the inbox.
   */
  publish(message: OutgoingMessage, options?: PublishOptions): Promise<PublishOutcome> {
    return this.publishAll([message], options);
  }

  /**
   * Sends several messages in one go and waits for the acknowledgement of the last one: an atomic batch, whose
   * headers the caller sets (see `batch.ts`).
   *
   * @throws {PayloadTooLargeError} If the server does not take a message of that size.
   * @throws {NotConnectedError} If the connection is closed, or stays down for longer than the timeout.
   * @throws {NoAnswerError} If the server denied the inbox.
   */
  publishAll(messages: readonly OutgoingMessage[], options?: PublishOptions): Promise<PublishOutcome> {
    return new Promise((onOutcome, onNotSent) => {
      this.submit(messages, { onOutcome, onNotSent }, options);
    });
  }

  /**
   * Does what `publishAll()` does, without a promise.
   *
   * @returns Whether it was sent or refused at once; false if it is queued.
   */
  submit(messages: readonly OutgoingMessage[], publication: Publication, options?: PublishOptions): boolean {
    const answers = options?.answers ?? this.#answers;
    const signal = options?.signal;
    if (signal?.aborted) {
      publication.onNotSent(signal.reason);
      return true;
    }
    const sends = this.isReady || this.#closed || this.#state.isClosed;
    if (sends) this.#send(messages, publication, answers);
    else this.#enqueue(messages, publication, answers, signal);
    return sends;
  }

  /** Resolves when nothing is in flight or queued. */
  async idle(): Promise<void> {
    if (this.#inbox.waiting === 0 && this.#queue.size === 0) return;
    this.#idle ??= Promise.withResolvers();
    await this.#idle.promise;
  }

  /** The connection is down: what is queued waits until it is up again, for a timeout at most. */
  onDisconnect(): void {
    if (this.#queue.size > 0) this.#startOutage();
  }

  /** The connection is up again. */
  onReconnect(): void {
    this.#endOutage();
    this.#pump();
  }

  /** The connection is closed. */
  onClose(): void {
    this.#endOutage();
    this.#rejectQueued("The connection was closed.");
  }

  /** Refuses what is queued, and gives up on what is in flight (`disconnected`). Await `idle()` before. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#state.remove(this);
    this.#endOutage();
    this.#rejectQueued("The publisher was closed.");
    this.#inbox.close();
    this.#settleIdle();
  }

  #enqueue(
    messages: readonly OutgoingMessage[],
    publication: Publication,
    answers: AcknowledgementReader,
    signal: AbortSignal | undefined,
  ): void {
    const abort = (): void => {
      this.#drop(queued);
      this.#settleIdle();
      publication.onNotSent(signal?.reason);
    };
    const release = (): void => signal?.removeEventListener("abort", abort);
    const queued: Queued = { messages, publication, answers, release };
    signal?.addEventListener("abort", abort, { once: true });
    this.#queue.add(queued);
    if (!this.#state.isConnected) this.#startOutage();
  }

  #send(
    messages: readonly OutgoingMessage[],
    publication: Publication,
    answers: AcknowledgementReader,
  ): void {
    const fault = this.#faultOf(messages);
    if (fault) return publication.onNotSent(fault);
    const reply = this.#inbox.expect(
      new AcknowledgementWaiter(messages, publication, answers, this.#settled),
    );
    try {
      // Without a pause, so that nothing comes between: the server takes a connection's messages in order.
      for (let index = 0; index < messages.length; index++) {
        this.#sender.publish(messages[index]!, index === messages.length - 1 ? reply : "");
      }
      publication.onSent?.();
    } catch (error) {
      // The client refuses before it sends anything of that message (a blank in the subject, a closed connection);
      // of a batch without its last message the server stores nothing.
      this.#inbox.withdraw(reply);
      publication.onNotSent(new NotConnectedError("The client refused the message.", { cause: error }));
      this.#settled();
    }
  }

  /** Why messages cannot be sent. */
  #faultOf(messages: readonly OutgoingMessage[]): Error | undefined {
    if (messages.length === 0) return new RangeError("There is no message to publish");
    if (this.#closed) return new NotConnectedError("The publisher was closed.");
    if (this.#state.isClosed) return new NotConnectedError("The connection was closed.");
    const { failure } = this.#inbox;
    if (failure) {
      return new NoAnswerError(messages[0]!.subject, "denied", failure.message, { cause: failure });
    }
    const limit = this.#state.maxPayload;
    for (const { data, headers } of messages) {
      const size = data.length + (headers ? headers.encode().length : 0);
      if (size > limit) return new PayloadTooLargeError(size, limit);
    }
    return undefined;
  }

  /** Called when a publication has its outcome. */
  readonly #settled = (): void => {
    if (this.#queue.size > 0) {
      if (this.#isPumping) return;
      this.#isPumping = true;
      queueMicrotask(() => this.#pump());
    } else if (this.#idle) queueMicrotask(() => this.#settleIdle());
  };

  #pump(): void {
    this.#isPumping = false;
    const now = performance.now();
    for (const queued of this.#queue) {
      if (this.#inbox.waiting >= this.#maxInFlight || !this.#state.isConnected) return;
      this.#drop(queued);
      if (queued.publication.isOver?.(now)) {
        queued.publication.onNotSent(new NotConnectedError("The deadline has passed."));
        continue;
      }
      this.#send(queued.messages, queued.publication, queued.answers);
    }
    this.#settleIdle();
  }

  #drop(queued: Queued): void {
    this.#queue.delete(queued);
    queued.release();
    if (this.#queue.size === 0) this.#endOutage();
  }

  #rejectQueued(message: string): void {
    const refusal = refusalOf(this.#state.connection);
    for (const queued of this.#queue) {
      this.#drop(queued);
      queued.publication.onNotSent(
        new NotConnectedError(refusal ? `${message} ${refusalText(refusal)}` : message, { cause: refusal }),
      );
    }
    this.#settleIdle();
  }

  #startOutage(): void {
    this.#outage ??= setTimeout(() => {
      this.#outage = undefined;
      this.#rejectQueued(`The connection was down for ${this.#timeout} ms.`);
    }, this.#timeout);
  }

  #endOutage(): void {
    clearTimeout(this.#outage);
    this.#outage = undefined;
  }

  #settleIdle(): void {
    if (this.#inbox.waiting > 0 || this.#queue.size > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }
}
