import assert from "node:assert/strict";
import fc from "fast-check";
import { type Candidate, place } from "../../src/cluster/mod.ts";

const candidates = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 })
  .map((weights): Candidate[] => weights.map((weight, index) => ({ name: `n${index}`, weight })));
const situations = candidates.chain((nodes) =>
  fc.record({
    nodes: fc.constant(nodes),
    owners: fc.array(fc.integer({ min: -1, max: nodes.length - 1 }), { minLength: 1, maxLength: 200 }),
  })
);

function loads(owners: readonly number[], nodes: readonly Candidate[]): number[] {
  return nodes.map((_, node) => owners.filter((owner) => owner === node).length);
}

Deno.test("place() gives every node its share, to less than one shard", () => {
  fc.assert(fc.property(situations, ({ nodes, owners }) => {
    const total = nodes.reduce((sum, node) => sum + node.weight, 0);
    loads(place(owners, nodes), nodes).forEach((load, node) => {
      assert(Math.abs(load - owners.length * (nodes[node]?.weight ?? 0) / total) < 1);
    });
  }));
});

Deno.test("place() moves no more than the shares require", () => {
  fc.assert(fc.property(situations, ({ nodes, owners }) => {
    const target = place(owners, nodes);
    const before = loads(owners, nodes);
    const after = loads(target, nodes);
    const moved = owners.filter((owner, shard) => owner >= 0 && owner !== target[shard]).length;
    const excess = before.reduce((sum, load, node) => sum + Math.max(0, load - (after[node] ?? 0)), 0);
    assert.equal(moved, excess);
  }));
});

Deno.test("place() leaves alone what it has placed", () => {
  fc.assert(fc.property(situations, ({ nodes, owners }) => {
    const target = place(owners, nodes);
    assert.deepEqual(place(target, nodes), target);
  }));
});

Deno.test("place() has no owner for any shard if there is no node", () => {
  assert.deepEqual(place([-1, -1], []), [-1, -1]);
});
