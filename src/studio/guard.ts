/**
 * Who may use a studio that is served on this machine: the browser that has opened the address with the token.
 *
 * @module
 */

import { timingSafeEqual } from "node:crypto";
import { utf8 } from "../text.ts";
import { ApiFailure } from "./failure.ts";
import { jsonResponse } from "./json.ts";
import { secured } from "./policy.ts";

const TOKEN_BYTES = 24;
const NO_COOKIE =
  "This studio is open to the address that was printed when it was started, with the token at its end. " +
  "Open that address, or start the studio again for a new one.";

/** What a guard protects. */
export interface GuardSetup {
  /** The name or address that the studio listens on. */
  readonly host: string;
  /** The port. */
  readonly port: number;
}

/** Lets the requests of one browser through. */
export class Guard {
  readonly #host: string;
  readonly #port: number;
  readonly #session = newToken();
  /** The token in the address that is printed. */
  readonly token: string = newToken();

  constructor({ host, port }: GuardSetup) {
    this.#host = host;
    this.#port = port;
  }

  /** A host's cookies are sent to each of its ports. */
  get #cookie(): string {
    return `aether-studio-${this.#port}`;
  }

  /** The answer to a request that is not let through; `undefined` for one that is. */
  check(request: Request): Response | undefined {
    const { pathname, searchParams } = new URL(request.url);
    const isApi = pathname.startsWith("/api/");
    const host = request.headers.get("host") ?? "";
    if (!this.#isOwn(host)) {
      const message = `This studio is not "${
        host.slice(0, 100)
      }". Open the address that was printed when it was started.`;
      return refusal(new ApiFailure("forbidden", message), isApi);
    }
    const token = searchParams.get("token");
    if (pathname === "/" && token !== null && isSame(token, this.token)) {
      return secured(
        new Response(null, {
          status: 303,
          headers: {
            "location": "./",
            "set-cookie": `${this.#cookie}=${this.#session}; Path=/; HttpOnly; SameSite=Strict`,
            "cache-control": "no-store",
          },
        }),
      );
    }
    if (isSame(cookieOf(request, this.#cookie), this.#session)) return undefined;
    // A browser does not send the cookie with a link on another site's page, and does with the page's own.
    const isFromElsewhere = /^(cross|same)-site$/.test(request.headers.get("sec-fetch-site") ?? "");
    const refresh = pathname === "/" && token === null && isFromElsewhere;
    return refusal(new ApiFailure("unauthorized", NO_COOKIE), isApi, refresh);
  }

  /** Whether a request has come under a name of this studio: another site's name may lead to this machine, too. */
  #isOwn(host: string): boolean {
    const url = `http://${host}`;
    if (!URL.canParse(url)) return false;
    const { hostname, port } = new URL(url);
    if (Number(port || 80) !== this.#port) return false;
    if (hostname === "localhost" || hostname === "127.0.0.1" || hostname === "[::1]") return true;
    if (hostname === this.#host.toLowerCase() || hostname === `[${this.#host.toLowerCase()}]`) return true;
    // It listens on all addresses of this machine: an address is no name.
    return isAnyAddress(this.#host) && /^(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:.]+\])$/.test(hostname);
  }
}

/** Whether a server listens on all addresses of the machine. */
export function isAnyAddress(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)).toBase64({ alphabet: "base64url" });
}

function cookieOf(request: Request, name: string): string {
  for (const part of (request.headers.get("cookie") ?? "").split(";")) {
    const [key, value = ""] = part.trim().split("=", 2);
    if (key === name) return value;
  }
  return "";
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [utf8(given), utf8(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function refusal(failure: ApiFailure, isApi: boolean, refresh = false): Response {
  if (isApi) return secured(jsonResponse(failure.body, failure.status));
  const again = refresh ? '<meta http-equiv="refresh" content="0">' : "";
  const page =
    `<!doctype html><html lang="en"><head><meta charset="utf-8">${again}<title>Aether studio</title></head>` +
    `<body><main><h1>Aether studio</h1><p>${escapeHtml(failure.message)}</p></main></body></html>`;
  return secured(
    new Response(page, {
      status: failure.status,
      headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" },
    }),
  );
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
