/** A host as a process of its own: servers, the number of replicas and the name of the node. SIGTERM makes it leave. */

import { ActorHost } from "@flowmade-one/aether/actor";
import { Coordinator } from "@flowmade-one/aether/cluster";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { connect } from "@nats-io/transport-node";
import { type Called, tally } from "./tally.ts";

const [url, replicas, name] = Deno.args as [string, string, string];
const onWarning = (): void => {};
const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
const store = await JetStreamEventStore.open<Called>(url, { replicas: Number(replicas), onWarning });
const coordinator = await Coordinator.join(connection, {
  name,
  shardCount: 12,
  ttl: 2_000,
  maxClockSkew: 200,
  replicas: Number(replicas),
  onWarning,
});
const host = await ActorHost.start({
  store,
  actors: [tally],
  cluster: { coordinator, connection },
  onWarning,
});
Deno.addSignalListener("SIGTERM", async () => {
  await coordinator.leave();
  await host.close();
  await store.close();
  await connection.close();
  Deno.exit(0);
});
for await (const { type } of coordinator.shardChanges()) if (type === "gained") break;
console.log("ready");
