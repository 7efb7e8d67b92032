/**
 * The production code of hosts and clients under a virtual clock, and every fault of network, processes and store.
 *
 * `AETHER_SIMULATION_SEED=n` replays one schedule; `AETHER_SIMULATION_SCHEDULES=n` runs more of them.
 */
import assert from "node:assert/strict";
import { mutate, MUTATIONS } from "./simulation/mutations.ts";
import { simulate } from "./simulation/simulation.ts";
import { loadSubject } from "./simulation/subject.ts";

const REPLAY = Deno.env.get("AETHER_SIMULATION_SEED");
/** One takes as long as five of the cluster. */
const SCHEDULES = Math.ceil(Number(Deno.env.get("AETHER_SIMULATION_SCHEDULES") ?? 600) / 5);
/** A mutation that no schedule of so many finds is not found. */
const MUTATION_SCHEDULES = 150;

Deno.test(`hosts and clients break no promise in ${REPLAY ? `schedule ${REPLAY}` : `${SCHEDULES} schedules`}`, async () => {
  const subject = await loadSubject();
  if (REPLAY !== undefined) {
    console.log(await simulate(subject, Number(REPLAY)));
    return;
  }
  let answered = 0;
  for (let seed = 1; seed <= SCHEDULES; seed++) answered += (await simulate(subject, seed)).answered;
  assert(answered > 50 * SCHEDULES, `only ${answered} calls were answered`);
});

Deno.test("a schedule of hosts and clients is replayed exactly", async () => {
  const subject = await loadSubject();
  assert.deepEqual(await simulate(subject, 7), await simulate(subject, 7));
});

Deno.test("every defect that is put into hosts and clients is found, by the promise that it breaks", async (t) => {
  for (const mutation of MUTATIONS) {
    await t.step(mutation.name, async () => {
      const { firstSeed = 1 } = mutation;
      await using broken = await mutate(mutation);
      const search = async (): Promise<void> => {
        for (let seed = firstSeed; seed < firstSeed + MUTATION_SCHEDULES; seed++) {
          await simulate(broken.subject, seed);
        }
      };
      await assert.rejects(search(), { name: "Violation", message: mutation.breaks });
    });
  }
});
