/**
 * The studio: a page that shows what happened to an actor, what the log, its projections and its cluster are like, and whether
 * the log is whole. It is a request handler for a server of your own; `aether studio` serves it on this machine.
 *
 * It needs Deno 2.8 or newer.
 *
 * @example In a server with a sign-in of its own
 * ```ts
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import { studio } from "@flowmade-one/aether/studio";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const answer = studio(store, { path: "/studio" });
 * const isSignedIn = (request: Request) => request.headers.get("cookie") === "session=of-ann";
 * const serve = (request: Request) =>
 *   isSignedIn(request) ? answer(request) : new Response("Sign in first.", { status: 401 });
 *
 * const headers = { cookie: "session=of-ann" };
 * assert.equal((await serve(new Request("http://127.0.0.1/studio/"))).status, 401);
 * assert.equal((await serve(new Request("http://127.0.0.1/studio/", { headers }))).status, 200);
 * ```
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import type { EventStore } from "../store/types.ts";
import { handlerOf } from "./handler.ts";
import { readStudioOptions, type StudioOptions } from "./options.ts";

export type * from "../cluster/mod.ts";
export type * from "../evidence/mod.ts";
export type * from "../projection/mod.ts";
export type { StudioOptions } from "./options.ts";

/**
 * Makes the function that answers the studio's requests. It has no sign-in: your server decides who may call it. It reads,
 * and changes nothing without `write`.
 *
 * @param store The log.
 * @throws {InvalidArgumentError} If an option is out of range.
 *
 * @example With projections and a decider
 * ```ts
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import { InMemoryCheckpoints, type Projection, projectOnce } from "@flowmade-one/aether/projection";
 * import { studio } from "@flowmade-one/aether/studio";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const totals: Projection = { name: "totals", checkpoints: new InMemoryCheckpoints(), handle: () => {} };
 * await projectOnce(store, totals);
 * const order = {
 *   initialState: () => 0,
 *   evolve: (total: number, { data }: { data: { total: number } }) => total + data.total,
 * };
 * const answer = studio(store, { projections: [totals], deciders: { order }, write: true });
 *
 * const response = await answer(new Request("http://127.0.0.1/api/actor/state?actor=order-1&decider=order"));
 * assert.equal((await response.json()).state, 5);
 * ```
 *
 * @category Studio
 */
export function studio<E extends Event>(
  store: EventStore<E>,
  options?: StudioOptions<E>,
): (request: Request) => Promise<Response> {
  const { parts, path } = readStudioOptions(store, options);
  return handlerOf(parts, path);
}
