/** `aether timers`, on a file of Deno KV and on a NATS server. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore, type Event, type EventStore, JetStreamEventStore, runTimers } from "../../mod.ts";
import { listTimers } from "../../src/actor/mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import { aether, type Ran } from "./command_line.ts";
import { seats } from "./programs/order.ts";

type Reserved = Event<"Reserved", { dueAt: number }>;

const FILE = fileURLToPath(new URL("./programs/order.ts", import.meta.url));
const HOUR = 3_600_000;

const run = (...args: string[]): Promise<Ran> => aether(args, { allow: ["--allow-all"] });

/** Leaves an index with one timer that is late and one that comes, and an actor that the index does not know. */
async function seatsIn(store: EventStore<Reserved>): Promise<void> {
  const now = Date.now();
  for (const [key, dueAt] of [["1", now - HOUR], ["2", now + 2 * HOUR]] as const) {
    await store.append(`seat-${key}`, [{ eventType: "Reserved", data: { dueAt } }], { expectedVersion: 0 });
  }
  {
    // By its clock nothing is due yet.
    await using _run = runTimers(store, [seats], { now: () => new Date(now - 2 * HOUR) });
    await until("the index", async () => (await listTimers(store)).timers.length === 2);
  }
  await store.append("seat-3", [{ eventType: "Reserved", data: { dueAt: now + HOUR } }], {
    expectedVersion: 0,
  });
}

async function timersOf(target: string): Promise<void> {
  const [listed, rows, early, first, differing] = await Promise.all([
    run("timers", target),
    run("timers", target, "--json"),
    run("timers", target, "--until", new Date().toISOString(), "--json"),
    run("timers", target, "--limit", "1"),
    run("timers", target, "--actors", `${FILE}#seats`, "--json"),
  ]);
  assert.match(
    listed.out,
    /^STATE +DUE .*\nlate .* 1h.* ago +seat-1 +payment-due\ncoming .* in 1h 59m +seat-2 /,
    listed.err,
  );
  assert.match(listed.err, /Late timers are fired as soon as/);
  const states = rows.rows.map(({ actorId, name, state }) => [actorId, name, state]);
  assert.deepEqual(states, [["seat-1", "payment-due", "late"], ["seat-2", "payment-due", "coming"]]);
  assert.equal(rows.rows[0]!["overdue"]! as number >= HOUR, true);
  assert.deepEqual(early.rows.map(({ actorId }) => actorId), ["seat-1"]);
  assert.match(first.err, /There are more/);
  assert.equal(differing.code, 3, differing.err);
  const [difference, total] = differing.rows;
  assert.deepEqual([difference!["actorId"], "indexed" in difference!], ["seat-3", false]);
  assert.deepEqual(total, { actors: 3, differing: 1, corrected: 0 });

  const asked = await run("timers", target, "--actors", `${FILE}#seats`, "--correct");
  assert.deepEqual([asked.code, asked.out], [2, ""]);
  const corrected = await run("timers", target, "--actors", `${FILE}#seats`, "--correct", "--yes");
  assert.equal(corrected.code, 0, corrected.err);
  assert.match(
    corrected.out,
    /seat-3 +payment-due +\(none\) .*\n1 timer of 3 actors differed, and were corrected/,
  );
  const [now, same] = await Promise.all([
    run("timers", target, "--json"),
    run("timers", target, "--actors", `${FILE}#seats`),
  ]);
  assert.deepEqual(now.rows.map(({ actorId }) => actorId), ["seat-1", "seat-3", "seat-2"]);
  assert.match(same.out, /The index has the timers of 3 actors as their states name them/);
}

Deno.test("aether lists late and coming timers in a file, and compares them with the states", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open<Reserved>(folder.file);
    await seatsIn(store);
  }
  await timersOf(folder.file);
  const none = await run("timers", folder.file, "--actors", `${FILE}#order`);
  assert.deepEqual([none.code, none.out], [1, ""], "a decider is no definition of actors");
});

Deno.test("aether lists late and coming timers on a NATS server, and compares them with the states", async () => {
  await using server = await startNatsServer();
  {
    await using store = await JetStreamEventStore.open<Reserved>(server.url);
    await seatsIn(store);
  }
  await timersOf(server.url);
});

Deno.test("aether prints many timers a page at a time, each once", async () => {
  await using folder = await kvFolder();
  const TIMERS = 1_100;
  const now = Date.now();
  {
    await using store = await DenoKvEventStore.open<Reserved>(folder.file);
    await Promise.all(Array.from({ length: TIMERS }, (_, number) => {
      const dueAt = now + HOUR + number;
      return store.append(`seat-${number}`, [{ eventType: "Reserved", data: { dueAt } }], {
        expectedVersion: 0,
      });
    }));
    await using _run = runTimers(store, [seats]);
    await until(
      "the index",
      async () => (await listTimers(store, { limit: 10_000 })).timers.length === TIMERS,
    );
  }
  const limit = ["--limit", "1050"];
  const [rows, table] = await Promise.all([
    run("timers", folder.file, "--json", ...limit),
    run("timers", folder.file, ...limit),
  ]);
  const expected = Array.from({ length: 1_050 }, (_, number) => `seat-${number}`);
  assert.deepEqual(rows.rows.map(({ actorId }) => actorId), expected, rows.err);
  const lines = table.out.trimEnd().split("\n");
  assert.equal(lines.filter((line) => line.startsWith("STATE ")).length, 2, "one block is in memory at once");
  const listed = lines.filter((line) => line.startsWith("coming ")).map((line) => line.split(/ +/).at(-2));
  assert.deepEqual(listed, expected);
  assert.match(table.err, /There are more/);
});
