/**
 * Connects to NATS by URL. The transport is loaded then, not before.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, type OptionNames } from "../options.ts";
import { type NatsConnection, requireConnection } from "./connection.ts";
import { CredentialsRejectedError, ServerUnreachableError } from "./errors.ts";
import { noteOpened } from "./sender.ts";
import { guardSockets } from "./socket_guard.ts";

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

const CONNECT_OPTIONS: OptionNames<ConnectOptions> = { name: true, inboxPrefix: true, client: true };

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
  checkKnown(options, CONNECT_OPTIONS, "options.connect");
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
  const dial = kinds.has(true) ? await webSocketDialer() : await socketDialer();
  try {
    return noteOpened(await dial(client));
  } catch (error) {
    const refused = error instanceof Error &&
      (error.name === "AuthorizationError" || error.name === "UserAuthenticationExpiredError");
    if (refused) throw new CredentialsRejectedError(servers, { cause: error });
    throw new ServerUnreachableError(servers, { cause: error });
  }
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
 * @throws {ServerUnreachableError | CredentialsRejectedError} If the connection cannot be made.
 */
export async function openConnection(
  argument: string,
  target: string | readonly string[] | NatsConnection,
  options: ConnectOptions = {},
): Promise<OpenedConnection> {
  if (typeof target === "string" || Array.isArray(target)) {
    return { connection: await connectTo(target as string | readonly string[], options), opened: true };
  }
  const orElse = "the URL of a NATS server, such as nats://127.0.0.1:4222, or ";
  return { connection: requireConnection(argument, target, orElse), opened: false };
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
