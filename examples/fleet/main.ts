/**
 * A host of a fleet of devices. Start a nats-server with JetStream, then this in three terminals, each with another port:
 *
 * ```sh
 * nats-server --jetstream
 * PORT=8001 deno run --allow-net=127.0.0.1 --allow-env=NATS_URL,PORT examples/fleet/main.ts
 * PORT=8002 deno run --allow-net=127.0.0.1 --allow-env=NATS_URL,PORT examples/fleet/main.ts
 * PORT=8003 deno run --allow-net=127.0.0.1 --allow-env=NATS_URL,PORT examples/fleet/main.ts
 * ```
 *
 * The devices are shared among the hosts, and each host takes the commands of all of them. Send it commands with
 * `load.ts`, and kill a host meanwhile with `kill -9`: its devices are available again within 2.5 seconds, and nothing
 * that was acknowledged is lost. Ctrl+C ends a host without a failed call.
 *
 * @module
 */
import { ActorHost } from "@flowmade-one/aether/actor";
import { Coordinator } from "@flowmade-one/aether/cluster";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { connect } from "@nats-io/transport-node";
import { device, type DeviceEvent } from "./device.ts";
import { serveDevices } from "./devices.ts";

const connection = await connect({ servers: Deno.env.get("NATS_URL") ?? "nats://127.0.0.1:4222" });
const store = await JetStreamEventStore.open<DeviceEvent>(connection, { retention: "forever" });
const coordinator = await Coordinator.join(connection, { cluster: "fleet", shardCount: 64, ttl: 2_000 });
const cluster = { coordinator, connection, name: "fleet" };
const host = await ActorHost.start({ store, actors: [device], cluster });

const server = Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT") ?? 8000) },
  serveDevices(host.client),
);
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => server.shutdown());
await server.finished;
await coordinator.leave(); // the other hosts have its devices at once
await host.close();
await store.close();
await connection.close();
