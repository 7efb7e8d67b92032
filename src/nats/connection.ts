/**
 * The part of a NATS connection that this library needs, as structural types: a connection of
 * `@nats-io/transport-node`, of `wsconnect` of `@nats-io/nats-core`, or of any other transport of that line fits.
 * Nothing of NATS is loaded.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";

/** A message as the connection delivers it. */
export interface NatsMessage {
  /** The subject that it was sent to. */
  readonly subject: string;
  /** Where an answer is expected, if anywhere. */
  readonly reply?: string;
  /** The payload, without headers. */
  readonly data: Uint8Array;
  /** The headers, if it has any. */
  readonly headers?: NatsMessageHeaders;
}

/** The headers of a {@linkcode NatsMessage}. */
export interface NatsMessageHeaders {
  /** The status code of a status message, such as 503; 0 on an ordinary message. */
  readonly code: number;
  /** The text after the status code. */
  readonly description: string;
  /** The names of the headers. */
  keys(): Iterable<string>;
  /** The value of a header; empty if it is absent. */
  get(name: string): string;
}

/** What a publication may carry. */
export interface NatsPublishOptions {
  /** Where to send the answer. */
  readonly reply?: string;
  /** Headers: anything with an `encode()` that gives the header block. */
  readonly headers?: object;
}

/** What a request may carry. */
export interface NatsRequestOptions {
  /** How long to wait for the answer, in milliseconds. */
  readonly timeout: number;
  /** Headers: anything with an `encode()` that gives the header block. */
  readonly headers?: object;
}

/** What a subscription is made with. */
export interface NatsSubscriptionOptions {
  /** Called with each message, or with the error that ended the subscription. */
  readonly callback: (error: Error | null, message: NatsMessage) => void;
}

/** A subscription of the connection. */
export interface NatsSubscription {
  /** Ends the subscription at once. */
  unsubscribe(): void;
  /** Ends the subscription once what the server has sent is delivered. */
  drain(): Promise<void>;
}

/** What the connection reports about itself: `disconnect`, `reconnect`, `close`, `error` and others. */
export interface NatsStatus {
  /** What happened. */
  readonly type: string;
  /** With type `error`: what the server complained about. */
  readonly error?: Error;
}

/** The connection's reports, until it is closed. */
export interface NatsStatusIterable extends AsyncIterable<NatsStatus> {
  /** Ends the iteration. */
  stop?(): void;
}

/** The description that the server gave of itself when the connection was made. */
export interface NatsServerInfo {
  /** The server's version, such as `2.15.1`. */
  readonly version: string;
  /** The largest message that it takes, headers included, in bytes. */
  readonly max_payload: number;
  /** Whether it runs JetStream. */
  readonly jetstream?: boolean;
  /** The JetStream domain that it belongs to, if any. */
  readonly domain?: string;
  /** The server's name. */
  readonly server_name: string;
}

/**
 * A NATS connection, as far as this library needs one.
 *
 * @category NATS
 */
export interface NatsConnection {
  /** The server's description; undefined while there is no server. */
  readonly info?: NatsServerInfo | undefined;
  /** Sends a message, or buffers it while the connection is down. */
  publish(subject: string, data?: Uint8Array, options?: NatsPublishOptions): void;
  /** Sends a message and waits for one answer. */
  request(subject: string, data?: Uint8Array | string, options?: NatsRequestOptions): Promise<NatsMessage>;
  /** Subscribes; the subscription outlives reconnects. */
  subscribe(subject: string, options: NatsSubscriptionOptions): NatsSubscription;
  /** Resolves once the server has seen everything sent so far. */
  flush(): Promise<void>;
  /** The connection's reports from now on. */
  status(): NatsStatusIterable;
  /** Whether the connection was closed. */
  isClosed(): boolean;
  /** Closes the connection. */
  close(): Promise<void>;
}

/** The methods without which nothing works; a connection of any transport has them. */
const METHODS = ["publish", "request", "subscribe", "flush", "status", "isClosed"] as const;

/**
 * Returns what was handed in as a connection.
 *
 * @throws {InvalidArgumentError} If it cannot be one.
 */
export function requireConnection(argument: string, target: unknown, orElse = ""): NatsConnection {
  const connection = target as NatsConnection | null;
  if (
    typeof connection === "object" && connection &&
    METHODS.every((name) => typeof connection[name] === "function")
  ) {
    return connection;
  }
  const is = typeof target === "string" ? "a string" : describe(target); // a URL may hold a password
  throw new InvalidArgumentError(argument, `must be ${orElse}a NATS connection, and is ${is}`);
}

/** A subject below the connection's inbox prefix that no other client can guess or own. */
export function createInbox(connection: NatsConnection): string {
  // Both transports keep the options that they were made with, though their types do not say so.
  const { options } = connection as { readonly options?: { readonly inboxPrefix?: string } };
  return `${options?.inboxPrefix ?? "_INBOX"}.${randomToken()}`;
}

/** A name of 32 random characters, legal as one level of a subject. */
export function randomToken(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
