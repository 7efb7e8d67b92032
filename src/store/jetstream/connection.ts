/**
 * The part of a NATS connection that the store needs, as structural types: a connection of
 * `@nats-io/transport-node`, of `wsconnect` of `@nats-io/nats-core`, or of any other transport of that line fits.
 *
 * @module
 */
import { AetherError, InvalidArgumentError } from "../../errors.ts";
import { guardSockets } from "./socket_guard.ts";

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
  /** The value of a header; empty if it is absent. */
  get(name: string): string;
}

/** What a publication may carry. */
export interface NatsPublishOptions {
  /** Where the answer shall go. */
  readonly reply?: string;
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

/** What the server said about itself when the connection was made. */
export interface NatsServerInfo {
  /** The server's version, such as `2.15.1`. */
  readonly version: string;
  /** The largest message that it takes, headers included, in bytes. */
  readonly max_payload: number;
  /** Whether it runs JetStream. */
  readonly jetstream?: boolean;
  /** The server's name. */
  readonly server_name: string;
}

/** A NATS connection, as far as the store needs one. */
export interface NatsConnection {
  /** The server's description; undefined while there is no server. */
  readonly info?: NatsServerInfo | undefined;
  /** Sends a message, or buffers it while the connection is down. */
  publish(subject: string, data?: Uint8Array, options?: NatsPublishOptions): void;
  /** Subscribes; the subscription outlives reconnects. */
  subscribe(subject: string, options: NatsSubscriptionOptions): NatsSubscription;
  /** Resolves once the server has seen everything sent so far. */
  flush(): Promise<void>;
  /** The connection's reports from now on. */
  status(): NatsStatusIterable;
  /** Whether the connection was closed for good. */
  isClosed(): boolean;
  /** Closes the connection. */
  close(): Promise<void>;
}

/** How {@linkcode connectTo} connects. */
export interface ConnectOptions {
  /** The connection's name in the server's monitoring. @default {"aether"} */
  readonly name?: string;
  /** The first levels of every reply subject, for accounts that may subscribe to no other. @default {"_INBOX"} */
  readonly inboxPrefix?: string;
  /**
   * Further options of the NATS client, handed on as they are: `user`, `pass`, `token`, `authenticator`, `tls` ...
   * They win over what this library sets.
   */
  readonly client?: Readonly<Record<string, unknown>>;
}

/** No NATS server could be reached, or none took the connection. Check the URL and whether the server runs. */
export class ServerUnreachableError extends AetherError {
  /** The name of the error's class. */
  override readonly name = "ServerUnreachableError";

  /** Names the servers that were tried. */
  constructor(readonly servers: readonly string[], options?: ErrorOptions) {
    super(
      `No NATS server answers at ${servers.join(", ")}. Check the URL, and that the server runs.`,
      options,
    );
  }
}

/** The server refused the credentials. Check user, password, token or credentials file. */
export class CredentialsRejectedError extends AetherError {
  /** The name of the error's class. */
  override readonly name = "CredentialsRejectedError";

  /** Names the servers that were tried. */
  constructor(readonly servers: readonly string[], options?: ErrorOptions) {
    super(`The NATS server at ${servers.join(", ")} refused the credentials.`, options);
  }
}

/** The connection was down for too long, or is closed: the message was not sent. */
export class NotConnectedError extends AetherError {
  /** The name of the error's class. */
  override readonly name = "NotConnectedError";

  /** Says what became of the connection. */
  constructor(message: string, options?: ErrorOptions) {
    super(`${message} Nothing was sent.`, options);
  }
}

/** A message is larger than the server takes: it was not sent. */
export class PayloadTooLargeError extends AetherError {
  /** The name of the error's class. */
  override readonly name = "PayloadTooLargeError";

