/**
 * A process that copies one store into another until it is done or killed, and says how far it is.
 *
 * Arguments: where from, where to: the path of a database file, or the URL of a NATS server.
 *
 * @module
 */

import { copyEvents, DenoKvEventStore, type EventStore, JetStreamEventStore } from "../../../mod.ts";

const [from, to] = Deno.args as [string, string];
const encoder = new TextEncoder();

function open(place: string): Promise<EventStore> {
  return place.startsWith("nats://") ? JetStreamEventStore.open(place) : DenoKvEventStore.open(place);
}

/** More than a pipe holds: whoever listens is never far behind, and can kill this where it was. */
const PIPE_BYTES = 200_000;

/** At once: what is buffered dies with the process. */
function say(line: string): void {
  const bytes = encoder.encode(line.padEnd(PIPE_BYTES) + "\n");
  for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
}

await using source = await open(from);
await using target = await open(to);
const { events, copied } = await copyEvents(source, target, {
  onProgress: ({ phase, events }) => say(`${phase} ${events}`),
});
say(`done ${events} ${copied}`);
