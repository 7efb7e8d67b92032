import assert from "node:assert/strict";
import fc from "fast-check";
import { entryWeight, Trail } from "../../../src/store/jetstream/format/trail.ts";

/** The trails of commits at sequences: that of each one, by its sequence. */
function trails(sequences: readonly number[]): Map<number, Trail> {
  const bySequence = new Map<number, Trail>();
  let trail = Trail.EMPTY;
  for (const sequence of sequences) {
    bySequence.set(sequence, trail);
    trail = trail.after(sequence);
  }
  return bySequence;
}

/** Everything that is reached from a commit, in order, and in how many steps. */
function reach(bySequence: ReadonlyMap<number, Trail>, from: number): { sequences: number[]; steps: number } {
  let steps = 0;
  const open = (trail: Trail, below: number | undefined, depth: number): number[] => {
    steps = Math.max(steps, depth);
    return trail.entries(below).flatMap(({ sequence, level }) => [
      ...level > 0 ? open(bySequence.get(sequence)!, level, depth + 1) : [],
      sequence,
    ]);
  };
  return { sequences: [...open(bySequence.get(from)!, undefined, 1), from], steps };
}

Deno.test("a trail leads to every earlier commit, once and in order, in as many steps as it has levels", () => {
  for (const count of [1, 2, 15, 16, 17, 255, 256, 257, 4_095, 4_097, 20_000]) {
    const sequences = Array.from({ length: count }, (_, index) => 7 + index * 3);
    const bySequence = trails(sequences);
    const last = sequences.at(-1)!;
    const reached = reach(bySequence, last);
    assert.deepEqual(reached.sequences, sequences);
    assert(
      reached.steps <= Math.ceil(Math.log(count + 1) / Math.log(16)) + 1,
      `${count}: ${reached.steps} steps`,
    );
    assert.equal(bySequence.get(last)!.count, count - 1);
    assert.equal(bySequence.get(last)!.previous, sequences.at(-2) ?? 0);
  }
});

Deno.test("a trail has at most a few dozen numbers", () => {
  const bySequence = trails(Array.from({ length: 70_000 }, (_, index) => index + 1));
  for (const trail of bySequence.values()) {
    assert(trail.entries().length <= 15 * 5);
    assert(trail.encode().length <= 300, trail.encode());
  }
});

Deno.test("a trail is the same after it was written and read", () => {
  fc.assert(fc.property(
    fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 40 }), { maxLength: 600 }),
    (numbers) => {
      const sequences = numbers.sort((a, b) => a - b);
      let trail = Trail.EMPTY;
      for (const sequence of sequences) trail = trail.after(sequence);
      const read = Trail.decode(trail.encode());
      assert.deepEqual(read?.entries(), trail.entries());
      assert.equal(read?.encode(), trail.encode());
      const weight = trail.entries().reduce((sum, { level }) => sum + entryWeight(level), 0);
      assert.equal(weight, sequences.length);
    },
  ));
});

Deno.test("what is no trail is not read as one", () => {
  const sixteen = Array.from({ length: 16 }, () => "1").join(",");
  const bad = [
    "-",
    "1,",
    ",1",
    "1,0",
    "0",
    "1;;x!",
    "A",
    " 1",
    "1.5",
    sixteen,
    ";".repeat(20),
    "zzzzzzzzzzzzzzzzzz",
  ];
  for (const text of bad) assert.equal(Trail.decode(text), undefined, JSON.stringify(text));
});
