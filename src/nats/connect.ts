/**
 * Connects to NATS by URL. The transport is loaded then, not before.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, type OptionNames } from "../options.ts";
import { type Warn, warner } from "../warning.ts";
import { type NatsConnection, requireConnection } from "./connection.ts";
import { credentialsOf, hasCredentials } from "./credentials.ts";
import { credentialsRefused, serverUnreachable, tlsFailed } from "./errors.ts";
import { isRefusal, watchRefusals } from "./refusals.ts";
import { parseFaster } from "./message_parser.ts";
import { noteOpened } from "./sender.ts";
import { parseServerUrl, splitUrls } from "./server_url.ts";
import { guardSockets } from "./socket_guard.ts";

/**
 * How {@linkcode connectTo} connects.
 *
 * @category NATS
 */
export interface ConnectOptions {
  /** The connection's name in the server's monitoring. @default {"aether"} */
  readonly name?: string;
  /** The first levels of every reply subject, for accounts that may subscribe to no other. @default {"_INBOX"} */
  readonly inboxPrefix?: string;
  /** The user, together with `pass`. Credentials given here win over those in a URL. */
  readonly user?: string;
  /** The user's password. */
  readonly pass?: string;
  /** A token, instead of a user and a password. */
  readonly token?: string;
  /** The path of a credentials file, such as `app.creds`, or the text of one. Reading it needs `--allow-read`. */
  readonly credentials?: string;
  /** The seed of an nkey, which begins with `SU`. */
  readonly nkey?: string;
  /** Settings of TLS in the client's own terms, such as `{ caFile }`; `{}` asks for TLS. @default {as the server wants} */
  readonly tls?: Readonly<Record<string, unknown>>;
  /**
   * Further options of the NATS client, handed on as they are: `authenticator`, `pingInterval` ... They win over what this
   * library sets.
   */
  readonly client?: Readonly<Record<string, unknown>>;
}

const CONNECT_OPTIONS: OptionNames<ConnectOptions> = {
  name: true,
  inboxPrefix: true,
  user: true,
  pass: true,
  token: true,
  credentials: true,
  nkey: true,
  tls: true,
  client: true,
};

/** A suspended server then silences the client for 5 s; with the client's default of 20 s for 23 s (measured). */
const DIAL_TIMEOUT_MS = 2_000;

const RECONNECT_WAIT_MS = 200;
const PING_INTERVAL_MS = 10_000;

/**
 * Connects to a server, or to one of several, by `nats:`, `tls:`, `ws:` or `wss:` URL. The transport is loaded now,
 * not when this module is. A user and a password in a URL are used as such, a user alone is a token. In a list of URLs in
 * one string, a comma before the "@" of a server is part of its password.
 *
 * @param warn Where `credentials-refused` goes, if the server refuses the credentials later.
 * @throws {InvalidArgumentError} If a URL is none, or WebSocket and other URLs are mixed.
 * @throws {BackendError} If no server answers within about 2 s each, or it refuses the credentials.
 */
export async function connectTo(
  url: string | readonly string[],
  options: ConnectOptions = {},
  warn: Warn = warner(undefined),
): Promise<NatsConnection> {
  checkKnown(options, CONNECT_OPTIONS, "options.connect");
  const urls = (typeof url === "string" ? splitUrls(url) : url).map(parseServerUrl);
  const servers = urls.map((server) => server.host);
  const kinds = new Set(urls.map((server) => server.webSocket));
  if (kinds.size !== 1) {
    throw new InvalidArgumentError("url", "must be one or more URLs, either all ws(s): or all nats: or tls:");
  }
  const credentials = await credentialsOf(options) ?? urls.find((server) => server.credentials)?.credentials;
  const client = {
    servers: urls.map((server) => server.address),
    name: options.name ?? "aether",
    timeout: DIAL_TIMEOUT_MS,
    // Two of the three stack traces that the client makes for each request (measured: a third of its time).
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    // Credentials may be refused for a moment, while an operator changes them: the connection outlives that.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    pingInterval: PING_INTERVAL_MS,
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
    ...(urls.some((server) => server.tls) ? { tls: {} } : {}),
    ...(options.tls && { tls: options.tls }),
    ...credentials,
    ...options.client,
  };
  const dial = kinds.has(true) ? await webSocketDialer() : await socketDialer();
  try {
    const connection = noteOpened(await dial(client));
    parseFaster(connection);
    void watchRefusals(connection, servers, warn);
    return connection;
  } catch (error) {
    const given = credentials !== undefined || hasCredentials(options.client);
    if (isRefusal(error)) throw credentialsRefused(servers, error, given);
    if (isOfTls(error)) throw tlsFailed(servers, error);
    throw serverUnreachable(servers, error);
  }
}

/** Neither the runtime nor the client has a class for what can go wrong with TLS. */
function isOfTls(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (/\btls\b|certificate|handshake|\bssl\b|UnknownIssuer/i.test(inner.message)) return true;
  }
  return false;
}

type Dialer = (client: Readonly<Record<string, unknown>>) => Promise<NatsConnection>;

// The transports are loaded when a URL is given: not by a program that hands in a connection, or has no use for NATS.
async function webSocketDialer(): Promise<Dialer> {
  const { wsconnect } = await import("@nats-io/nats-core");
  return wsconnect;
}

async function socketDialer(): Promise<Dialer> {
  const { connect, ProtocolHandler } = await import("@nats-io/transport-node");
  guardSockets(ProtocolHandler.prototype);
  return connect;
}

/** A connection that was handed in, or opened for the purpose. */
export interface OpenedConnection {
  /** The connection. */
  readonly connection: NatsConnection;
  /** Whether it was opened here, and has to be closed with what it was opened for. */
  readonly opened: boolean;
}

/**
 * Takes a connection as it is, and connects to a URL.
 *
 * @throws {InvalidArgumentError} If it is neither.
 * @throws {BackendError} If the connection cannot be made.
 */
export async function openConnection(
  argument: string,
  target: string | readonly string[] | NatsConnection,
  options?: ConnectOptions,
  warn?: Warn,
): Promise<OpenedConnection> {
  if (typeof target === "string" || Array.isArray(target)) {
    const connection = await connectTo(target as string | readonly string[], options, warn);
    return { connection, opened: true };
  }
  const orElse = "the URL of a NATS server, such as nats://127.0.0.1:4222, or ";
  return { connection: requireConnection(argument, target, orElse), opened: false };
}
