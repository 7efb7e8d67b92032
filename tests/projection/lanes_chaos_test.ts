/**
 * Processes with lanes that are killed with -9 at random moments: each event counts once, in the order of its actor.
 *
 * `AETHER_CHAOS_ROUNDS=n` kills n times as often; `AETHER_CHAOS_SEED=n` draws the moments again as they were.
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { Random } from "../support/random.ts";
import { sideBySide } from "../support/side_by_side.ts";
import { type LanesOrder, SLOW_ACTOR, type Variant } from "./processes/lanes.ts";
import { type Faults, faultsOf } from "./processes/lanes_check.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
const SEED = Number(Deno.env.get("AETHER_CHAOS_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const ACTORS = 20;
const PROGRAM = fileURLToPath(new URL("./processes/lanes.ts", import.meta.url));

/** Adds events of many actors, in random order, to the log. */
async function extend(order: LanesOrder, count: number, random: Random): Promise<void> {
  await using store = await DenoKvEventStore.open(order.file);
  for (let left = count; left > 0; left--) {
    const actorId = left % 40 === 0 ? SLOW_ACTOR : `actor-${Math.floor(random.between(0, ACTORS))}`;
    const events = Array.from({ length: 1 + Math.floor(random.between(0, 3)) }, () => (
      { eventType: "Added", data: null }
    ));
    await store.append(actorId, events, { expectedVersion: "any" });
  }
}

/** Runs a process until it is killed, or has handled all. */
async function runOnce(order: LanesOrder, killAfter: number | undefined): Promise<void> {
  await using process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", PROGRAM, JSON.stringify(order)],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let said = "";
  for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (killAfter !== undefined && timer === undefined) {
      timer = setTimeout(() => process.kill("SIGKILL"), killAfter);
    }
  }
  await process.status;
  clearTimeout(timer);
  assert.match(said, killAfter === undefined ? /done/ : /begun/);
}

async function withKills(
  backend: LanesOrder["backend"],
  kills: number,
  variant?: Variant,
): Promise<Faults> {
  await using folder = await kvFolder();
  const sqlite = `${folder.file}.sqlite3`;
  const order: LanesOrder = { backend, file: folder.file, sqlite, lanes: 8, variant };
  if (backend === "SQLite") {
    using database = new DatabaseSync(sqlite);
    database.exec(
      "PRAGMA journal_mode = WAL; CREATE TABLE last (actor TEXT PRIMARY KEY, version INTEGER);" +
        "CREATE TABLE seen (actor TEXT, version INTEGER, times INTEGER, PRIMARY KEY (actor, version));" +
        "CREATE TABLE disorder (actor TEXT, version INTEGER)",
    );
  }
  const random = new Random(SEED);
  await extend(order, 80, random);
  for (let kill = 0; kill < kills; kill++) {
    await extend(order, 80, random);
    await runOnce(order, random.between(20, 400));
  }
  await runOnce(order, undefined);
  return await faultsOf(order);
}

Deno.test(`events of many keys that are handled at once count once each, in order, under kill -9 at random moments (seed ${SEED})`, async () => {
  await sideBySide({
    "Deno KV": async () => {
      assert.deepEqual(await withKills("Deno KV", 4 * ROUNDS), { lost: 0, twice: 0, disorder: 0 });
    },
    SQLite: async () => {
      assert.deepEqual(await withKills("SQLite", 4 * ROUNDS), { lost: 0, twice: 0, disorder: 0 });
    },
  });
});

Deno.test(`the checker finds events that are lost, repeated and out of order (seed ${SEED})`, async () => {
  await sideBySide({
    "a checkpoint past an event that is not done": async () => {
      assert.ok((await withKills("Deno KV", 2, "past-unfinished")).lost > 0);
    },
    "events of an actor at once": async () => {
      assert.ok((await withKills("Deno KV", 0, "order-lost")).disorder > 0);
    },
    "writes outside of the transaction": async () => {
      assert.ok((await withKills("Deno KV", 2, "outside")).twice > 0);
    },
  });
});
