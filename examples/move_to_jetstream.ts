/**
 * Moves a store from a file of Deno KV to JetStream, events and all. Stop what writes to it, then:
 *
 * ```sh
 * nats-server --jetstream
 * deno run --unstable-kv --allow-read=orders.kv --allow-write=orders.kv --allow-net=127.0.0.1:4222 \
 *   examples/move_to_jetstream.ts orders.kv nats://127.0.0.1:4222
 * ```
 *
 * Kill it and start it again whenever you like: it goes on where it was, and in the end it has compared every event.
 * Then the application changes one line, and the file stays as it is, should you want to go back:
 *
 * ```ts ignore
 * await using store = await DenoKvEventStore.open("orders.kv");
 * await using store = await JetStreamEventStore.open("nats://127.0.0.1:4222", { retention: "forever" });
 * ```
 *
 * @module
 */
import { CopyError, copyEvents, DenoKvEventStore, JetStreamEventStore } from "@flowmade-one/aether";

const [file, url, namespace = "default"] = Deno.args;
if (file === undefined || url === undefined) {
  console.error("usage: move_to_jetstream.ts FILE URL [NAMESPACE]");
  Deno.exit(2);
}

await using from = await DenoKvEventStore.open(file, { namespace });
await using to = await JetStreamEventStore.open(url, { namespace, retention: "forever" });
try {
  const { events, copied } = await copyEvents(from, to, {
    onProgress: ({ phase, events }) => console.log(`${phase}: ${events} events`),
  });
  console.log(
    `${events} events are in JetStream as they were in ${file}; this run copied ${copied} of them.`,
  );
} catch (error) {
  if (!(error instanceof CopyError && error.reason === "source-grew")) throw error;
  console.error(error.message);
  Deno.exitCode = 1;
}
