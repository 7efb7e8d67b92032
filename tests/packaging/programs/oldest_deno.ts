/** A bit of everything, for the oldest Deno that the README promises. Takes the URL of a NATS server and a folder. */

import { ActorHost, type Decider, defineActor, type Event } from "@flowmade-one/aether";
import { Coordinator, InMemoryBucket, JetStreamEventStore, NatsEventBus } from "@flowmade-one/aether";
import { DenoKvCheckpoints, DenoKvEventStore, projectOnce } from "@flowmade-one/aether";

const [url, folder] = Deno.args as [string, string];
type Counted = Event<"Counted", { by: number }>;
const decider: Decider<number, number, Counted> = {
  initialState: () => 0,
  evolve: (sum, { data }) => sum + data.by,
  decide: (by) => [{ eventType: "Counted", data: { by } }],
};
const counter = defineActor("counter", { decider });

const kv = await DenoKvEventStore.open<Counted>(`${folder}/events.kv`);
const host = await ActorHost.start({ store: kv, actors: [counter] });
await host.client.get(counter, "counter-1").call(2);
await host.close();
let handled = 0;
const checkpoints = await DenoKvCheckpoints.open(`${folder}/checkpoints.kv`);
await projectOnce(kv, { name: "p", checkpoints, handle: () => void handled++ }, { budgetMs: 30_000 });
console.log("Deno KV", handled, (await kv.verify()).ok);
await checkpoints[Symbol.asyncDispose]();
await kv.close();

const events = [{ eventType: "A", data: 1 }, { eventType: "B", data: "x".repeat(1_000) }];
const store = await JetStreamEventStore.open(url);
await store.append("a", events, { expectedVersion: 0 });
await store.saveEvents([
  { actorId: "a", version: 3, eventType: "A", data: 1 },
  { actorId: "b", version: 1, eventType: "A", data: 1 },
]);
await store.close();
const other = await JetStreamEventStore.open(url);
const all = await Array.fromAsync(other.readAll());
console.log("JetStream", (await other.getEvents("a")).length, all.length, (await other.verify()).ok);
await other.close();

const bus = await NatsEventBus.open(url);
await bus.close();
const coordinator = await Coordinator.join(new InMemoryBucket(), { shardCount: 2 });
await coordinator.ready;
console.log("cluster", coordinator.ownerOf("a") !== undefined);
await coordinator.leave();
