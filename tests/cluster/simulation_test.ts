/**
 * Proof one: the production protocol under a virtual clock and every fault that we could think of.
 *
 * `AETHER_SIMULATION_SEED=n` replays one schedule; `AETHER_SIMULATION_SCHEDULES=n` runs more of them.
 */
import assert from "node:assert/strict";
import { mutate, MUTATIONS } from "./simulation/mutations.ts";
import { simulate } from "./simulation/simulation.ts";
import { loadSubject, type Subject } from "./simulation/subject.ts";

const REPLAY = Deno.env.get("AETHER_SIMULATION_SEED");
const SCHEDULES = Number(Deno.env.get("AETHER_SIMULATION_SCHEDULES") ?? 2000);
/** A mutation that no schedule of so many finds is not found. */
const MUTATION_SCHEDULES = 400;

Deno.test(`simulate() finds no violation in ${REPLAY ? `schedule ${REPLAY}` : `${SCHEDULES} schedules`}`, async () => {
  const subject = await loadSubject();
  if (REPLAY !== undefined) {
    await simulate(subject, Number(REPLAY));
    return;
  }
  for (let seed = 1; seed <= SCHEDULES; seed++) await simulate(subject, seed);
});

Deno.test("simulate() replays a seed exactly", async () => {
  const subject = await loadSubject();
  assert.deepEqual(await simulate(subject, 7), await simulate(subject, 7));
});

Deno.test("simulate() catches every defect that was put into the protocol", async (t) => {
  for (const mutation of MUTATIONS) {
    await t.step(mutation.name, async () => {
      await using broken = await mutate(mutation);
      await assert.rejects(search(broken.subject, mutation.firstSeed), { name: "Violation" });
    });
  }
  await t.step("a store that does not fence", async () => {
    const subject = await loadSubject();
    await assert.rejects(search(subject, 1, false), {
      name: "Violation",
      message: /AETHER_SIMULATION_SEED=\d+/,
    });
  });
});

async function search(subject: Subject, firstSeed = 1, storeFences = true): Promise<void> {
  for (let seed = firstSeed; seed < firstSeed + MUTATION_SCHEDULES; seed++) {
    await simulate(subject, seed, { storeFences });
  }
}
