/**
 * Orders over HTTP.
 *
 *     POST /orders                     places an order: { customer, items: [{ article, quantity, price }] }
 *     GET  /orders/ID                  the order, with its version as the ETag
 *     POST /orders/ID/payment          { amount }
 *     POST /orders/ID/shipment         { tracking }
 *     POST /orders/ID/cancellation     { reason }
 *
 * A command with `If-Match: "3"` is meant for version 3: if another writer was first, it is refused with 409 and the
 * ETag of the present version. One with an `Idempotency-Key` can be sent again when its answer was lost: it is done
 * once, and answered alike. What is refused comes as `application/problem+json`.
 *
 * @module
 */
import { type EventStore, replay } from "@flowmade-one/aether/deno-kv";
import { type CommandAnswer, executeRequest } from "./execute_request.ts";
import { type Order, order, type OrderCommand, type OrderEvent, OrderNotFound } from "./order.ts";
import { HttpProblem, problemResponse } from "./problem.ts";
import { type Body, expectedVersionOf, idempotencyKeyOf, readBody, readCommand } from "./requests.ts";

const COMMANDS: ReadonlyMap<string | undefined, (body: Body) => OrderCommand> = new Map([
  ["payment", readCommand.pay],
  ["shipment", readCommand.ship],
  ["cancellation", readCommand.cancel],
]);
const PATH = new URLPattern({ pathname: "/orders{/:id([A-Za-z0-9-]{1,64})}?{/:command}?" });

/** Makes the handler of requests, over any store. */
export function serveOrders(store: EventStore<OrderEvent>): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return await answer(store, request);
    } catch (error) {
      return problemResponse(error);
    }
  };
}

async function answer(store: EventStore<OrderEvent>, request: Request): Promise<Response> {
  const { id, command } = PATH.exec(request.url)?.pathname.groups ?? {};
  const path = new URL(request.url).pathname;
  if (path === "/orders") {
    allow(request, "POST");
    return await place(store, request);
  }
  if (id !== undefined && command === undefined) {
    allow(request, "GET");
    return await show(store, id, request);
  }
  const read = COMMANDS.get(command);
  if (id === undefined || !read) throw new HttpProblem(404, `there is nothing at ${path}`);
  allow(request, "POST");
  const asked = read(await readBody(request));
  const done = await executeRequest(store, actorOf(id), order, asked, {
    expectedVersion: expectedVersionOf(request),
    idempotencyKey: idempotencyKeyOf(request),
  });
  return orderResponse(id, done);
}

/** The key of the request names the order too, so that a repetition comes to the same one. */
async function place(store: EventStore<OrderEvent>, request: Request): Promise<Response> {
  const asked = readCommand.place(await readBody(request));
  const idempotencyKey = idempotencyKeyOf(request);
  const id = idempotencyKey === undefined ? crypto.randomUUID() : await nameOf(idempotencyKey);
  const done = await executeRequest(store, actorOf(id), order, asked, { idempotencyKey });
  return orderResponse(id, done, { status: 201, headers: { location: `/orders/${id}` } });
}

async function show(store: EventStore<OrderEvent>, id: string, request: Request): Promise<Response> {
  const found = await replay(store, actorOf(id), order);
  if (found.version === 0) throw new OrderNotFound("there is no such order");
  const headers = { etag: `"${found.version}"` };
  const isKnown = request.headers.get("if-none-match") === headers.etag;
  return isKnown ? new Response(null, { status: 304, headers }) : orderResponse(id, found);
}

function orderResponse(
  id: string,
  { state, version }: CommandAnswer<Order>,
  { status = 200, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): Response {
  return Response.json({ id, version, ...state }, {
    status,
    headers: { ...headers, etag: `"${version}"` },
  });
}

function actorOf(id: string): string {
  return `order.${id}`;
}

function allow(request: Request, method: string): void {
  if (request.method === method) return;
  throw new HttpProblem(405, `${request.method} is not possible here`, { allow: method });
}

/** The same name for the same key, and the key cannot be derived from it. */
async function nameOf(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  return new Uint8Array(digest).toHex().slice(0, 32);
}
