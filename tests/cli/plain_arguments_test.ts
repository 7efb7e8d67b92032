/** The most usual command line is read without the library of arguments, and means the same. */

import assert from "node:assert/strict";
import { parseSync } from "@optique/core";
import fc from "fast-check";
import { grammarOf } from "../../src/cli/arguments.ts";
import { readPlain } from "../../src/cli/plain_arguments.ts";

const OPTIONS = [
  "--at",
  "--diff",
  "--decider",
  "--namespace",
  "--prefix",
  "--credentials",
  "--domain",
  "--limit",
];
const FLAGS = [
  "--given",
  "--json",
  "--yes",
  "--write",
  "-h",
  "--help",
  "--version",
  "--",
  "-",
  "--at=3",
  "--n",
];
const VALUES = [
  "orders.kv",
  "order-1",
  "3",
  "0",
  "07",
  "100000",
  "1e3",
  "100001",
  "1..2",
  "",
  " ",
  "show",
  "a b",
];

/** What the library makes of it; `undefined` if it refuses it. */
function read(args: readonly string[]): unknown {
  const parsed = parseSync(grammarOf(args[0]), args);
  return parsed.success ? JSON.parse(JSON.stringify(parsed.value)) : undefined;
}

Deno.test("readPlain() reads what the library reads, or leaves it to the library", () => {
  const value = fc.constantFrom(...VALUES);
  const option = fc.tuple(fc.constantFrom(...OPTIONS), value);
  const odd = fc.constantFrom(...FLAGS, ...OPTIONS).map((text) => [text]);
  const line = fc.tuple(
    fc.uniqueArray(option, { selector: ([name]) => name, maxLength: 4 }),
    fc.array(value.map((text) => [text]), { minLength: 2, maxLength: 2 }),
    fc.oneof(fc.constant([]), fc.array(odd, { maxLength: 2 })),
  ).chain(([options, operands, odd]) => {
    const parts: string[][] = [...options, ...operands, ...odd];
    return fc.shuffledSubarray(parts, { minLength: parts.length });
  }).chain((parts) =>
    fc.constantFrom("show", "show", "log", "").map((command) => [command, ...parts.flat()])
  );
  let plain = 0;
  fc.assert(
    fc.property(line, (args) => {
      const request = readPlain(args);
      if (request === undefined) return;
      plain++;
      assert.deepEqual(JSON.parse(JSON.stringify(request)), read(args), args.join(" "));
    }),
    { numRuns: 2_000 },
  );
  assert(plain > 50, `${plain} were read`);
});

Deno.test("readPlain() reads each option of show", () => {
  const usual = ["show", "orders.kv", "order-1"];
  assert(readPlain(usual));
  for (const name of OPTIONS) assert(readPlain([...usual, name, "7"]), name);
  for (const name of ["--given", "--json"]) assert(readPlain(["show", name, "orders.kv", "order-1"]), name);
  for (
    const args of [usual.slice(0, 2), [...usual, "more"], [...usual, "--at"], [...usual, "--att", "7"], []]
  ) {
    assert.equal(readPlain(args), undefined, args.join(" "));
  }
});
