/**
 * Fuzzes the public surface of the stores:
 * `deno task fuzz [--minutes 1] [--store memory|deno-kv|jetstream] [--seed 1] [--path 3:1:0]`.
 *
 * Without `--store` all are fuzzed, one after the other, for so long each. A failure is shrunk and printed with the seed
 * and the path that play it again.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";
import { FUZZED, type FuzzedName } from "./stores.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "1" },
    store: { type: "string" },
    seed: { type: "string" },
    path: { type: "string" },
  },
});
const minutes = Number(values.minutes);
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(values.seed);
const names = Object.keys(FUZZED) as FuzzedName[];
if (!(minutes > 0) || !Number.isSafeInteger(seed) || (values.store && !(values.store in FUZZED))) {
  console.error(`usage: deno task fuzz [--minutes N] [--store ${names.join("|")}] [--seed S] [--path P]`);
  Deno.exit(2);
}

for (const name of names.filter((candidate) => candidate === (values.store ?? candidate))) {
  await using store = await FUZZED[name]();
  const { rounds, histories, calls, duration, failure } = await fuzz(store.harness, {
    duration: minutes * 60_000,
    seed,
    ...(values.path === undefined ? {} : { path: values.path }),
  });
  const speed = Math.round(calls / duration * 1_000);
  console.log(
    `${name}: ${calls} calls in ${histories} histories, seeds ${seed} to ${
      seed + Math.max(rounds - 1, 0)
    }, ` +
      `${(duration / 1_000).toFixed(0)} s, ${speed} calls/s: ${failure ? "FAILED" : "as the model says"}`,
  );
  if (!failure) continue;
  console.error(`\n${failure.message}\n\nin the history\n${failure.steps}\n`);
  console.error(`again: deno task fuzz --store ${name} --seed ${failure.seed} --path ${failure.path}`);
  Deno.exitCode = 1;
}
