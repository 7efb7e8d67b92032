/**
 * The function of `examples/deploy` beside one that only writes a key: from the start of the process until the first
 * order is answered, which is then looked for in the database.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DenoKvEventStore } from "../../mod.ts";
import { pathOf, PENS } from "../examples/service_process.ts";
import { startFunction } from "../examples/function_process.ts";
import type { Group, GroupOptions, Row } from "./harness.ts";

/** Starts a function on a new database, orders something, and returns how long that took, in milliseconds. */
async function coldStart(program: string, verify: (file: string) => Promise<void>): Promise<number> {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/function.kv`;
  try {
    const begin = performance.now();
    let time: number;
    {
      await using service = await startFunction(folder, { program, file });
      const { status } = await service.ask("POST", "/orders", PENS);
      time = performance.now() - begin;
      assert.equal(status, 201);
    }
    await verify(file);
    return time;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const coldStartRow: Row = {
  name: "cold start, first order answered",
  unit: "ms",
  baseline: "a function that writes one key",
  measureOurs: () =>
    coldStart(pathOf("examples/deploy/main.ts"), async (file) => {
      await using store = await DenoKvEventStore.open(file);
      const [placed, ...more] = await Array.fromAsync(store.readAll());
      assert.equal(placed?.eventType, "OrderPlaced");
      assert.deepEqual(more, []);
    }),
  measureBaseline: () =>
    coldStart(pathOf("tests/bench/bare_function.ts"), async (file) => {
      using kv = await Deno.openKv(file);
      assert.deepEqual((await kv.get(["order", 1])).value, PENS);
    }),
  rounds: 11,
};

/** Opens the group. */
export function open(_options: GroupOptions): Promise<Group> {
  return Promise.resolve({ rows: [coldStartRow], [Symbol.asyncDispose]: () => Promise.resolve() });
}
