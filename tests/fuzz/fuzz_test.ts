/** Ten seconds of fuzzing the stores, and the fuzzer on trial with stores that are broken. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { InMemoryEventStore, InMemoryStorage, type StoredEvent } from "@flowmade-one/aether/memory";
import { brokenStores } from "../testing/broken_stores.ts";
import { type Fault, FAULTS, type FuzzedBackend, type FuzzHarness } from "./fault_steps.ts";
import { judgeFlush, playFault } from "./faults.ts";
import { fuzz } from "./fuzz.ts";
import { FUZZED, type FuzzedName } from "./stores.ts";

const SEED = 20_261;
const DURATIONS: Readonly<Record<FuzzedName, number>> = { memory: 3_000, "deno-kv": 3_500, jetstream: 3_500 };

/** Some faults of a kind: other ones with another seed. */
function sample<K extends Fault["kind"]>(kind: K, numRuns: number): Fault[] {
  return fc.sample<Fault>(FAULTS[kind], { seed: SEED, numRuns });
}

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

  Deno.test(`a log of ${name} that is replaced, restored, damaged or not flushed gives no wrong answer`, async () => {
    await using store = await FUZZED[name]();
    const faults = [
      ...sample("replaced", 4),
      ...sample("restored", 4),
      ...sample("damaged", 10),
      ...sample("flushed", 1),
    ];
    for (const fault of faults) {
      await playFault(fault, store.harness).catch((error: unknown) => {
        throw new Error(fc.stringify(fault), { cause: error });
      });
    }
  });
}

const FAULTS_OF_LOGS = [
  "takes a log that was made again for the one that it was opened on",
  "has no proof in its positions, and is restored to an earlier state",
];

for (const { defect, harness, caughtBy } of brokenStores) {
  if (!caughtBy.includes("random histories go as the model says") && !FAULTS_OF_LOGS.includes(defect)) {
    continue;
  }
  Deno.test(`the fuzzer finds a store that ${defect}, and the same case again`, async () => {
    const { failure } = await fuzz(harness, { duration: 60_000, seed: SEED, patience: 1_000 });
    assert(failure, "it was not found");
    const { seed, path } = failure;
    const again = await fuzz(harness, { duration: 60_000, seed, path, patience: 1_000 });
    assert.equal(again.failure?.steps, failure.steps);
    assert.equal(again.histories, 1);
  });
}

/** Stores that do something wrong as soon as another program has written to their log. */
const SPOILED: Readonly<Record<string, Partial<InMemoryEventStore>>> = {
  "throws an error without a type": {
    getEvents: () => Promise.reject(new TypeError("events is not iterable")),
  },
  "hands out versions that are none": {
    readAll: async function* (): AsyncGenerator<StoredEvent> {
      yield { ...(await stray()), version: 1.5 };
    } as unknown as InMemoryEventStore["readAll"],
  },
  "says another version than it stores at": { getLatestVersion: () => Promise.resolve(70) },
  "waits forever": { verify: () => new Promise(() => {}) },
};

async function stray(): Promise<StoredEvent> {
  await using store = new InMemoryEventStore();
  const [event] = await store.append("a", [{ eventType: "Happened", data: 1 }], { expectedVersion: 0 });
  return event!;
}

for (const [defect, wrong] of Object.entries(SPOILED)) {
  Deno.test(`the fuzzer finds a store that ${defect} if its log is damaged`, async () => {
    const harness: FuzzHarness = {
      setUp(): FuzzedBackend {
        const storage = new InMemoryStorage();
        let isDamaged = false;
        return {
          open: (options) =>
            Object.assign(new InMemoryEventStore({ ...options, storage }), isDamaged ? wrong : {}),
          plant: () => Promise.resolve(void (isDamaged = true)),
        };
      },
    };
    const { failure } = await fuzz(harness, { duration: 60_000, seed: SEED, patience: 300 });
    assert.match(failure?.steps ?? "", /"kind":"damaged"/);
  });
}

Deno.test("answers that do not fit what is stored after a failed flush are found", () => {
  const answers = [
    { id: "a", outcome: "stored" },
    { id: "b", outcome: "OutcomeUnknownError" },
    { id: "c", outcome: "BackendError" },
  ];
  judgeFlush({ answers, stored: ["a"], isWhole: true });
  judgeFlush({ answers, stored: ["b", "a"], isWhole: true });
  for (
    const [stored, message] of [
      [[], /a was acknowledged and is lost/],
      [["a", "c"], /c was refused with BackendError and is stored/],
      [["a", "b", "b"], /stored twice/],
      [["a", "d"], /d was never appended/],
    ] as const
  ) assert.throws(() => judgeFlush({ answers, stored, isWhole: true }), message);
  assert.throws(() => judgeFlush({ answers, stored: ["a"], isWhole: false }), /damaged/);
});
