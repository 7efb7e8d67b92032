import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../src/errors.ts";
import { shardOf } from "../../src/cluster/mod.ts";

/** For implementations in other languages. */
const VECTORS: readonly (readonly [id: string, shardCount: number, shard: number])[] = [
  ["a", 16_384, 12_723],
  ["order.123", 1024, 208],
  ["user-42", 1000, 798],
  ["caf\u00e9", 16_384, 3410],
  ["anything", 1, 0],
];

Deno.test("shardOf() gives the documented shards", () => {
  for (const [id, shardCount, shard] of VECTORS) assert.equal(shardOf(id, shardCount), shard, id);
});

Deno.test("shardOf() agrees with its documentation, computed with bigints", () => {
  const mask = 0xffffffffn;
  const slow = (id: string, shardCount: number): number => {
    let h = 0x811c9dc5n;
    for (const byte of new TextEncoder().encode(id)) h = ((h ^ BigInt(byte)) * 0x01000193n) & mask;
    h = ((h ^ (h >> 16n)) * 0x85ebca6bn) & mask;
    h = ((h ^ (h >> 13n)) * 0xc2b2ae35n) & mask;
    h = h ^ (h >> 16n);
    return Number(h % BigInt(shardCount));
  };
  const ids = [
    "\u{1F600}",
    "\0",
    "x".repeat(512),
    ...Array.from({ length: 1000 }, (_, i) => `\u00fc${i}-actor`),
  ];
  for (const [id, shardCount, shard] of VECTORS) assert.equal(slow(id, shardCount), shard);
  for (const id of ids) {
    for (const count of [1, 7, 1024, 16_384]) assert.equal(shardOf(id, count), slow(id, count));
  }
});

Deno.test("shardOf() spreads similar ids evenly", () => {
  for (const id of [(i: number) => `order.${i}`, (i: number) => `user-${i * 1000}`]) {
    const load = new Array<number>(64).fill(0);
    for (let i = 0; i < 64_000; i++) load[shardOf(id(i), 64)]! += 1;
    assert(
      Math.min(...load) > 850 && Math.max(...load) < 1150,
      `${Math.min(...load)} to ${Math.max(...load)}`,
    );
  }
});

Deno.test("shardOf() refuses what is no id and no number of shards", () => {
  const refused = (argument: string, id: string, count: number): void =>
    assert.throws(
      () => shardOf(id, count),
      (error) => error instanceof InvalidArgumentError && error.argument === argument,
    );
  refused("actorId", "", 8);
  refused("actorId", "\ud800", 8);
  for (const count of [0, -1, 1.5, 16_385, Number.NaN]) refused("shardCount", "a", count);
});
