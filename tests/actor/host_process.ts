/** A host as a process of its own: the URL of a NATS server and the name of the node. It says "ready" once it owns shards. */

import { ActorHost } from "@flowmade-one/aether/actor";
import { Coordinator } from "@flowmade-one/aether/cluster";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { connect } from "@nats-io/transport-node";
import { type Counted, counter } from "./counter.ts";

const [url, name] = Deno.args as [string, string];
const connection = await connect({ servers: url });
const store = await JetStreamEventStore.open<Counted>(url);
const coordinator = await Coordinator.join(url, { name, shardCount: 16, ttl: 2_000 });
const host = await ActorHost.start({ store, actors: [counter], cluster: { coordinator, connection } });
for await (const { type } of coordinator.shardChanges()) if (type === "gained") break;
console.log("ready");
await new Response(Deno.stdin.readable).text(); // until the test closes it
await coordinator.leave();
await host.close();
await store.close();
await connection.close();
