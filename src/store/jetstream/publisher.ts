/**
 * The lean pipelined publisher: many acknowledged publications in flight on one connection, and one answer for each
 * that says exactly what is known. The stock `js.publish` costs several times as much (facts, section 4).
 *
 * @module
 */
import type { NatsMessage } from "../../nats/connection.ts";
import { NotConnectedError, PayloadTooLargeError } from "../../nats/errors.ts";
import type { ConnectionListener, ConnectionState } from "./connection_state.ts";
import type { EncodedHeaders } from "../../nats/headers.ts";
import { type NoAnswer, ReplyInbox, type Waiter } from "./reply_inbox.ts";

/** A message on its way to the stream. */
export interface OutgoingMessage {
  /** Its subject, encoded. */
  readonly subject: string;
  /** Its payload. */
  readonly data: Uint8Array;
  /** Its headers, if it has any. */
  readonly headers?: EncodedHeaders;
}

/** The stream has it: an acknowledgement with a sequence above 0. */
export interface Stored {
  /** Tells the outcomes apart. */
  readonly status: "stored";
  /** The stream sequence of the message, of the last one of a batch. */
  readonly sequence: number;
  /** The stream had this message id before: `sequence` is that of the first copy, and nothing was stored now. */
  readonly duplicate: boolean;
}

/** The stream, or the server, said no: it was not stored. */
export interface Refused {
  /** Tells the outcomes apart. */
  readonly status: "refused";
  /** JetStream's error code, such as 10071 (wrong last sequence); 0 if the server denied the publication. */
  readonly code: number;
  /** The server's words. */
  readonly description: string;
}

/** It was sent, and nobody said what became of it: it may be stored already, or later, or never. */
export interface Unknown {
  /** Tells the outcomes apart. */
  readonly status: "unknown";
  /** Why there was no answer. */
  readonly cause: Exclude<NoAnswer, "denied">;
}

/** What is known about a publication that was sent. */
export type PublishOutcome = Stored | Refused | Unknown;

/** How a {@linkcode Publisher} works. */
export interface PublisherOptions {
  /** How many publications may await their acknowledgement; more wait for their turn. @default {1024} */
  readonly maxInFlight?: number;
  /** How long an acknowledgement, or the connection's return, may take, in milliseconds. @default {5000} */
  readonly timeout?: number;
}

/** How one publication is made. */
export interface PublishOptions {
  /** Gives up waiting for its turn; once the message is sent, the signal counts no more. */
  readonly signal?: AbortSignal;
}

const DEFAULT_MAX_IN_FLIGHT = 1_024;
const DEFAULT_TIMEOUT_MS = 5_000;

/** One who has not been sent yet. */
interface Queued {
  readonly messages: readonly OutgoingMessage[];
  readonly resolve: (outcome: PublishOutcome) => void;
  readonly reject: (reason: unknown) => void;
  readonly release: () => void;
}

/** Publishes to JetStream until `close()`. */
export class Publisher implements ConnectionListener {
  readonly #state: ConnectionState;
  readonly #inbox: ReplyInbox;
  readonly #maxInFlight: number;
  readonly #timeout: number;
  /** First in, first out; a Set, so that an abort takes its entry out of the middle. */
  readonly #queue = new Set<Queued>();
  #outage: ReturnType<typeof setTimeout> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  #closed = false;

  /** Subscribes to its inbox. The connection stays the caller's. */
  constructor(state: ConnectionState, options: PublisherOptions = {}) {
    this.#state = state;
    this.#maxInFlight = options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT;
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT_MS;
    this.#inbox = new ReplyInbox(state, this.#timeout);
    state.add(this);
  }

  /** How many publications await their acknowledgement. */
  get inFlight(): number {
    return this.#inbox.waiting;
  }

