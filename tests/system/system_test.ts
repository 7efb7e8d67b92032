/**
 * Everything together: orders over HTTP, three services that share the shards of a cluster, projections and reactions, on
 * three NATS servers, of which and of which services some are killed and suspended all the while.
 *
 * `AETHER_CHAOS_ROUNDS=n` goes through the faults n times, in a random order that is printed as a seed;
 * `AETHER_SYSTEM_SEED` repeats one.
 */

import assert from "node:assert/strict";
import { DenoKvCheckpoints, JetStreamCheckpoints, JetStreamEventStore, waitFor } from "@flowmade-one/aether";
import { Random } from "../support/random.ts";
import { until } from "../support/until.ts";
import { Customers } from "./client.ts";
import {
  assertAcknowledged,
  assertOneHolder,
  assertOrders,
  assertReactions,
  assertReadModels,
  readLog,
} from "./invariants.ts";
import type { ShopEvent } from "./shop.ts";
import { World } from "./world.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
const SEED = Number(
  Deno.env.get("AETHER_SYSTEM_SEED") ?? (ROUNDS > 1 ? Math.floor(Math.random() * 2 ** 30) : 7),
);
/** How long the shop may need until it goes on after a fault, in milliseconds. */
const RECOVERY = 120_000;
/** Requests that must be answered after each fault, before the next one. */
const ANSWERS = 15;
/** How long a service stands still: longer than its lease lasts. */
const SUSPENSION = 4_500;
const SERVICES = ["ada", "bob", "eve"];

Deno.test("orders, shards, projections and reactions survive the death of servers and services", async () => {
  console.log(`seed ${SEED}`);
  const random = new Random(SEED);
  await using world = await World.open();
  for (const name of SERVICES) await world.start(name);
  const moods = new Random(SEED + 1); // apart from the schedule: customers take turns as it happens
  const customers = new Customers(4, () => world.addresses, () => moods.next());

  /** Waits until the shop goes on. */
  const goesOn = async (after: string): Promise<void> => {
    const before = customers.acknowledged.length;
    const goingOn = (): boolean => {
      if (customers.failure !== undefined) throw customers.failure;
      return customers.acknowledged.length >= before + ANSWERS;
    };
    await until(`the shop goes on after ${after}`, goingOn, RECOVERY);
  };
  const faults: Readonly<Record<string, () => Promise<void>>> = {
    async "the death of a NATS server"(): Promise<void> {
      const leader = await world.nats.streamLeader("aether_default");
      const server = leader ?? world.nats.servers[Math.floor(random.next() * 3)]!;
      await server.kill();
      await goesOn("the death of a NATS server");
      await server.restart();
    },
    async "the death of a service"(): Promise<void> {
      const name = random.pick(SERVICES);
      await world.end(name, "SIGKILL");
      await goesOn("the death of a service");
      await world.start(name);
    },
    async "the sleep of a service"(): Promise<void> {
      const name = random.pick(SERVICES);
      world.signal(name, "SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, SUSPENSION));
      world.signal(name, "SIGCONT");
    },
  };

  await goesOn("the opening");
  for (let round = 0; round < ROUNDS; round++) {
    for (const fault of inSomeOrder(Object.keys(faults), random)) {
      await faults[fault]!();
      await goesOn(fault);
    }
  }
  await customers.stop();

  await using store = await JetStreamEventStore.open<ShopEvent>(world.nats.urls);
  await settled(store, world);
  for (const name of SERVICES) {
    assert.equal((await world.end(name, "SIGTERM")).code, 0, `${name} does not stop in order`);
  }

  const { acknowledged } = customers;
  const log = await readLog(store);
  assertAcknowledged(log, acknowledged);
  assertOrders(log);
  assertReactions(log);
  await assertOneHolder(world.folder, acknowledged.length);
  const kv = await Deno.openKv(world.database);
  try {
    await assertReadModels(log, kv);
  } finally {
    kv.close();
  }
  const { ok, events, faults: found } = await store.verify({ expectedPosition: log.at(-1)!.position });
  assert.deepEqual({ ok, events, found }, { ok: true, events: log.length, found: [] });
  console.log(`${acknowledged.length} requests, ${customers.retries} retries, ${log.length} events`);
});

/** The items in an order that the seed decides. */
function inSomeOrder<T>(items: readonly T[], random: Random): T[] {
  const ranked = items.map((item) => ({ item, rank: random.next() }));
  return ranked.sort((a, b) => a.rank - b.rank).map(({ item }) => item);
}

/** Waits until every projection has handled the whole log, which reactions make longer meanwhile. */
async function settled(store: JetStreamEventStore<ShopEvent>, world: World): Promise<void> {
  await using away = await JetStreamCheckpoints.open(world.nats.urls, { replicas: 3 });
  await using beside = await DenoKvCheckpoints.open(world.database);
  for (let last = ""; last !== await store.getLastPosition();) {
    last = (await store.getLastPosition())!;
    await waitFor(store, { name: "fulfilment", checkpoints: away }, last, { timeout: RECOVERY });
    await waitFor(store, { name: "journal", checkpoints: away }, last, { timeout: RECOVERY });
    await waitFor(store, { name: "turnover", checkpoints: beside }, last, { timeout: RECOVERY });
  }
}
