/** Ten seconds of fuzzing the stores, and the fuzzer on trial with stores that are broken. */

import assert from "node:assert/strict";
import { brokenStores } from "../testing/broken_stores.ts";
import { fuzz } from "./fuzz.ts";
import { FUZZED, type FuzzedName } from "./stores.ts";

const SEED = 20_261;
const DURATIONS: Readonly<Record<FuzzedName, number>> = { memory: 3_000, "deno-kv": 3_500, jetstream: 3_500 };

for (const [name, duration] of Object.entries(DURATIONS) as [FuzzedName, number][]) {
  Deno.test(`random and hostile input to ${name} is answered as the model predicts`, async () => {
    await using store = await FUZZED[name]();
    const { calls, failure } = await fuzz(store.harness, { duration, seed: SEED });
    assert.equal(
      failure,
      undefined,
      `${failure?.message}\nin ${failure?.steps}\n` +
        `again: deno task fuzz --store ${name} --seed ${failure?.seed} --path ${failure?.path}`,
    );
    assert(calls > 0);
  });
}

for (const { defect, harness, caughtBy } of brokenStores) {
  if (!caughtBy.includes("random histories go as the model says")) continue;
  Deno.test(`the fuzzer finds a store that ${defect}, and the same case again`, async () => {
    const { failure } = await fuzz(harness, { duration: 60_000, seed: SEED, patience: 1_000 });
    assert(failure, "it was not found");
    const { seed, path } = failure;
    const again = await fuzz(harness, { duration: 60_000, seed, path, patience: 1_000 });
    assert.equal(again.failure?.steps, failure.steps);
    assert.equal(again.histories, 1);
  });
}