  /** Names the message's size and the limit, headers included, in bytes. */
  constructor(readonly size: number, readonly limit: number) {
    super(`The message has ${size} bytes, more than the server's max_payload of ${limit}. Nothing was sent.`);
  }
}

/** A suspended server then silences the client for 5 s; with the client's default of 20 s for 23 s (measured). */
const DIAL_TIMEOUT_MS = 2_000;

const RECONNECT_WAIT_MS = 200;
const PING_INTERVAL_MS = 10_000;

/**
 * Connects to a server, or to one of several, by `nats:`, `tls:`, `ws:` or `wss:` URL. The transport is loaded now,
 * not when this module is. A user and a password in a URL are used as such, a user alone is a token.
 *
 * @throws {InvalidArgumentError} if a URL is none, or WebSocket and other URLs are mixed.
 * @throws {ServerUnreachableError} if no server answers within about 2 s each.
 * @throws {CredentialsRejectedError} if the server refuses the credentials.
 */
export async function connectTo(
  url: string | readonly string[],
  options: ConnectOptions = {},
): Promise<NatsConnection> {
  const urls = (typeof url === "string" ? url.split(",") : url).map(parseServerUrl);
  const servers = urls.map((server) => server.host);
  const kinds = new Set(urls.map((server) => server.webSocket));
  if (kinds.size !== 1) {
    throw new InvalidArgumentError("url", "must be one or more URLs, either all ws(s): or all nats: or tls:");
  }
  const withCredentials = urls.find((server) => server.credentials);
  const client = {
    servers: urls.map((server) => server.address),
    name: options.name ?? "aether",
    timeout: DIAL_TIMEOUT_MS,
    // Two of the three stack traces that the client makes for each request (measured: a third of its time).
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    pingInterval: PING_INTERVAL_MS,
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
    ...(urls.some((server) => server.tls) ? { tls: {} } : {}),
    ...withCredentials?.credentials,
    ...options.client,
  };
  try {
    if (kinds.has(true)) {
      const { wsconnect } = await import("@nats-io/nats-core");
      return await wsconnect(client);
    }
    const { connect, ProtocolHandler } = await import("@nats-io/transport-node");
    guardSockets(ProtocolHandler.prototype);
    return await connect(client);
  } catch (error) {
    const refused = error instanceof Error &&
      (error.name === "AuthorizationError" || error.name === "UserAuthenticationExpiredError");
    if (refused) throw new CredentialsRejectedError(servers, { cause: error });
    throw new ServerUnreachableError(servers, { cause: error });
  }
}

interface ServerUrl {
  /** Host and port, without credentials: what may stand in messages. */
  readonly host: string;
  /** What the client connects to. */
  readonly address: string;
  readonly webSocket: boolean;
  readonly tls: boolean;
  readonly credentials?: { readonly user: string; readonly pass: string } | { readonly token: string };
}

function parseServerUrl(text: string): ServerUrl {
  const trimmed = text.trim();
  // "localhost:4222" is a common way to name a server; URL would take "localhost" for its scheme.
  const parsed = URL.parse(trimmed.includes("://") ? trimmed : `nats://${trimmed}`);
  if (!parsed || !["nats:", "tls:", "ws:", "wss:"].includes(parsed.protocol) || parsed.host === "") {
    // The text itself may hold a password.
    throw new InvalidArgumentError("url", "must look like nats://host:4222, tls:, ws: or wss:");
  }
  const { protocol, host, username, password } = parsed;
  const webSocket = protocol === "ws:" || protocol === "wss:";
  const user = decodeURIComponent(username);
  return {
    host,
    address: webSocket ? `${protocol}//${host}${parsed.pathname}` : host,
    webSocket,
    tls: protocol === "tls:",
    ...(user === ""
      ? {}
      : { credentials: password === "" ? { token: user } : { user, pass: decodeURIComponent(password) } }),
  };
}

/** A subject below the connection's inbox prefix that nobody else can guess or own. */
export function createInbox(connection: NatsConnection): string {
  // Both transports keep the options that they were made with, though their types do not say so.
  const { options } = connection as { readonly options?: { readonly inboxPrefix?: string } };
  return `${options?.inboxPrefix ?? "_INBOX"}.${randomToken()}`;
}

/** A name of 32 random characters, legal as one level of a subject. */
export function randomToken(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
