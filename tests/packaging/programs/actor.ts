/** `@flowmade-one/aether/actor`, in one process. Needs no permission. */

import { ActorHost, type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";

type Counted = Event<"Counted", { by: number }>;
const decider: Decider<number, number, Counted> = {
  initialState: () => 0,
  evolve: (sum, { data }) => sum + data.by,
  decide: (by) => [{ eventType: "Counted", data: { by } }],
};
const counter = defineActor("counter", { decider, queries: { sum: (sum) => sum } });

await using store = new InMemoryEventStore<Counted>();
await using host = await ActorHost.start({ store, actors: [counter] });
const actor = host.client.get(counter, "counter-1");
await Promise.all([actor.call(2), actor.call(3)]);
console.log(await actor.query("sum"));
