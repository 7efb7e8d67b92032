/**
 * Serves a studio on this machine.
 *
 * @module
 */

import { Guard, isAnyAddress } from "./guard.ts";
import { handlerOf } from "./handler.ts";
import { failureOf } from "./failure.ts";
import { jsonResponse } from "./json.ts";
import type { StudioParts } from "./parts.ts";
import { secured } from "./policy.ts";

/** Where a studio is served. */
export interface ServeSetup {
  /** The name or address to listen on. */
  readonly host: string;
  /** The port; 0 is any that is free. */
  readonly port: number;
}

/** A studio that is served, until it is disposed of. */
export interface ServedStudio extends AsyncDisposable {
  /** The address to open, with the token. */
  readonly url: string;
}

/**
 * Serves a studio.
 */
export function serveStudio(parts: Omit<StudioParts, "signal">, { host, port }: ServeSetup): ServedStudio {
  const ending = new AbortController();
  const answer = handlerOf({ ...parts, signal: ending.signal }, "");
  const server: Deno.HttpServer<Deno.NetAddr> = Deno.serve({
    hostname: host,
    port,
    onListen: () => {},
    onError: (error) => {
      const failure = failureOf(error);
      return secured(jsonResponse(failure.body, failure.status));
    },
  }, (request) => guard.check(request) ?? answer(request));
  // The first request comes after this: the port is known only now.
  const guard: Guard = new Guard({ host, port: server.addr.port });
  const name = isAnyAddress(host) ? "127.0.0.1" : host;
  return {
    url: `http://${name.includes(":") ? `[${name}]` : name}:${server.addr.port}/?token=${guard.token}`,
    async [Symbol.asyncDispose](): Promise<void> {
      ending.abort(new DOMException("The studio has ended.", "AbortError"));
      await server.shutdown();
    },
  };
}
