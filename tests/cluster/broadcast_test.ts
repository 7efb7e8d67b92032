import assert from "node:assert/strict";
import { Coordinator, InMemoryBucket } from "../../src/cluster/mod.ts";
import { Broadcast } from "../../src/cluster/broadcast.ts";
import { checkOptions } from "../../src/cluster/coordinator_options.ts";
import { Member } from "../../src/cluster/member.ts";
import { type NodeChange, nodeChangeRules } from "../../src/cluster/membership.ts";
import { until } from "../support/until.ts";

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

Deno.test("Coordinator.nodeChanges() gives a slow loop the present state of a node", () => {
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

/** Ways to use an iterable of changes and not to read it to its end. */
const MISUSES: Readonly<
  Record<string, (changes: (signal?: AbortSignal) => AsyncIterable<unknown>) => unknown>
> = {
  "is never begun": (changes) => changes(),
  "is returned unused": async (changes) => void await changes()[Symbol.asyncIterator]().return?.(),
  "is aborted before it begins": (changes) => changes(AbortSignal.abort()),
  "breaks": async (changes) => {
    for await (const _ of changes()) break;
  },
  "throws": async (changes) => {
    const loop = async (): Promise<void> => {
      for await (const _ of changes()) throw new Error("a defect");
    };
    await assert.rejects(loop, /a defect/);
  },
  "is aborted while it waits": async (changes) => {
    const abort = new AbortController();
    const loop = (async () => {
      for await (const _ of changes(abort.signal)) abort.abort(new Error("enough"));
    })();
    await assert.rejects(loop, /enough/);
  },
};

for (const source of ["shardChanges", "nodeChanges", "leaderChanges"] as const) {
  Deno.test(`Coordinator.${source}() keeps nothing for a loop that ended or never began, and delays no other`, async () => {
    const bucket = new InMemoryBucket();
    const options = { name: "a", shardCount: 8, onWarning: () => {} };
    const member = new Member(bucket, checkOptions(options, () => crypto.randomUUID()));
    await member.join();
    await member.ready;
    const first: Record<typeof source, () => Iterable<never>> = {
      shardChanges: () => [...member.shards].map((shard) => ({ type: "gained", shard }) as never),
      nodeChanges: () =>
        [...member.membership.nodes.values()].map((node) => ({ type: "joined", node }) as never),
      leaderChanges: () => [{ leader: member.leader, isLeader: true } as never],
    };
    const changes = (signal?: AbortSignal): AsyncIterable<unknown> =>
      (member[source] as Broadcast<never>).changes(first[source], signal === undefined ? {} : { signal });
    for (const [misuse, use] of Object.entries(MISUSES)) {
      await use(changes);
      assert.equal(member[source].readers, 0, `a loop that ${misuse}`);
    }
    const stopped = changes()[Symbol.asyncIterator]();
    await stopped.next(); // It stops reading here.
    let heard = 0;
    const reading = (async () => {
      for await (const _ of changes()) heard++;
    })();
    await until("the other loop has begun", () => heard > 0);
    await member.leave();
    await reading;
    await stopped.return?.();
    assert.equal(member[source].readers, 0);
  });
}
