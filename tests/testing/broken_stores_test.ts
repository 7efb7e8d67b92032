/** The conformance suite can fail: each of many broken stores is caught, by the cases that are meant to catch it. */

import assert from "node:assert/strict";
import { eventStoreConformance } from "@flowmade-one/aether/testing";
import { brokenPersonalStores } from "./broken_personal_stores.ts";
import { brokenStores } from "./broken_stores.ts";

for (const { defect, harness, caughtBy } of [...brokenStores, ...brokenPersonalStores]) {
  Deno.test(`the suite catches a store that ${defect}`, async () => {
    const cases = eventStoreConformance(harness, { patience: 1_000, numRuns: 300, seed: 42 });
    assert(caughtBy.length > 0);
    for (const name of caughtBy) {
      const found = cases.find((candidate) => candidate.name === name);
      assert(found, `there is no case "${name}"`);
      const verdict = await found.run().then(() => undefined, (error: unknown) => error);
      assert(verdict instanceof Error, `"${name}" does not catch it`);
    }
  });
}
