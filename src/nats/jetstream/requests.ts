/**
 * The JetStream API: reads from the stream's leader, pipelined direct reads by sequence, and the administration of streams
 * and consumers.
 *
 * @module
 */
import type { NatsMessage } from "../connection.ts";
import { PayloadTooLargeError } from "../errors.ts";
import { publishAll } from "../publish_all.ts";
import { refusalOf, refusalText } from "../refusals.ts";
import { wireMessage } from "../wire.ts";
import { utf8 } from "../../text.ts";
import type { ConnectionState } from "../connection_state.ts";
import { JetStreamApiError, NoAnswerError, StreamNotFoundError } from "./api_errors.ts";
import type { ConsumerConfig, ConsumerInfo, MessageQuery, StreamConfig, StreamInfo } from "./api_types.ts";
import { ErrorCode } from "./error_codes.ts";
import { DirectReadBudget, DirectReads } from "./direct_reads.ts";
import { type NoAnswer, ReplyInbox, type Waiter } from "./reply_inbox.ts";
import {
  directStatus,
  readDirectMessages,
  readLeaderMessage,
  type StoredMessage,
  UnreadableAnswerError,
} from "./stored_message.ts";
import type { Bytes } from "./text_run.ts";

/** What a replica has of the last messages of subjects. */
export interface LastOfSubjects {
  /** Those that it could read, in the order of the stream. */
  readonly messages: readonly StoredMessage[];
  /** Whether there is a further one that it counts and cannot read. */
  readonly isUnreadable: boolean;
}

/** How {@linkcode JetStreamRequests} asks. */
export interface RequestsOptions {
  /** The first levels of the API's subjects; `$JS.<domain>.API` for a domain. @default {"$JS.API"} */
  readonly apiPrefix?: string;
  /** How long an answer may take, in milliseconds. @default {5000} */
  readonly timeout?: number;
  /** How many direct reads may be in flight at once. @default {256} */
  readonly maxDirectReads?: number;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_API_PREFIX = "$JS.API";
const DEFAULT_MAX_DIRECT_READS = 256;
/** How direct reads end, and the description of the answer if the server counts no message. */
const STATUS_END = 204;
const STATUS_NOT_FOUND = 404;
const NO_RESULTS = "No Results";

const decoder = new TextDecoder();

/** Sends requests until `close()`. */
export class JetStreamRequests {
  readonly #state: ConnectionState;
  readonly #inbox: ReplyInbox;
  readonly #maxDirectReads: number;
  readonly #budget = new DirectReadBudget();
  readonly #closing = new AbortController();
  /** The first levels of the API's subjects. */
  readonly apiPrefix: string;

  /** Subscribes to its inbox. The connection stays the caller's. */
  constructor(state: ConnectionState, options: RequestsOptions = {}) {
    this.#state = state;
    this.#inbox = new ReplyInbox(state, options.timeout ?? DEFAULT_TIMEOUT_MS);
    this.apiPrefix = options.apiPrefix ?? DEFAULT_API_PREFIX;
    this.#maxDirectReads = options.maxDirectReads ?? DEFAULT_MAX_DIRECT_READS;
  }

  /** Aborts when these are closed: the wait before another try need not go on. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Ends the inbox: what still waits, and each later request, gets a {@linkcode NoAnswerError}. */
  close(): void {
    this.#closing.abort(new NoAnswerError(this.apiPrefix, "closed"));
    this.#inbox.close("closed");
  }

  /**
   * Sends a request to the API and returns its JSON answer.
   *
   * @throws {StreamNotFoundError} If the stream does not exist.
   * @throws {JetStreamApiError} If the server answers with another error.
   * @throws {NoAnswerError} If it does not answer.
   * @throws {UnreadableAnswerError} If the answer is not a JSON object.
   */
  async request<Answer>(operation: string, body?: unknown): Promise<Answer> {
    const subject = `${this.apiPrefix}.${operation}`;
    const { data } = await this.#one(subject, body === undefined ? "" : JSON.stringify(body));
    const answer = parseAnswer(subject, data);
    if (answer.error) throw apiError(subject, answer.error);
    return answer as Answer;
  }

  /**
   * Reads one message from the stream's leader: never stale, except from a leader that is cut off and has not noticed.
   * `undefined` if there is no such message.
   *
   * @throws {StreamNotFoundError} If the stream does not exist.
   * @throws {JetStreamApiError} If the server answers with another error.
   * @throws {NoAnswerError} If it does not answer.
   */
  async getMessage(stream: string, query: MessageQuery): Promise<StoredMessage | undefined> {
    try {
      return readLeaderMessage(await this.request(`STREAM.MSG.GET.${stream}`, query));
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === ErrorCode.noMessage) return undefined;
      throw error;
    }
  }

  /**
   * Reads messages by sequence, pipelined, from any replica: `undefined` for a message that the replica does not
   * have (yet). Only a read from the leader shows whether it is missing.
   *
   * @param signal Ends them: no more are asked for.
   * @throws {NoAnswerError} If one of them gets no answer.
   */
  async getDirect(
    stream: string,
    sequences: readonly number[],
    signal?: AbortSignal,
  ): Promise<(StoredMessage | undefined)[]> {
    if (sequences.length === 0) return [];
    const subject = `${this.apiPrefix}.DIRECT.GET.${stream}`;
    const reads = new DirectReads(subject, sequences, this.#maxDirectReads, this.#budget, {
      refused: (status, description) => new JetStreamApiError(subject, status, description),
      unanswered: (why, description) => this.#noAnswer(subject, why, description),
    }, signal);
    let reply: string | undefined;
    return await reads.run((sequences) => {
      const isFirst = reply === undefined;
      try {
        this.#assertReachable(subject);
        reply ??= this.#inbox.expect(reads);
        const bodies = sequences.map((sequence) => `{"seq":${sequence}}`);
        publishAll(this.#state.connection, subject, bodies, reply);
      } catch (error) {
        if (isFirst && reply !== undefined) this.#inbox.withdraw(reply);
        reads.fail(error);
      }
    });
  }

