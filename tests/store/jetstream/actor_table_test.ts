import assert from "node:assert/strict";
import { ActorTable, hashOf } from "../../../src/store/jetstream/write/actor_table.ts";
import { KnownActor } from "../../../src/store/jetstream/write/known_actor.ts";

/** The same numbers in every run, from 0 to below 1. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Hashes as they come, and hashes that meet: few, one, and such as differ where a small table does not look. */
const HASHES: Readonly<Record<string, (actorId: string) => number>> = {
  "its own": hashOf,
  "few": (actorId) => actorId.length % 3 - 1,
  "one": () => 0,
  "far apart": (actorId) => Number(actorId) << 20,
};

for (const [name, hash] of Object.entries(HASHES)) {
  Deno.test(`ActorTable holds what a Map would, with hashes that are ${name}`, () => {
    const next = numbers(name.length);
    const table = new ActorTable();
    const expected = new Map<string, KnownActor>();
    for (let step = 0; step < 3_000; step++) {
      // It grows for a while, shrinks to nothing, and grows again.
      const growing = step < 1_000 || step > 2_000;
      const actorId = String(Math.floor(next() * 400));
      const known = expected.get(actorId);
      assert.equal(table.find(actorId, hash(actorId)), known);
      if (!known && growing) {
        const actor = new KnownActor(actorId, hash(actorId));
        table.add(actor);
        expected.set(actorId, actor);
      } else if (known && (!growing || next() < 0.5)) {
        table.delete(known);
        table.delete(known); // it is not there: nothing happens
        expected.delete(actorId);
      }
      assert.equal(table.size, expected.size);
    }
    assert.deepEqual([...table], [...expected.values()]); // in the order in which they came
    for (let number = 0; number < 400; number++) {
      const actorId = String(number);
      assert.equal(table.find(actorId, hash(actorId)), expected.get(actorId));
    }
  });
}

Deno.test("ActorTable does not grow as actors come and go", () => {
  const table = new ActorTable();
  const staying = Array.from(
    { length: 31 },
    (_, number) => new KnownActor(`stays-${number}`, hashOf(`stays-${number}`)),
  );
  for (const actor of staying) table.add(actor);
  for (let number = 0; number < 100_000; number++) {
    const actor = new KnownActor(`${number}`, hashOf(`${number}`));
    table.add(actor);
    table.delete(actor);
  }
  assert.deepEqual([...table], staying);
  for (const actor of staying) assert.equal(table.find(actor.actorId, actor.hash), actor);
});

Deno.test("hashOf gives other hashes to ids that differ in one character, at any place", () => {
  const ids = new Set<string>();
  for (let place = 0; place < 36; place++) {
    for (const character of "abcdefgh01234567\u00e4\u4e2d") {
      ids.add("x".repeat(place) + character + "x".repeat(35 - place));
    }
  }
  const hashes = new Set(Array.from(ids, hashOf));
  // By chance, one pair of two hundred thousand meets in one process of twenty thousand.
  assert(hashes.size >= ids.size - 2, `${hashes.size} of ${ids.size}`);
});
