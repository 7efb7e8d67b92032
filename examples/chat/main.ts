/**
 * A chat whose clients watch its events over server-sent events. Start it, and open http://127.0.0.1:8000 twice:
 *
 * ```sh
 * deno run --unstable-kv --allow-net=127.0.0.1:8000 --allow-read=chat.kv --allow-write=chat.kv --allow-env=PORT \
 *   examples/chat/main.ts
 * ```
 *
 * Kill it with `kill -9` and start it again: the browsers connect again by themselves, and miss nothing.
 *
 * @module
 */
import { ActorHost } from "@flowmade-one/aether/actor";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { channel, type ChannelEvent } from "./channel.ts";
import { serveChannels } from "./channels.ts";

await using store = await DenoKvEventStore.open<ChannelEvent>("chat.kv");
await using host = await ActorHost.start({ store, actors: [channel] });

const ending = new AbortController();
const server = Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT") ?? 8000) },
  serveChannels(host.client, ending.signal),
);
const end = (): void => {
  ending.abort(); // streams of events would never end by themselves
  void server.shutdown();
};
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, end);
await server.finished;