  /**
   * What a replica has of the last messages of exact subjects. Its index counts messages that it cannot read any more.
   *
   * @throws {NoAnswerError} If it does not answer.
   */
  getLastOfSubjects(stream: string, subjects: readonly string[]): Promise<LastOfSubjects> {
    const subject = `${this.apiPrefix}.DIRECT.GET.${stream}`;
    return new Promise((resolve, reject) => {
      const answers: Bytes[] = [];
      this.#ask(JSON.stringify({ multi_last: subjects }), {
        subject,
        onAnswer(message): boolean {
          const wire = wireMessage(message);
          const code = directStatus(wire);
          if (code === 0) {
            answers.push({ bytes: wire.bytes, headerLength: wire.headerLength });
            return false;
          }
          const description = message.headers?.description ?? "";
          const isUnreadable = code === STATUS_NOT_FOUND && description !== NO_RESULTS;
          if (code === STATUS_END || code === STATUS_NOT_FOUND) {
            try {
              resolve({ messages: readDirectMessages(answers), isUnreadable });
            } catch (error) {
              reject(error);
            }
          } else reject(new JetStreamApiError(subject, code, description));
          return true;
        },
        onNoAnswer: (why, description) => reject(this.#noAnswer(subject, why, description)),
      }, reject);
    });
  }

  /** The stream's configuration and state. @throws {StreamNotFoundError} If it does not exist. */
  async streamInfo(stream: string): Promise<StreamInfo> {
    return await this.request(`STREAM.INFO.${stream}`);
  }

  /** Creates a stream; one with the very same configuration is no error. */
  async createStream(config: StreamConfig): Promise<StreamInfo> {
    return await this.request(`STREAM.CREATE.${config.name}`, config);
  }

  /** Changes a stream's configuration. */
  async updateStream(config: StreamConfig): Promise<StreamInfo> {
    return await this.request(`STREAM.UPDATE.${config.name}`, config);
  }

  /** Deletes a consumer; one that does not exist is no error. */
  async deleteConsumer(stream: string, consumer: string): Promise<void> {
    try {
      await this.request(`CONSUMER.DELETE.${stream}.${consumer}`);
    } catch (error) {
      if (!(error instanceof JetStreamApiError && error.code === ErrorCode.consumerNotFound)) throw error;
    }
  }

  /** Creates a consumer; `config` is in the server's own terms. A single filter is also part of the API's subject. */
  async createConsumer(stream: string, config: ConsumerConfig): Promise<ConsumerInfo> {
    const filter = config.filter_subject === undefined ? "" : `.${config.filter_subject}`;
    return await this.request(`CONSUMER.CREATE.${stream}.${config.name}${filter}`, {
      stream_name: stream,
      config,
      action: "create",
    });
  }

  #one(subject: string, body: string): Promise<NatsMessage> {
    return new Promise((resolve, reject) => {
      this.#ask(body, {
        subject,
        onAnswer(message): boolean {
          resolve(message);
          return true;
        },
        onNoAnswer: (why, description) => reject(this.#noAnswer(subject, why, description)),
      }, reject);
    });
  }

  #ask(body: string, waiter: Waiter, reject: (error: unknown) => void): void {
    const data = utf8(body);
    if (data.length > this.#state.maxPayload) {
      return reject(new PayloadTooLargeError(data.length, this.#state.maxPayload));
    }
    let reply: string | undefined;
    try {
      this.#assertReachable(waiter.subject);
      reply = this.#inbox.expect(waiter);
      this.#state.connection.publish(waiter.subject, data, { reply });
    } catch (error) {
      if (reply !== undefined) this.#inbox.withdraw(reply);
      reject(error);
    }
  }

  /** @throws {NoAnswerError} If no answer can come. */
  #assertReachable(subject: string): void {
    if (this.closing.aborted || this.#state.isClosed) throw new NoAnswerError(subject, "closed");
    if (this.#inbox.failure) throw new NoAnswerError(subject, "denied", this.#inbox.failure.message);
    if (!this.#state.isConnected) throw this.#noAnswer(subject, "disconnected");
  }

  #noAnswer(subject: string, why: NoAnswer, description?: string): NoAnswerError {
    if (why === "inbox denied") return new NoAnswerError(subject, "denied", description);
    const refusal = why === "disconnected" ? refusalOf(this.#state.connection) : undefined;
    if (!refusal) return new NoAnswerError(subject, why, description);
    return new NoAnswerError(subject, why, withoutFullStop(refusalText(refusal)), { cause: refusal });
  }
}

function withoutFullStop(sentence: string): string {
  return sentence.replace(/\.$/, "");
}

interface ErrorAnswer {
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string };
}

/** Any subscriber may answer a request that the server's permissions let it hear. */
function parseAnswer(subject: string, data: Uint8Array): ErrorAnswer {
  let answer: unknown;
  try {
    answer = JSON.parse(decoder.decode(data));
  } catch {
    // Below.
  }
  if (typeof answer === "object" && answer !== null) return answer;
  throw new UnreadableAnswerError(
    `The answer to "${subject}" is not that of a NATS server. Find out which program subscribes to that subject.`,
  );
}

function apiError(subject: string, error: NonNullable<ErrorAnswer["error"]>): JetStreamApiError {
  const code = error.err_code ?? error.code ?? 0;
  const ErrorClass = code === ErrorCode.streamNotFound ? StreamNotFoundError : JetStreamApiError;
  return new ErrorClass(subject, code, error.description ?? "");
}
