/** Reading the bytes of messages is a short cut: the store says the same on a connection that has none to offer. */

import assert from "node:assert/strict";
import { JetStreamEventStore, type StoredEvent } from "@flowmade-one/aether/jetstream";
import { connectTo } from "../../../src/nats/connect.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { withPlainMessages } from "../../support/plain_messages.ts";

/** Data of every kind of text: one byte a character, several, and so much that it comes in pieces. */
const TEXTS = ["plain", "\u00e9t\u00e9", "\u{1f600}", "", "\u0000\r\n\r\nAether: 1", "x".repeat(100_000)];

/** All events, as each way of reading gives them. */
async function readings(store: JetStreamEventStore, actors: number, count: number): Promise<unknown> {
  const log: StoredEvent[] = [];
  for await (const event of store.readAll()) log.push(event);
  const one: StoredEvent[] = [];
  for await (const event of store.readAll({ actorId: "actor-1" })) one.push(event);
  const histories = [];
  for (let actor = 0; actor < actors; actor++) histories.push(await store.getEvents(`actor-${actor}`));
  const backward: StoredEvent[] = [];
  for await (const event of store.readEvents("actor-0", { direction: "backward" })) backward.push(event);
  const live: StoredEvent[] = [];
  for await (const event of store.subscribe()) {
    live.push(event);
    if (live.length === count) break;
  }
  const { ok, events } = await store.verify();
  return { log, one, histories, backward, live, ok, events };
}

Deno.test("a store on a connection of another make reads the same events", async () => {
  await using server = await startNatsServer();
  const actors = 3;
  const count = 600;
  await using store = await JetStreamEventStore.open(server.url);
  for (let index = 0; index < count; index++) {
    const data = { index, text: TEXTS[index % TEXTS.length] };
    await store.append(`actor-${index % actors}`, [{ eventType: "Written", data }], {
      expectedVersion: "any",
    });
  }
  const expected = await readings(store, actors, count);
  const connection = await connectTo(server.url);
  {
    await using other = await JetStreamEventStore.open(withPlainMessages(connection));
    assert.deepEqual(await readings(other, actors, count), expected);
    await other.append("actor-0", [{ eventType: "Written", data: "more" }], {
      expectedVersion: count / actors,
    });
  }
  await connection.close();
  const { log, ok, events } = expected as { log: StoredEvent[]; ok: boolean; events: number };
  assert.deepEqual([ok, events], [true, count]);
  assert.deepEqual(
    log.map(({ data }) => data),
    Array.from({ length: count }, (_, index) => ({ index, text: TEXTS[index % TEXTS.length] })),
  );
});
