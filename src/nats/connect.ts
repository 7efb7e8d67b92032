/**
 * Connects to NATS by URL. The transport is loaded then, not before.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, type OptionNames } from "../options.ts";
import { type Warn, warner } from "../warning.ts";
import { type NatsConnection, requireConnection } from "./connection.ts";
import { credentialsRefused, serverUnreachable, tlsFailed } from "./errors.ts";
import { isRefusal, watchRefusals } from "./refusals.ts";
import { parseFaster } from "./message_parser.ts";
import { noteOpened } from "./sender.ts";
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

const CLIENT_CREDENTIALS = ["user", "token", "authenticator"] as const;

function hasCredentials(client: Readonly<Record<string, unknown>> = {}): boolean {
  return CLIENT_CREDENTIALS.some((name) => client[name] !== undefined);
}

/** Neither the runtime nor the client has a class for what can go wrong with TLS. */
function isOfTls(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (/\btls\b|certificate|handshake|\bssl\b|UnknownIssuer/i.test(inner.message)) return true;
  }
  return false;
}

/** What the client is given for the credentials of the options; `undefined` if there are none. */
async function credentialsOf(
  { user, pass, token, credentials, nkey }: ConnectOptions,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  for (const [name, value] of Object.entries({ user, pass, token, credentials, nkey })) {
    if (value !== undefined && (typeof value !== "string" || value === "")) {
      throw new InvalidArgumentError(`options.connect.${name}`, "must be a string that is not empty");
    }
  }
  if ([user, token, credentials, nkey].filter((value) => value !== undefined).length > 1) {
    throw new InvalidArgumentError("options.connect", "must have one of user, token, credentials and nkey");
  }
  if (user === undefined && pass !== undefined) {
    throw new InvalidArgumentError("options.connect.user", "is missing: a password needs a user");
  }
  if (user !== undefined) return pass === undefined ? { user } : { user, pass };
  if (token !== undefined) return { token };
  if (credentials !== undefined) {
    const text = await credentialsText(credentials);
    const { credsAuthenticator } = await import("@nats-io/nats-core");
    await checkSeed("options.connect.credentials", SEED_IN_CREDENTIALS.exec(text)?.[1]);
    return { authenticator: credsAuthenticator(new TextEncoder().encode(text)) };
  }
  if (nkey === undefined) return undefined;
  await checkSeed("options.connect.nkey", nkey.trim());
  const { nkeyAuthenticator } = await import("@nats-io/nats-core");
  return { authenticator: nkeyAuthenticator(new TextEncoder().encode(nkey.trim())) };
}

const SEED_IN_CREDENTIALS = /BEGIN USER NKEY SEED-+\s*(\S+)\s/;

/** Refuses what is no seed here: the client would refuse it while it connects, as if no server answered. */
async function checkSeed(argument: string, seed: string | undefined): Promise<void> {
  const { nkeys } = await import("@nats-io/nats-core");
  try {
    if (seed?.startsWith("SU")) return nkeys.fromSeed(new TextEncoder().encode(seed)).clear();
  } catch {
    // refused below, without the cause, which is about a secret
  }
  throw new InvalidArgumentError(argument, "must hold the whole seed of a user, which begins with SU");
}

/** The text of a credentials file, with the line breaks that the client expects. No message holds a part of it. */
async function credentialsText(credentials: string): Promise<string> {
  const argument = "options.connect.credentials";
  let text = credentials;
  if (!credentials.includes("-----BEGIN")) {
    try {
      text = await Deno.readTextFile(credentials);
    } catch (error) {
      // Not as the cause: its message has what was given, which may be a secret.
      const why = error instanceof Error ? error.name : "unknown";
      throw new InvalidArgumentError(
        argument,
        `is no text of a credentials file, and no file can be read at that path (${why})`,
      );
    }
  }
  if (!/BEGIN NATS USER JWT-+\s+[\w-]+\.[\w-]+\.[\w-]+\s[^]*BEGIN USER NKEY SEED-/.test(text)) {
    throw new InvalidArgumentError(argument, "must hold the JWT of a NATS user and the seed of its nkey");
  }
  return text.replace(/\r\n?/g, "\n");
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

interface ServerUrl {
  /** Host and port, without credentials, as messages may show it. */
  readonly host: string;
  /** What the client connects to. */
  readonly address: string;
  readonly webSocket: boolean;
  readonly tls: boolean;
  readonly credentials?: { readonly user: string; readonly pass: string } | { readonly token: string };
}

/**
 * The URLs of a list in one string. A password may have commas too.
 *
 * @throws {InvalidArgumentError} If a comma may be part of a password, or between two servers.
 */
function splitUrls(text: string): string[] {
  return text.split(/,(?=\s*[a-z]+:\/\/)/i).flatMap((part) => {
    const [, scheme = "", rest = ""] = /^(\s*[a-z]+:\/\/)?([^]*)$/i.exec(part) ?? [];
    const at = rest.lastIndexOf("@") + 1;
    const credentials = rest.slice(0, at);
    // "host:4222,user:pass@host" has no scheme that separates the servers, nor has "user:pass@host,user:pass@host".
    const mayBeServers = credentials.includes(",") &&
      (/^[^:@,]*(:\d*)?,/.test(credentials) || credentials.indexOf("@") !== at - 1);
    if (mayBeServers) {
      throw new InvalidArgumentError(
        "url",
        "has a comma that may be part of a password. Give an array of URLs, or user and pass in the options of connect.",
      );
    }
    const [first = "", ...others] = rest.slice(at).split(",");
    return [scheme + credentials + first, ...others];
  });
}

function parseServerUrl(text: string): ServerUrl {
  const trimmed = text.trim();
  // "localhost:4222" is a common way to name a server; URL would take "localhost" for its scheme.
  const [, scheme = "nats://", rest = ""] = /^([a-z]+:\/\/)?([^]*)$/i.exec(trimmed) ?? [];
  // A password may hold "/" and "%", which end the authority of a URL, or begin an escape: it is taken off before.
  const at = rest.lastIndexOf("@");
  const parsed = URL.parse(scheme + rest.slice(at + 1));
  if (!parsed || !["nats:", "tls:", "ws:", "wss:"].includes(parsed.protocol) || parsed.host === "") {
    // The text itself may hold a password.
    throw new InvalidArgumentError("url", "must look like nats://host:4222, tls:, ws: or wss:");
  }
  const { protocol, host } = parsed;
  const webSocket = protocol === "ws:" || protocol === "wss:";
  const [user = "", ...pass] = at < 0 ? [] : rest.slice(0, at).split(":");
  const password = unescaped(pass.join(":"));
  return {
    host,
    address: webSocket ? `${protocol}//${host}${parsed.pathname}` : host,
    webSocket,
    tls: protocol === "tls:",
    ...(user === "" ? {} : {
      credentials: password === "" ? { token: unescaped(user) } : { user: unescaped(user), pass: password },
    }),
  };
}

/** A part of a URL, decoded; unchanged if a "%" begins no escape. */
function unescaped(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
