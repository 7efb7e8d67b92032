/**
 * A program whose telemetry is read back: one request's trace from the saver over NATS to a handler, and every metric.
 *
 * Arguments: the URL of a NATS server.
 *
 * @module
 */

import { trace } from "@opentelemetry/api";
import { connect } from "@nats-io/transport-node";
import {
  ActorClient,
  ActorHost,
  Coordinator,
  DenoKvEventStore,
  type Event,
  execute,
  InMemoryCheckpoints,
  InMemoryEventStore,
  INTERNAL_NAMESPACE,
  LocalEventBus,
  NatsEventBus,
  projectOnce,
  replay,
  runProjection,
  VersionConflictError,
} from "../../mod.ts";
import { type Counted, counter as counterActor } from "../actor/counter.ts";
import { booking, type BookingEvent } from "../actor/booking.ts";
import { loseAnswers } from "../bus/lost_answers.ts";

const [url] = Deno.args;
const tracer = trace.getTracer("program");
const HAPPENED = { eventType: "Happened", data: 1 };

// One trace: request -> save -> publication -> handler, over two connections.
const connections = await Promise.all([connect({ servers: url! }), connect({ servers: url! })]);
const [publishing, listening] = connections.map((connection) => new NatsEventBus(connection));
const stored = listening!.subscribe(INTERNAL_NAMESPACE);
await stored.ready;
const handled = Promise.withResolvers<void>();
const handling = stored.forEach(() => {
  tracer.startSpan("work of the handler").end();
  handled.resolve();
});
const store = new InMemoryEventStore({ bus: publishing!, namespace: "traced", onWarning: () => {} });
await tracer.startActiveSpan("request", async (span) => {
  const [event] = await store.append("order-1", [HAPPENED], { expectedVersion: 0 });
  console.log(JSON.stringify({ request: span.spanContext().traceId, metadata: event!.metadata }));
  span.end();
});
await handled.promise;
await listening!.close();
await publishing!.close();
await handling;
await Promise.all(connections.map((connection) => connection.close()));

// The rest of the names.
await store.getEvents("order-1");
await store.getLatestVersion("order-1");
for await (const _event of store.readEvents("order-1"));
for await (const _event of store.readAll()) break;
for await (const _event of store.subscribe()) break;
await store.append("order-1", [HAPPENED], { expectedVersion: 9 }).catch((error) => {
  if (!(error instanceof VersionConflictError)) throw error;
});
let decisions = 0;
const counter = {
  initialState: (): number => 0,
  evolve: (state: number, _event: Event): number => state + 1,
  decide: (): (typeof HAPPENED)[] => {
    // Another writer comes first, once.
    if (decisions++ === 0) store.append("order-1", [HAPPENED], { expectedVersion: "any" });
    return [HAPPENED];
  },
  snapshot: { kind: "count", schemaVersion: 1, every: 1 },
};
await execute(store, "order-1", counter, {});
await replay(store, "order-1", counter);

// A projection whose handler succeeds, fails, and is set aside.
const checkpoints = new InMemoryCheckpoints();
await projectOnce(store, {
  name: "counts",
  checkpoints,
  failure: { retries: 0, then: "park", laterEvents: "go-on" },
  handle: async ({ version }) => {
    await Promise.resolve();
    if (version === 2) throw new Error("not this one");
  },
});
await projectOnce(store, { name: "synchronous", checkpoints, handle: () => {} });
await projectOnce(store, { name: "lanes", checkpoints, lanes: 4, handle: () => Promise.resolve() });
{
  const divided = { name: "segments", checkpoints, segments: 2, lanes: 2, handle: () => Promise.resolve() };
  await using run = runProjection(store, divided);
  await run.waitFor((await store.getLastPosition())!);
}

const bus = new LocalEventBus({ onWarning: () => {} });
const slow = bus.subscribe("slow", { buffer: 1 });
for (let version = 1; version <= 3; version++) {
  await bus.publish("slow", { ...HAPPENED, actorId: "a", version });
}
for await (const _event of slow) break;
await store.close();
await bus.close();

const kv = await Deno.openKv(":memory:");
const lost = { count: 0 };
const unsure = await DenoKvEventStore.open(loseAnswers(kv, lost));
lost.count = 1;
await unsure.append("order-2", [HAPPENED], { expectedVersion: 0 });
await unsure.close();
kv.close();

// One trace: request -> call -> command, over NATS -> the event -> a projection's handler.
const [calling, hosting] = await Promise.all([connect({ servers: url! }), connect({ servers: url! })]);
const counts = new InMemoryEventStore<Counted>();
const coordinator = await Coordinator.join(hosting!, { shardCount: 4, ttl: 2_000, maxClockSkew: 100 });
const cluster = { coordinator, connection: hosting! };
const node = await ActorHost.start({ store: counts, actors: [counterActor], cluster });
const client = await ActorClient.connect(calling!, { actors: [counterActor] });
await tracer.startActiveSpan("actor request", async (span) => {
  await client.get(counterActor, "counter-1").call(1, { timeout: 20_000 });
  console.log(JSON.stringify({ request: span.spanContext().traceId }));
  span.end();
});
await projectOnce(counts, { name: "called", checkpoints, handle: () => {} });
await client.close();
await node.close();
await coordinator.leave();
await Promise.all([calling!.close(), hosting!.close()]);

// A timer that fires. The host is open for as long as it takes to read gauges.
const bookings = new InMemoryEventStore<BookingEvent>();
const host = await ActorHost.start({ store: bookings, actors: [booking] });
await host.client.get(booking, "booking-1").call({ reserve: 0 });
for await (const { eventType } of bookings.subscribe()) if (eventType === "Released") break;
await new Promise((resolve) => setTimeout(resolve, 2_000));
Deno.exit();
