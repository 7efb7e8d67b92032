/**
 * Actors over three NATS servers and three hosts, which are killed, suspended, cut off and moved while they are called. What
 * the callers were told is compared with the log: linearizable for each actor, and each command once.
 *
 * `AETHER_CHAOS_ROUNDS=n` goes through the faults n times, in a random order that is printed as a seed; `AETHER_CHAOS_SEED`
 * repeats one.
 */

import assert from "node:assert/strict";
import { ActorClient } from "@flowmade-one/aether/actor";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { checkHistory } from "../store/jetstream/chaos/checker.ts";
import { known } from "../store/jetstream/chaos/work.ts";
import { Random } from "../support/random.ts";
import { until } from "../support/until.ts";
import { Callers } from "./chaos/callers.ts";
import { tally } from "./chaos/tally.ts";
import { World } from "./chaos/world.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
const SEED = Number(
  Deno.env.get("AETHER_CHAOS_SEED") ?? (ROUNDS > 1 ? Math.floor(Math.random() * 2 ** 30) : 7),
);
/** How long the hosts may need until they answer again, in milliseconds. */
const RECOVERY = 120_000;
/** Answers after each fault, before the next one. */
const ANSWERS = 80;
/** Longer than a lease lasts, in milliseconds. */
const LONG = 2_600;
const HOSTS = ["ada", "bob", "eve"];

Deno.test("calls to actors are linearizable and take effect once, while servers and hosts fail", async () => {
  if (ROUNDS > 1) console.log(`seed ${SEED}`);
  const random = new Random(SEED);
  await using world = await World.open(HOSTS);
  await Promise.all(HOSTS.map((name) => world.start(name)));
  await using client = await ActorClient.connect(world.nats.urls, { actors: [tally] });
  const callers = new Callers(client, 8, new Random(SEED + 1));

  const goesOn = async (after: string): Promise<void> => {
    const before = callers.answered;
    await until(`actors answer after ${after}`, () => {
      if (callers.failure !== undefined) throw callers.failure;
      return callers.answered >= before + ANSWERS;
    }, RECOVERY);
  };
  const faults: Readonly<Record<string, () => Promise<void>>> = {
    async "the death of a host"(): Promise<void> {
      const name = random.pick(HOSTS);
      await world.end(name, "SIGKILL");
      await goesOn("the death of a host");
      await world.start(name);
    },
    async "the sleep of a host"(): Promise<void> {
      const name = random.pick(HOSTS);
      world.signal(name, "SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, LONG));
      world.signal(name, "SIGCONT");
    },
    async "a cut"(): Promise<void> {
      await world.cut(random.pick(HOSTS), random.pick([500, LONG]));
    },
    async "a planned move"(): Promise<void> {
      const name = random.pick(HOSTS);
      await world.end(name, "SIGTERM");
      await world.start(name);
    },
    async "the death of a NATS server"(): Promise<void> {
      const server = await world.nats.streamLeader("aether_default") ?? random.pick(world.nats.servers);
      await server.kill();
      await goesOn("the death of a NATS server");
      await server.restart();
    },
  };

  await goesOn("the start");
  for (let round = 0; round < ROUNDS; round++) {
    const ranked = Object.keys(faults).map((fault) => ({ fault, rank: random.next() }));
    for (const { fault } of ranked.sort((a, b) => a.rank - b.rank)) {
      await faults[fault]!();
      await goesOn(fault);
    }
  }
  await callers.stop();

  await using store = await JetStreamEventStore.open(world.nats.urls, { replicas: 3 });
  const log = (await Array.fromAsync(store.readAll())).map(known);
  assert(log.length > ANSWERS, `only ${log.length} events`);
  assert.deepEqual(checkHistory(callers.historyWith(log)), []);
  // The same history beside a log that has lost an answered call, or has one twice.
  const faultsOf = (other: typeof log): string[] =>
    checkHistory(callers.historyWith(other)).map(({ fault }) => fault);
  assert(faultsOf(log.toSpliced(log.length >> 1, 1)).includes("acknowledged event lost"));
  assert(faultsOf([...log, log[0]!]).includes("event stored twice"));
});
