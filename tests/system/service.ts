/**
 * A process of the whole-system test: takes orders over HTTP, executes those of its own shards under their fencing tokens,
 * sends the others on to their owners, and runs the projections.
 *
 * Arguments: the NATS servers' URLs, the cluster's name, this node's name, a folder for logs, the read models' database.
 *
 * @module
 */

import { execute, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { Coordinator, type OwnedShard } from "@flowmade-one/aether/cluster";
import { DenoKvCheckpoints, JetStreamCheckpoints, runProjection } from "@flowmade-one/aether/projection";
import { openSharedClock } from "../support/monotonic.ts";
import { fulfilment, journal, turnover } from "./projections.ts";
import { type Command, NotAllowedError, orderDecider, SHARDS, type ShopEvent } from "./shop.ts";

const [urls = "", cluster = "", name = "", folder = "", database = ""] = Deno.args;
const servers = urls.split(",");
/** How long another node may take to answer, in milliseconds. */
const FORWARD_PATIENCE = 4_000;

const clock = openSharedClock();
const log = await Deno.open(`${folder}/${name}.log`, { create: true, append: true });
const encoder = new TextEncoder();
const onWarning = (): void => {};

const store = await JetStreamEventStore.open<ShopEvent>(servers, {
  replicas: 3,
  retention: "forever",
  onWarning,
});
const listening = Promise.withResolvers<number>();
const server = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: ({ port }) => listening.resolve(port) },
  (request) => answer(request).catch(explain),
);
const address = `http://127.0.0.1:${await listening.promise}`;
const coordinator = await Coordinator.join(servers, {
  cluster,
  name,
  address,
  shardCount: SHARDS,
  ttl: 3_000,
  maxClockSkew: 200,
  replicas: 3,
  onWarning,
});

const kv = await Deno.openKv(database);
const beside = await DenoKvCheckpoints.open(kv);
const away = await JetStreamCheckpoints.open(servers, { replicas: 3 });
const run = { leaseTtl: 4_000, holder: name, onWarning };
const runs = [
  runProjection(store, turnover({ beside }), run),
  runProjection(store, journal({ kv, away }), run),
  runProjection(store, fulfilment({ away }), run),
];
for (const { finished } of runs) {
  finished.catch((error) => {
    console.error(`${name}: a projection has ended`, error);
    Deno.exit(3);
  });
}

Deno.addSignalListener("SIGTERM", async () => {
  await Promise.all(runs.map((run) => run.close()));
  await coordinator.leave();
  await server.shutdown();
  await Promise.all([store.close(), away.close(), beside.close()]);
  kv.close();
  Deno.exit(0);
});
console.log(address);

/** Nobody here may work on the order. */
class NotOwnerError extends Error {
  override readonly name = "NotOwnerError";
}

async function answer(request: Request): Promise<Response> {
  const [, order = "", step = ""] = new URL(request.url).pathname.split("/");
  const key = request.headers.get("idempotency-key") ?? "";
  const shard = coordinator.shardFor(order);
  if (!shard) return await forward(request, order);
  const work = perform(order, { step, request: key } as Command, shard);
  shard.waitUntil(work);
  return Response.json(await work);
}

/** Executes a command as the owner of its shard. */
async function perform(order: string, command: Command, shard: OwnedShard): Promise<unknown> {
  const { fencingToken } = shard;
  const checkOwner = (): void => {
    // Stamped before it is asked: what is held afterwards was held at the stamp, too.
    const time = clock.now();
    if (!shard.isHeld) throw new NotOwnerError(`${name} has lost shard ${shard.id}`);
    log.writeSync(encoder.encode(`${time} shard-${shard.id} ${fencingToken} ${name}\n`));
  };
  const metadata = { node: name, fencingToken: String(fencingToken) };
  const { state } = await execute(store, order, orderDecider(order, checkOwner), command, {
    fencingToken,
    metadata,
  });
  const version = state.requests[command.request]!;
  const [event] = await store.getEvents(order, version);
  return { id: event!.id, version, position: event!.position };
}

/** Sends a request to the order's owner, once. */
async function forward(request: Request, order: string): Promise<Response> {
  const owner = coordinator.ownerOf(order);
  if (!owner || owner.name === name || request.headers.has("x-forwarded")) {
    throw new NotOwnerError(`${name} does not have the shard`);
  }
  const headers = new Headers(request.headers);
  headers.set("x-forwarded", name);
  const signal = AbortSignal.timeout(FORWARD_PATIENCE);
  const response = await fetch(owner.address + new URL(request.url).pathname, {
    method: "POST",
    headers,
    signal,
  });
  return new Response(await response.text(), { status: response.status });
}

/** What was not allowed is final; after anything else the client tries again, with the same key. */
function explain(error: unknown): Response {
  const status = error instanceof NotAllowedError ? 409 : 503;
  return new Response(String(error), { status });
}
