/** The studio's streams: the log as it grows, a page that is slow or comes back, a store that goes away. */

import assert from "node:assert/strict";
import { type EventStore, InMemoryEventStore, JetStreamEventStore } from "../../mod.ts";
import type { EventRow, LogPage } from "../../src/studio/api/mod.ts";
import { studio } from "../../src/studio/mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { Client, type Stream } from "./support.ts";

async function append(
  store: EventStore,
  actorId: string,
  count: number,
  data: unknown = null,
): Promise<void> {
  for (let left = count; left > 0; left -= 1_000) {
    const events = Array.from({ length: Math.min(left, 1_000) }, () => ({ eventType: "Ticked", data }));
    await store.append(actorId, events, { expectedVersion: "any" });
  }
}

/** The versions of the events that come, until one of them is at `last`. */
async function versionsUpTo(stream: Stream, last: number): Promise<[versions: number[], id: string]> {
  const versions: number[] = [];
  for (;;) {
    const { data, id } = await stream.until("events");
    versions.push(...(data as EventRow[]).map(({ version }) => version));
    if (versions.at(-1) === last) return [versions, id!];
  }
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

Deno.test("a stream of the log sends what is stored from its beginning on, chosen by a filter, and the rate", async () => {
  await using store = new InMemoryEventStore();
  await append(store, "order-1", 3);
  const client = new Client(studio(store));
  await using all = await client.stream("log/live");
  await using chosen = await client.stream("log/live?prefix=customer-&type=Ticked");
  const { data, id } = await all.until("events");
  assert.deepEqual([data, id], [[], (await store.getLastPosition())!]);
  await chosen.until("events");
  await append(store, "order-1", 40);
  await append(store, "customer-1", 2);
  const { data: rate } = await all.until("rate");
  assert.deepEqual([rate.events, rate.types], [42, [{ eventType: "Ticked", count: 42 }]]);
  const [versions] = await versionsUpTo(chosen, 2);
  assert.deepEqual(versions, [1, 2]);
});

Deno.test("a page that comes back gets what it has missed, and a count of what is too much", async () => {
  await using store = new InMemoryEventStore();
  await append(store, "order-1", 10);
  const client = new Client(studio(store));
  const page = await client.get<LogPage>("log?limit=1");
  const after = page.events[0]!.position;
  await append(store, "order-1", 500);
  let seen: string;
  {
    await using back = await client.stream("log/live", { headers: { "last-event-id": after } });
    const [versions, id] = await versionsUpTo(back, 510);
    assert.deepEqual(versions, range(11, 510));
    seen = id;
  }
  // It has slept for an hour.
  await append(store, "order-1", 5_000);
  await using slept = await client.stream("log/live", { headers: { "last-event-id": seen } });
  const { data: gap, id } = await slept.until("gap");
  const end = await store.getLastPosition();
  assert.deepEqual([gap.isMore, gap.after, gap.until, id], [true, seen, end, end]);
  await append(store, "order-1", 1);
  assert.deepEqual((await versionsUpTo(slept, 5_511))[0], [5_511]);
  const missed = await client.get<LogPage>(`log?after=${gap.after}&limit=1`);
  assert.equal(missed.events[0]!.version, 511);
});

Deno.test("a page that does not read costs little memory, and is sent how much was left out", async () => {
  await using store = new InMemoryEventStore();
  const client = new Client(studio(store));
  await using slow = await client.stream("log/live");
  await slow.until("events");
  const text = "x".repeat(500);
  for (let round = 0; round < 20; round++) await append(store, "order-1", 1_000, { text });
  const total = 20_000;
  let sent = 0;
  let left = 0;
  let characters = 0;
  let position = "";
  while (sent + left < total) {
    const message = await slow.next();
    assert(message);
    if (message.name === "events") {
      sent += message.data.length;
      characters += JSON.stringify(message.data).length;
    }
    if (message.name === "gap") left += message.data.events;
    if (message.id !== undefined) {
      assert(message.id >= position, "ids do not go back");
      position = message.id;
    }
  }
  assert.equal(sent + left, total);
  assert(left > 0, "nothing was left out");
  assert(characters < 8 * 1024 * 1024, `${characters} characters waited`);
  await append(store, "order-1", 1);
  assert.equal((await versionsUpTo(slow, total + 1))[0].at(-1), total + 1);
});

Deno.test("a stream refuses a position of another log, and the browser does not come back", async () => {
  await using store = new InMemoryEventStore();
  const client = new Client(studio(store));
  for (const after of ["nowhere", "%00", "0123456789ab-00000000000000010000000000000000"]) {
    await using stream = await client.stream(`log/live?after=${after}`);
    for (;;) {
      const message = await stream.next();
      assert(message, "the stream ended without a reason");
      if (message.name !== "failed") continue;
      assert.deepEqual([message.data.code, message.id], ["invalid", "last"]);
      break;
    }
    assert.equal(await stream.next(), undefined);
  }
  const again = await client.request("api/log/live", { headers: { "last-event-id": "last" } });
  assert.equal(again.status, 204);
});

Deno.test("a stream of what a studio does not have, or with a wrong query, is refused before it opens", async () => {
  await using store = new InMemoryEventStore();
  const client = new Client(studio(store));
  const types = Array.from({ length: 101 }, (_, index) => `type=T${index}`).join("&");
  const refusals = await Promise.all(
    ["cluster/live", "projections/live", `log/live?${types}`].map((path) => client.refused(path)),
  );
  assert.deepEqual(
    refusals.map(({ status, code }) => [status, code]),
    [[404, "not-found"], [404, "not-found"], [400, "invalid"]],
  );
});

Deno.test("streams end with the studio's signal, and too many are refused", async () => {
  await using store = new InMemoryEventStore();
  const ending = new AbortController();
  const client = new Client(studio(store, { signal: ending.signal }));
  const streams = await Promise.all(Array.from({ length: 64 }, () => client.stream("log/live")));
  await using more = await client.stream("log/live");
  const { data } = (await more.next())!;
  assert.equal(data.code, "too-many-streams");
  await streams.pop()![Symbol.asyncDispose]();
  await using another = await client.stream("log/live");
  await another.until("events");
  ending.abort();
  for (const stream of streams) while (await stream.next());
});

Deno.test("a studio shows that a NATS server has gone, and goes on when it is back", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await append(store, "order-1", 3);
  const client = new Client(studio(store));
  await using stream = await client.stream("log/live");
  await stream.until("connection", ({ connected }) => connected);
  await append(store, "order-1", 1);
  await versionsUpTo(stream, 4);
  await server.kill();
  const { data: gone } = await stream.until("connection", ({ connected }) => !connected);
  assert(gone.message.length > 10, gone.message);
  const { status, code } = await client.refused("log");
  assert.deepEqual([status, code], [503, "unavailable"]);
  await server.restart();
  await stream.until("connection", ({ connected }) => connected);
  await append(store, "order-1", 2);
  assert.deepEqual((await versionsUpTo(stream, 6))[0], [5, 6], "each event once");
  assert.equal((await client.get<LogPage>("log")).events.length, 6);
});
