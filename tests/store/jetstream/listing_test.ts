/** Listing actors while others write, and while the connection is lost. */

import assert from "node:assert/strict";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";

const ACTORS = 3_000;
const LARGE = "x".repeat(4_000);

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });
const actorOf = (index: number): string => `actor-${index}`;

Deno.test("listActors() lists each actor once when the connection is lost and the actors have moved on", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using writer = await JetStreamEventStore.open(server.url, { retention: "forever" });
  const append = (indices: readonly number[], data: string): Promise<unknown> =>
    Promise.all(
      indices.map((index) => writer.append(actorOf(index), [event(data)], { expectedVersion: "any" })),
    );
  const all = Array.from({ length: ACTORS }, (_, index) => index);
  await append(all, LARGE);
  const connect = { client: { reconnectTimeWait: 20 } };
  await using store = await JetStreamEventStore.open(proxy.url, { heartbeat: 200, connect });
  const listed: string[] = [];
  let hasMovedOn = false;
  for await (const { actorId } of store.listActors()) {
    listed.push(actorId);
    if (hasMovedOn) continue;
    hasMovedOn = true;
    // The server is held back by what waits for the reader: most actors are not delivered yet.
    await proxy.cut();
    await append(all.filter((index) => index !== ACTORS - 1), "small");
    await append([ACTORS - 1], LARGE);
    proxy.resume();
  }
  assert.equal(listed.length, new Set(listed).size, "an actor is listed twice");
  assert.deepEqual(listed.sort(), all.map(actorOf).sort());
});
