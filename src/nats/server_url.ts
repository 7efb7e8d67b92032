/**
 * The URLs of NATS servers: `nats:`, `tls:`, `ws:` and `wss:`, with credentials or without.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";

/** The URL of a server, in its parts. */
export interface ServerUrl {
  /** Host and port, without credentials, as messages may show it. */
  readonly host: string;
  /** What the client connects to. */
  readonly address: string;
  /** Whether it is the URL of a WebSocket. */
  readonly webSocket: boolean;
  /** Whether it asks for TLS. */
  readonly tls: boolean;
  /** What comes before the "@": a user and a password, or a token. */
  readonly credentials?: { readonly user: string; readonly pass: string } | { readonly token: string };
}

/**
 * The URLs of a list in one string. A password may have commas too.
 *
 * @throws {InvalidArgumentError} If a comma may be part of a password, or between two servers.
 */
export function splitUrls(text: string): string[] {
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

/**
 * Reads the URL of a server. Without a scheme it is one of `nats:`.
 *
 * @throws {InvalidArgumentError} If it is none.
 */
export function parseServerUrl(text: string): ServerUrl {
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