  /** How many publications wait for their turn. */
  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Publishes one message. Once it was sent, the promise resolves, with what is known; a rejection means that nothing
   * was sent.
   *
   * @throws {PayloadTooLargeError} if the server does not take a message of that size.
   * @throws {NotConnectedError} if the connection is closed, or stays away for longer than the timeout.
   */
  publish(message: OutgoingMessage, options?: PublishOptions): Promise<PublishOutcome> {
    return this.publishAll([message], options);
  }

  /**
   * Sends several messages in one go and waits for the acknowledgement of the last one: an atomic batch, whose
   * headers are the caller's affair (see `batch.ts`).
   *
   * @throws {PayloadTooLargeError} if the server does not take a message of that size.
   * @throws {NotConnectedError} if the connection is closed, or stays away for longer than the timeout.
   */
  publishAll(messages: readonly OutgoingMessage[], options?: PublishOptions): Promise<PublishOutcome> {
    return new Promise((resolve, reject) => {
      const signal = options?.signal;
      if (signal?.aborted) return reject(signal.reason);
      const waits = this.#queue.size > 0 || this.#inbox.waiting >= this.#maxInFlight ||
        !this.#state.isConnected;
      if (!waits || this.#closed || this.#state.isClosed) return this.#send(messages, resolve, reject);

      const abort = (): void => {
        this.#drop(queued);
        this.#settleIdle();
        reject(signal?.reason);
      };
      const release = (): void => signal?.removeEventListener("abort", abort);
      const queued: Queued = { messages, resolve, reject, release };
      signal?.addEventListener("abort", abort, { once: true });
      this.#queue.add(queued);
      if (!this.#state.isConnected) this.#startOutage();
    });
  }

  /** Resolves when nothing is in flight or queued. */
  async idle(): Promise<void> {
    if (this.#inbox.waiting === 0 && this.#queue.size === 0) return;
    this.#idle ??= Promise.withResolvers();
    await this.#idle.promise;
  }

  /** The connection is down: those who wait for their turn wait for its return, for a timeout at most. */
  onDisconnect(): void {
    if (this.#queue.size > 0) this.#startOutage();
  }

  /** The connection is up again. */
  onReconnect(): void {
    this.#endOutage();
    this.#pump();
  }

  /** The connection is closed for good. */
  onClose(): void {
    this.#endOutage();
    this.#rejectQueued("The connection was closed.");
  }

  /** Refuses what waits for its turn, and gives up on what is in flight (`disconnected`). Await `idle()` before. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#state.remove(this);
    this.#endOutage();
    this.#rejectQueued("The publisher was closed.");
    this.#inbox.close();
    this.#settleIdle();
  }

  #send(
    messages: readonly OutgoingMessage[],
    resolve: (outcome: PublishOutcome) => void,
    reject: (reason: unknown) => void,
  ): void {
    const last = messages.at(-1);
    if (!last) return reject(new RangeError("There is no message to publish"));
    if (this.#closed) return reject(new NotConnectedError("The publisher was closed."));
    if (this.#state.isClosed) return reject(new NotConnectedError("The connection was closed."));
    if (this.#inbox.failure) {
      return reject(new NotConnectedError("The server denied the inbox.", { cause: this.#inbox.failure }));
    }
    const limit = this.#state.maxPayload;
    for (const message of messages) {
      const size = message.data.length + (message.headers?.encode().length ?? 0);
      if (size > limit) return reject(new PayloadTooLargeError(size, limit));
    }

    const reply = this.#inbox.expect(new Acknowledgement(last.subject, resolve, this.#settled));
    try {
      const { connection } = this.#state;
      // One turn, so that nothing comes between: the server takes a connection's messages in order.
      for (const message of messages) {
        if (message === last) connection.publish(last.subject, last.data, withReply(reply, last.headers));
        else connection.publish(message.subject, message.data, withReply("", message.headers));
      }
    } catch (error) {
      // The client refuses before it sends anything of that message (a blank in the subject, a closed connection);
      // of a batch without its last message the server stores nothing.
      this.#inbox.withdraw(reply);
      reject(new NotConnectedError("The client refused the message.", { cause: error }));
      this.#settled();
    }
  }

  /** Called when a publication has its outcome. */
  readonly #settled = (): void => {
    if (this.#queue.size > 0) queueMicrotask(() => this.#pump());
    else if (this.#idle) queueMicrotask(() => this.#settleIdle());
  };

  #pump(): void {
    for (const queued of this.#queue) {
      if (this.#inbox.waiting >= this.#maxInFlight || !this.#state.isConnected) return;
      this.#drop(queued);
      this.#send(queued.messages, queued.resolve, queued.reject);
    }
    this.#settleIdle();
  }

  #drop(queued: Queued): void {
    this.#queue.delete(queued);
    queued.release();
    if (this.#queue.size === 0) this.#endOutage();
  }

  #rejectQueued(message: string): void {
    for (const queued of this.#queue) {
      this.#drop(queued);
      queued.reject(new NotConnectedError(message));
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

function withReply(
  reply: string,
  headers: EncodedHeaders | undefined,
): { reply: string; headers?: EncodedHeaders } {
  return headers ? { reply, headers } : { reply };
}

/** Waits for the acknowledgement of one publication. */
class Acknowledgement implements Waiter {
  constructor(
    readonly subject: string,
    readonly resolve: (outcome: PublishOutcome) => void,
    readonly settled: () => void,
  ) {}

  onAnswer(message: NatsMessage): boolean {
    const outcome = readAcknowledgement(message.data);
    // Anybody may subscribe to an event's subject and answer; only the stream's answer counts.
    if (!outcome) return false;
    this.resolve(outcome);
    this.settled();
    return true;
  }

  onNoAnswer(why: NoAnswer, description = ""): void {
    this.resolve(
      why === "denied" ? { status: "refused", code: 0, description } : { status: "unknown", cause: why },
    );
    this.settled();
  }
}

const decoder = new TextDecoder();
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const BRACE = 125;
const COLON = 58;
const QUOTE = 34;
const LETTER_E = 101;
const LETTER_Q = 113;
const LETTER_S = 115;

/**
 * Reads a publish acknowledgement; undefined if it is none. The usual one ends in `"seq":<digits>}`, which is read
 * backwards without parsing JSON. An error answer ends in `"seq":0}`, so that only a sequence above 0 counts there.
 */
export function readAcknowledgement(data: Uint8Array): PublishOutcome | undefined {
  let index = data.length - 1;
  if (data[index] === BRACE) {
    let sequence = 0;
    let scale = 1;
    for (index--; index >= 0; index--) {
      const digit = data[index] as number;
      if (digit < DIGIT_0 || digit > DIGIT_9) break;
      sequence += (digit - DIGIT_0) * scale;
      scale *= 10;
    }
    const afterKey = data[index] === COLON && data[index - 1] === QUOTE && data[index - 2] === LETTER_Q &&
      data[index - 3] === LETTER_E && data[index - 4] === LETTER_S && data[index - 5] === QUOTE;
    if (sequence > 0 && afterKey) {
      return { status: "stored", sequence, duplicate: false };
    }
  }
  return parseAcknowledgement(data);
}

interface AcknowledgementJson {
  readonly error?: { readonly err_code?: number; readonly code?: number; readonly description?: string };
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
}

function parseAcknowledgement(data: Uint8Array): PublishOutcome | undefined {
  let answer: AcknowledgementJson | null;
  try {
    answer = JSON.parse(decoder.decode(data));
  } catch {
    return undefined;
  }
  if (answer === null || typeof answer !== "object") return undefined;
  if (answer.error !== undefined) {
    const { err_code, code, description } = answer.error;
    return { status: "refused", code: err_code ?? code ?? 0, description: description ?? "" };
  }
  if (typeof answer.stream !== "string" || !Number.isSafeInteger(answer.seq) || !answer.seq) return undefined;
  return { status: "stored", sequence: answer.seq, duplicate: answer.duplicate === true };
}
