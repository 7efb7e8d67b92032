/**
 * Data comes back as it was saved.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Theme } from "../context.ts";
import { dataOf, happened, wholeLog } from "../support.ts";

/** Nested as deep as any data may be that a store must take. */
const DEPTH = 900;

function nested(depth: number): unknown {
  let data: unknown = "leaf";
  for (let level = 0; level < depth; level++) data = level % 2 === 0 ? [data] : { data };
  return data;
}

/** Whether two values are the same JSON text: for data that `deepEqual` would need too much stack for. */
function assertSame(actual: unknown, expected: unknown): void {
  assert.equal(JSON.stringify(actual), JSON.stringify(expected));
}

const EXACT: readonly unknown[] = [
  null,
  true,
  false,
  0,
  "",
  [],
  {},
  Number.MAX_SAFE_INTEGER,
  -Number.MAX_SAFE_INTEGER,
  2 ** 53 + 2,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  0.1 + 0.2,
  -1e-7,
  1e21,
  '\0\x01\x1f\x7f\u2028\u2029"\\/\b\f\n\r\t',
  "\ud83d\ude00 \u20ac \xe9 e\u0301 \ufeff \uffff",
  "2026-01-31T12:00:00.000Z",
  '{"not":"an object"}',
  [[], [[]], {}, [{}], null],
  { "": 1, " ": 2, "a.b": 3, "0": 4, "-1": 5, "\u{1f600}": 6 },
  { length: 3, then: "text", valueOf: 1, toJSON: "text", hasOwnProperty: null },
];

/** Data. */
export const data: Theme = {
  topic: "data",
  cases: [
    {
      name: "data comes back exactly as it was saved",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.append("order", EXACT.map((value) => happened(value)), { expectedVersion: 0 });
        assert.deepEqual(dataOf(await store.getEvents("order")), EXACT);
        assert.deepEqual(dataOf(await wholeLog(store)), EXACT);
      },
    },
    {
      name: "__proto__ and constructor are plain keys and pollute nothing",
      async run({ open }): Promise<void> {
        const store = await open();
        const text = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"a":1}';
        const own = JSON.parse(text);
        await store.append("order", [happened(own), happened([own])], { expectedVersion: 0 });
        const [first, second] = await store.getEvents("order");
        assert.equal(JSON.stringify(first!.data), text);
        assert.equal(JSON.stringify(second!.data), `[${text}]`);
        assert.equal(Object.getPrototypeOf(first!.data), Object.prototype);
        assert.equal(({} as { polluted?: boolean }).polluted, undefined);
        const metadata = JSON.parse('{"__proto__":"x","constructor":"y"}');
        const [saved] = await store.append("order", [happened(null, { metadata })], { expectedVersion: 2 });
        assert.equal(JSON.stringify(saved!.metadata), '{"__proto__":"x","constructor":"y"}');
      },
    },
    {
      name: "deeply nested data is kept",
      async run({ open }): Promise<void> {
        const store = await open();
        const deep = nested(DEPTH);
        await store.append("order", [happened(deep)], { expectedVersion: 0 });
        assertSame((await store.getEvents("order"))[0]!.data, deep);
      },
    },
    {
      name: "a property that is undefined is left out, as JSON does",
      async run({ open }): Promise<void> {
        const store = await open();
        const event = happened({ a: 1, b: undefined }, {
          metadata: { userId: undefined, note: "x" } as never,
        });
        const [saved] = await store.append("order", [event], { expectedVersion: 0 });
        assert.deepEqual(saved!.data, { a: 1 });
        assert.deepEqual(saved!.metadata, { note: "x" });
        assert.deepEqual(await store.getEvents("order"), [saved]);
      },
    },
    {
      name: "an object without a prototype and one part in several places are plain data",
      async run({ open }): Promise<void> {
        const store = await open();
        const part = { price: 5 };
        const bare = Object.assign(Object.create(null), { a: part, b: [part, part] });
        await store.append("order", [happened(bare)], { expectedVersion: 0 });
        assert.deepEqual(dataOf(await store.getEvents("order")), [{ a: part, b: [part, part] }]);
      },
    },
    {
      name: "metadata is kept as it was given, and is absent where none was",
      async run({ open }): Promise<void> {
        const store = await open();
        const metadata = {
          correlationId: "c",
          causationId: "b",
          userId: "ada",
          traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          "the user's own": "\u20ac",
          "": "",
        };
        const events = [happened(1, { metadata }), happened(2), happened(3, { metadata: {} })];
        const saved = await store.append("order", events, { expectedVersion: 0 });
        for (const stored of [saved, await store.getEvents("order"), await wholeLog(store)]) {
          assert.deepEqual(stored[0]!.metadata, metadata);
          assert(!("metadata" in stored[1]!), "metadata comes from nowhere");
          assert.deepEqual(stored[2]!.metadata, {});
        }
      },
    },
    {
      name: "any JSON comes back as it was saved",
      slow: true,
      async run(context): Promise<void> {
        const store = await context.open();
        const { numRuns, seed } = context.effort;
        let version = 0;
        await fc.assert(
          fc.asyncProperty(fc.jsonValue({ maxDepth: 6 }), async (value) => {
            const json: unknown = JSON.parse(JSON.stringify(value)); // makes -0 a 0
            const [saved] = await store.append("order", [happened(json)], { expectedVersion: version++ });
            const [read] = await store.getEvents("order", version);
            assert.deepEqual(saved!.data, json);
            assert.deepEqual(read, saved);
          }),
          { numRuns: numRuns * 2, ...(seed === undefined ? {} : { seed }) },
        );
      },
    },
  ],
};
