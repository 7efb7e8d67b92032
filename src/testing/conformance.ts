/**
 * The conformance suite as a whole.
 *
 * @module
 */

import { actorIds } from "./cases/actor_ids.ts";
import { answers } from "./cases/answers.ts";
import { appendOnly } from "./cases/append_only.ts";
import { atomicity } from "./cases/atomicity.ts";
import { badInput } from "./cases/bad_input.ts";
import { badOptions } from "./cases/bad_options.ts";
import { closing } from "./cases/closing.ts";
import { concurrency } from "./cases/concurrency.ts";
import { conditions } from "./cases/conditions.ts";
import { data } from "./cases/data.ts";
import { fencing } from "./cases/fencing.ts";
import { globalOrder } from "./cases/global_order.ts";
import { idempotence } from "./cases/idempotence.ts";
import { immutability } from "./cases/immutability.ts";
import { limits } from "./cases/limits.ts";
import { model } from "./cases/model.ts";
import { options } from "./cases/options.ts";
import { personalData } from "./cases/personal_data.ts";
import { readYourWrites } from "./cases/read_your_writes.ts";
import { reading } from "./cases/reading.ts";
import { replacing } from "./cases/replacing.ts";
import { restoring } from "./cases/restoring.ts";
import { renamed } from "./cases/renamed.ts";
import { schemas } from "./cases/schemas.ts";
import { snapshots } from "./cases/snapshots.ts";
import { subscriptions } from "./cases/subscriptions.ts";
import { timestamps } from "./cases/timestamps.ts";
import { verification } from "./cases/verification.ts";
import { versions } from "./cases/versions.ts";
import { CaseContext, type Effort, type Theme } from "./context.ts";
import type { ConformanceCase, ConformanceOptions, EventStoreHarness } from "./harness.ts";

const THEMES: readonly Theme[] = [
  appendOnly,
  versions,
  atomicity,
  limits,
  answers,
  idempotence,
  readYourWrites,
  globalOrder,
  subscriptions,
  reading,
  verification,
  restoring,
  replacing,
  badInput,
  badOptions,
  actorIds,
  fencing,
  conditions,
  closing,
  immutability,
  data,
  timestamps,
  options,
  schemas,
  renamed,
  snapshots,
  personalData,
  concurrency,
  model,
];

/**
 * The cases of the conformance suite, for a test runner of your own.
 *
 * @example Run one case
 * ```ts
 * import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
 * import { type BackendUnderTest, eventStoreConformance } from "@flowmade-one/aether/testing";
 *
 * const cases = eventStoreConformance({
 *   setUp(): BackendUnderTest {
 *     const storage = new InMemoryStorage();
 *     return { open: (options) => new InMemoryEventStore({ ...options, storage }) };
 *   },
 * });
 * await cases.find(({ topic }) => topic === "versions")!.run();
 * ```
 *
 * @param harness How the suite comes by stores.
 * @param options How thorough and how patient it is.
 */
export function eventStoreConformance(
  harness: EventStoreHarness,
  options: ConformanceOptions = {},
): readonly ConformanceCase[] {
  const { quick = false, patience = 20_000, numRuns = 40, seed, load = 1 } = options;
  const effort: Effort = { patience, numRuns, seed, load };
  return THEMES.flatMap(({ topic, cases }) =>
    cases.filter(({ slow }) => !(quick && slow)).map(({ name, needs, run }): ConformanceCase => ({
      name,
      topic,
      lacking: needs && harness.lacks?.includes(needs) ? needs : undefined,
      async run(): Promise<void> {
        await using context = new CaseContext(harness, effort);
        await run(context);
      },
    }))
  );
}

/**
 * Registers the conformance suite as tests of `deno test`, one a case. A store of your own keeps the contract where
 * they pass.
 *
 * @example The whole test file of a store
 * ```ts ignore
 * import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
 * import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
 *
 * testEventStore("InMemoryEventStore", {
 *   setUp(): BackendUnderTest {
 *     const storage = new InMemoryStorage();
 *     return { open: (options) => new InMemoryEventStore({ ...options, storage }) };
 *   },
 *   lacks: ["restoring", "replacing"], // memory cannot
 * });
 * ```
 *
 * @param name Precedes the name of each test.
 * @param harness How the suite comes by stores.
 * @param options How thorough and how patient it is.
 */
export function testEventStore(
  name: string,
  harness: EventStoreHarness,
  options: ConformanceOptions = {},
): void {
  for (const { name: caseName, topic, lacking, run } of eventStoreConformance(harness, options)) {
    const lack = lacking ? ` (needs ${lacking})` : "";
    Deno.test({ name: `${name} [${topic}] ${caseName}${lack}`, ignore: lacking !== undefined, fn: run });
  }
}
