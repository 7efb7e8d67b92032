/**
 * A process that fires timers: `runner deno-kv PATH`, `runner jetstream URL`, or `host jetstream URL NAME`. It prints
 * "ready" once it works or waits for the lease, and ends when its input is closed.
 */

import { ActorHost, runTimers } from "@flowmade-one/aether/actor";
import { Coordinator } from "@flowmade-one/aether/cluster";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { connect } from "@nats-io/transport-node";
import { booking, type BookingEvent } from "./booking.ts";

const [kind, backend, target, name] = Deno.args as [string, string, string, string];
await using store = backend === "deno-kv"
  ? await DenoKvEventStore.open<BookingEvent>(target, { pollInterval: 5 })
  : await JetStreamEventStore.open<BookingEvent>(target);

if (kind === "runner") {
  await using _run = runTimers(store, [booking], { leaseTtl: 2_000, onWarning: () => {} });
  await ready();
} else {
  const connection = await connect({ servers: target });
  const coordinator = await Coordinator.join(target, { name, shardCount: 16, ttl: 2_000 });
  const host = await ActorHost.start({
    store,
    actors: [booking],
    cluster: { coordinator, connection },
    onWarning: () => {},
  });
  for await (const { type } of coordinator.shardChanges()) if (type === "gained") break;
  await ready();
  await coordinator.leave();
  await host.close();
  await connection.close();
}

async function ready(): Promise<void> {
  console.log("ready");
  await new Response(Deno.stdin.readable).text();
}
