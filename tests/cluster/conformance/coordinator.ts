/** What a coordinator must do, in one process and over JetStream. */
import assert from "node:assert/strict";
import { ClosedError, InvalidArgumentError } from "../../../src/errors.ts";
import {
  type Bucket,
  ConfigurationMismatchError,
  Coordinator,
  type JoinOptions,
  NodeNameTakenError,
  shardOf,
} from "../../../src/cluster/mod.ts";
import { until } from "../../support/until.ts";

const SHARDS = 12;

/** Where a test's nodes join; the same for all of them. */
export interface ClusterBackend {
  readonly target: string | Bucket;
  /** How nodes join, unless a test says otherwise. */
  readonly options?: JoinOptions;
}

/** Runs the suite against one backend, which is made once for all of its steps. */
export function testCoordinator(
  name: string,
  use: (run: (backend: ClusterBackend) => Promise<void>) => Promise<void>,
): void {
  type Run = (join: (name: string, options?: JoinOptions) => Promise<Coordinator>) => Promise<void>;
  const steps: [criterion: string, run: Run][] = [];
  const test = (criterion: string, run: Run): void => {
    steps.push([criterion, run]);
  };
  Deno.test(name, (t) =>
    use(async ({ target, options: defaults }) => {
      for (const [criterion, run] of steps) {
        await t.step(criterion, async () => {
          const joined: Coordinator[] = [];
          try {
            await run(async (node, options) => {
              const coordinator = await Coordinator.join(target, {
                name: node,
                shardCount: SHARDS,
                ...defaults,
                ...options,
              });
              joined.push(coordinator);
              return coordinator;
            });
          } finally {
            await Promise.all(joined.map((coordinator) => coordinator.leave()));
          }
        });
      }
    }));
  const count = (coordinator: Coordinator): number =>
    [...coordinator.shards].filter((shard) => shard.isHeld).length;

  test("gives all shards to the only node, which leads", async (join) => {
    const a = await join("a");
    await until("all is owned", () => count(a) === SHARDS);
    assert(a.isLeader);
    assert.equal(a.leader?.name, "a");
    assert.deepEqual(a.unownedShards(), []);
    assert.deepEqual(a.shardOwners().map((owner) => owner?.name), Array(SHARDS).fill("a"));
    assert.equal(a.status, "joined");
  });

  test("shares the shards evenly, and each has one holder under a token of its own", async (join) => {
    const nodes = [await join("a"), await join("b"), await join("c")];
    await until("shares are even", () => nodes.every((node) => count(node) === SHARDS / 3));
    const held = nodes.flatMap((node) => [...node.shards].map((shard) => shard.id));
    assert.equal(new Set(held).size, SHARDS);
    assert.equal(nodes.filter((node) => node.isLeader).length, 1);
    await until(
      "all agree on the owners",
      () =>
        nodes.every((node) =>
          nodes.every((owner) =>
            [...owner.shards].every((shard) => ownerOfShard(node, shard.id) === owner.name)
          )
        ),
    );
  });

  test("finds the shard of an actor on the node that holds it, and on no other", async (join) => {
    const nodes = [await join("a"), await join("b")];
    await until("shares are even", () => nodes.every((node) => count(node) === SHARDS / 2));
    for (const actorId of ["order-1", "order-2", "order.3", "\u{1f600}"]) {
      const found = nodes.map((node) => node.shardFor(actorId)).filter((shard) => shard !== undefined);
      assert.deepEqual(found.map(({ id }) => id), [shardOf(actorId, SHARDS)]);
    }
    const [a] = nodes;
    for (const actorId of ["", "\ud800"]) assert.throws(() => a!.shardFor(actorId), InvalidArgumentError);
    await a!.leave();
    assert.equal(a!.shardFor("order-1"), undefined);
  });

  test("raises a shard's token with every move", async (join) => {
    const a = await join("a");
    await until("a has all", () => count(a) === SHARDS);
    const before = new Map([...a.shards].map((shard) => [shard.id, shard]));
    const b = await join("b");
    await until("b has half", () => count(b) === SHARDS / 2);
    for (const shard of b.shards) {
      const old = before.get(shard.id);
      assert(old !== undefined && old.signal.aborted && !old.isHeld);
      assert(shard.fencingToken > old.fencingToken);
    }
    assert.equal([...before.values()].filter((shard) => shard.isHeld).length, SHARDS / 2);
  });

  test("waits for the work on a shard before it moves it", async (join) => {
    const a = await join("a");
    await until("a has all", () => count(a) === SHARDS);
    const job = Promise.withResolvers<void>();
    const shards = [...a.shards];
    for (const shard of shards) shard.waitUntil(job.promise);
    const b = await join("b");
    await until(
      "half of it is to move",
      () => shards.filter((shard) => shard.signal.aborted).length === SHARDS / 2,
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(count(b), 0);
    assert(shards.every((shard) => shard.isHeld), "still this node's alone while the work goes on");
    job.resolve();
    await until("b has half", () => count(b) === SHARDS / 2);
  });

  test("hands all over at once when a node leaves, the leader too", async (join) => {
    const a = await join("a");
    const b = await join("b");
    await until("b has half", () => count(b) === SHARDS / 2 && count(a) === SHARDS / 2);
    await a.leave();
    await a.leave();
    assert.equal(count(a), 0);
    assert.equal(a.status, "left");
    assert(a.signal.reason instanceof ClosedError);
    await until("b has all and leads", () => count(b) === SHARDS && b.isLeader, 5000);
    await until("b sees a leave", () => b.nodes().length === 1);
  });

  test("leaves in spite of work that does not stop, when the signal aborts", async (join) => {
    const a = await join("a");
    await until("a has all", () => count(a) === SHARDS);
    const [shard] = a.shards;
    assert(shard !== undefined);
    shard.waitUntil(new Promise(() => {}));
    const ending = new AbortController();
    const leaving = a.leave({ signal: ending.signal });
    await until("it begins to leave", () => shard.signal.aborted);
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert(shard.isHeld, "it waits, and nobody else has the shard");
    ending.abort();
    await leaving;
    assert.equal(shard.isHeld, false);
  });

  test("reports joins, leaves and new incarnations in order", async (join) => {
    const long = { ttl: 120_000 }; // no node is taken for dead, however slow this machine is
    const a = await join("a", { ...long, address: "10.0.0.1:1", metadata: { zone: "x" } });
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { type, node } of a.nodeChanges()) {
        seen.push(`${type} ${node.name}`);
        if (seen.length === 6) break;
      }
    })();
    const b = await join("b", long);
    const first = b.incarnation ?? 0;
    await until("a sees b", () => a.nodes().some((node) => node.name === "b"));
    b.drain();
    await until("a sees b drain", () => a.nodes().some((node) => node.draining));
    await b.leave();
    await until("a sees b leave", () => a.nodes().length === 1);
    const again = await join("b", long);
    assert((again.incarnation ?? 0) > first);
    await until("a sees b again", () => a.nodes().length === 2);
    await again.leave();
    await watching;
    assert.deepEqual(seen, ["joined a", "joined b", "updated b", "left b", "joined b", "left b"]);
    const [self] = a.nodes();
    assert.equal(self?.address, "10.0.0.1:1");
    assert.deepEqual(self?.metadata, { zone: "x" });
  });

  test("weighs nodes, and drains them", async (join) => {
    const a = await join("a", { weight: 3 });
    const b = await join("b");
    await until("shares follow the weights", () => count(a) === 9 && count(b) === 3);
    a.drain();
    await until("a is empty", () => count(a) === 0 && count(b) === SHARDS);
    b.drain();
    await until("nobody can take them", () => count(b) === 0 && a.unownedShards().length === SHARDS);
    assert.equal(a.ownerOf("x"), undefined);
    assert.deepEqual(a.shardOwners(), Array(SHARDS).fill(undefined));
    a.drain(false);
    await until("a has all", () => count(a) === SHARDS && a.unownedShards().length === 0);
  });

  test("lets a leader resign", async (join) => {
    const nodes = [await join("a"), await join("b")];
    // In a new bucket both wait for the first grant, and either may get it.
    await until("one leads, and both know", () => {
      const leader = nodes.find(({ isLeader }) => isLeader);
      return leader !== undefined && nodes.every((node) => node.leader?.name === leader.name);
    });
    const [first, second] = nodes[0]!.isLeader ? [nodes[0]!, nodes[1]!] : [nodes[1]!, nodes[0]!];
    const token = first.leaderToken ?? 0;
    const elected = (async () => {
      for await (const { isLeader } of second.leaderChanges()) if (isLeader) return;
    })();
    await first.resign();
    assert.equal(first.isLeader, false);
    assert.equal(first.leaderToken, undefined);
    await elected;
    assert((second.leaderToken ?? 0) > token);
    await until("the first one knows", () => first.leader?.name === second.name);
    await second.resign();
    await until("the first one leads again, since the other had its time", () => first.isLeader, 10_000);
  });

  test("refuses a node name that is alive, and disturbs no node", async (join) => {
    const a = await join("a", { renewEvery: 100, ttl: 4000 });
    await until("a has all", () => count(a) === SHARDS);
    const token = a.incarnation;
    await assert.rejects(join("a"), NodeNameTakenError);
    assert.equal(a.incarnation, token);
    assert.equal(count(a), SHARDS);
  });

  test("refuses another number of shards, and disturbs no node", async (join) => {
    const a = await join("a");
    await until("a has all", () => count(a) === SHARDS);
    await assert.rejects(join("b", { shardCount: 13 }), (error) => {
      assert(error instanceof ConfigurationMismatchError && error.reason === "cluster");
      assert.deepEqual(error.differences, [{ setting: "shardCount", expected: 13, actual: SHARDS }]);
      return true;
    });
    assert.equal(count(a), SHARDS);
    assert.equal(a.nodes().length, 1);
  });

  test("takes any name, and refuses bad input by name", async (join) => {
    const refused = async (
      argument: string,
      node: string,
      options: Record<string, unknown> = {},
    ): Promise<void> => {
      await assert.rejects(join(node, options), (error) => {
        assert(error instanceof InvalidArgumentError, String(error));
        assert.equal(error.argument, argument);
        return true;
      });
    };
    await refused("options.name", "");
    await refused("options.name", "n".repeat(300));
    await refused("options.name", "\udc00");
    await refused("options.ttl", "a", { ttl: 500 });
    await refused("options.maxClockSkew", "a", { ttl: 2000, maxClockSkew: 2000 });
    await refused("options.shardCount", "a", { shardCount: 0 });
    await refused("options.shardCount", "a", { shardCount: 16_385 });
    await refused("options.shardCount", "a", { shardCount: 1.5 });
    await refused("options.weight", "a", { weight: -1 });
    await refused("options.weight", "a", { weight: Number.NaN });
    await refused("options.metadata", "a", { metadata: { large: "x".repeat(1 << 20) } });
    await refused("options.metadata", "a", { metadata: { number: 1 } });
    for (const metadata of [null, [], new Map([["zone", "b"]]), new Date(), "zone b"]) {
      await refused("options.metadata", "a", { metadata });
    }
    await refused("options.address", "a", { address: "x".repeat(2000) });
    const odd = await join("a.b.*.> \u{1F600}/=2E");
    await until("it has all", () => count(odd) === SHARDS);
    assert.equal(odd.nodes()[0]?.name, "a.b.*.> \u{1F600}/=2E");
  });

  test("is ready once the owner of every shard is known", async (join) => {
    const a = await join("a");
    assert.equal(a.ready, a.ready, "every caller waits for the same promise");
    await a.ready;
    const b = await join("b");
    await b.ready;
    for (const node of [a, b]) {
      for (let i = 0; i < 50; i++) assert(node.ownerOf(`actor-${i}`) !== undefined);
      assert.deepEqual(node.unownedShards(), []);
    }
    await a.leave();
    await a.ready; // It stays resolved.
  });

  test("rejects ready when it leaves before it is ready, and otherwise ignores it", async (join) => {
    const waiting = await join("a", { weight: 0 }); // No node can own a shard.
    const ready = assert.rejects(waiting.ready, ClosedError);
    await waiting.leave();
    await ready;
    await assert.rejects(waiting.ready, ClosedError);
    const unasked = await join("b", { weight: 0 });
    await unasked.leave(); // An unhandled rejection would fail the test.
  });

  test("stops joining by the signal", async (join) => {
    await assert.rejects(join("a", { signal: AbortSignal.abort(new Error("enough")) }), /enough/);
  });

  test("ends its loops when it leaves", async (join) => {
    const a = await join("a");
    const loops = Promise.all([drain(a.nodeChanges()), drain(a.shardChanges()), drain(a.leaderChanges())]);
    await until("a has all", () => count(a) === SHARDS);
    await a.leave();
    await loops;
  });

  function ownerOfShard(coordinator: Coordinator, shard: number): string | undefined {
    for (let i = 0; i < 10_000; i++) {
      if (shardOf(`actor-${i}`, SHARDS) === shard) return coordinator.ownerOf(`actor-${i}`)?.name;
    }
    throw new Error("unreachable: every shard has an actor");
  }
}

async function drain(changes: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of changes);
}
