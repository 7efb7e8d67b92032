import assert from "node:assert/strict";
import { Coordinator, InMemoryBucket } from "../../src/cluster/mod.ts";
import { Broadcast } from "../../src/cluster/broadcast.ts";
import { type NodeChange, nodeChangeRules } from "../../src/cluster/membership.ts";
import { until } from "./conformance/until.ts";

const SHARDS = 64;

function join(bucket: InMemoryBucket, name = "a"): Promise<Coordinator> {
  return Coordinator.join(bucket, { name, shardCount: SHARDS, onWarning: () => {} });
}

async function moveAll(node: Coordinator, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const draining of [true, false]) {
      node.drain(draining);
      await until("the shards moved", () => [...node.shards].length === (draining ? 0 : SHARDS));
    }
  }
}

Deno.test("Broadcast.changes() keeps nothing for a loop that has not begun", async () => {
  const source = new Broadcast<NodeChange>(nodeChangeRules);
  const unused = source.changes(() => []);
  await source.changes(() => [])[Symbol.asyncIterator]().return?.();
  const aborted = source.changes(() => [], { signal: AbortSignal.abort(new Error("enough")) });
  assert.equal(source.readers, 0);
  await assert.rejects(aborted[Symbol.asyncIterator]().next(), /enough/);
  assert.equal(source.readers, 0);
  source.close();
  for await (const _ of unused) assert.fail("nothing was sent");
});

Deno.test("Coordinator.shardChanges() keeps at most two changes of a shard for a slow loop", async () => {
  await using node = await join(new InMemoryBucket());
  await until("it has all", () => [...node.shards].length === SHARDS);
  const changes = node.shardChanges()[Symbol.asyncIterator]();
  const first = (await changes.next()).value;
  assert.equal(first?.type, "gained");
  await moveAll(node, 5);
  await node.leave();
  const pending: string[] = [];
  for (let next = await changes.next(); !next.done; next = await changes.next()) {
    pending.push(`${next.value.type} ${next.value.shard.id}`);
  }
  // The loop has heard of one shard only, which it has lost: the others came and went before it asked.
  assert.deepEqual(pending, [`lost ${first?.shard.id}`]);
});

Deno.test("Coordinator.shardChanges() under the coordinator's own signal ends normally when it leaves", async () => {
  const node = await join(new InMemoryBucket());
  await until("it has all", () => [...node.shards].length === SHARDS);
  const held = new Set<number>();
  const watching = (async () => {
    for await (const { type, shard } of node.shardChanges({ signal: node.signal })) {
      if (type === "gained") held.add(shard.id);
      else held.delete(shard.id);
    }
  })();
  await until("the loop has heard of all", () => held.size === SHARDS);
  await node.leave();
  await watching;
  assert.equal(held.size, 0, "every loss was reported before the end");
});

Deno.test("Coordinator.nodeChanges() tells a slow loop how a node is now", () => {
  const node = (incarnation: number, draining = false): NodeChange["node"] => ({
    name: "b",
    incarnation,
    address: "",
    metadata: {},
    weight: 1,
    draining,
  });
  const merge = (...changes: NodeChange[]): readonly NodeChange[] =>
    changes.reduce<readonly NodeChange[]>(
      (pending, change) => nodeChangeRules.merge([...pending, change]),
      [],
    );
  assert.deepEqual(merge({ type: "joined", node: node(1) }, { type: "left", node: node(1) }), []);
  assert.deepEqual(
    merge({ type: "joined", node: node(1) }, { type: "updated", node: node(1, true) }),
    [{ type: "joined", node: node(1, true) }],
  );
  assert.deepEqual(
    merge(
      { type: "left", node: node(1) },
      { type: "joined", node: node(2) },
      { type: "left", node: node(2) },
      { type: "joined", node: node(3) },
      { type: "updated", node: node(3, true) },
    ),
    [{ type: "left", node: node(1) }, { type: "joined", node: node(3, true) }],
  );
  assert.deepEqual(
    merge({ type: "updated", node: node(1, true) }, { type: "left", node: node(1, true) }),
    [{ type: "left", node: node(1, true) }],
  );
});
