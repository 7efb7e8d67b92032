/**
 * The cluster coordinator beside its promises, and `ownerOf` beside the bare hash.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { allocate } from "../../src/cluster/allocate.ts";
import { Coordinator, InMemoryBucket, type JoinOptions } from "../../src/cluster/mod.ts";
import type { NodeRecord } from "../../src/cluster/node_record.ts";
import type { Assignment, ShardMap } from "../../src/cluster/shard_map.ts";
import { hash } from "../../src/cluster/shard_of.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import { steadyCost } from "./cluster_steady_cost.ts";
import type { Group, GroupOptions, Row } from "./harness.ts";

const TTL = 2000;
const NODES = 1000;
const SHARDS = 16_384;

/** A row whose baseline is a promise: the ratio is the part of it that was used. */
function promise(
  name: string,
  unit: string,
  bound: number,
  words: string,
  measure: () => Promise<number>,
): Row {
  return {
    name,
    unit,
    goal: { op: "<=", value: 1 },
    baseline: words,
    measureOurs: measure,
    measureBaseline: () => Promise.resolve(bound),
  };
}

async function pair(url: string, options: JoinOptions = {}): Promise<[Coordinator, Coordinator]> {
  const cluster = `bench-${crypto.randomUUID()}`;
  const join = (name: string): Promise<Coordinator> =>
    Coordinator.join(url, { cluster, name, shardCount: 64, ...options });
  const first = await join("a");
  await until("a leads", () => first.isLeader);
  return [first, await join("b")];
}

/** From the call of resign() until the other one leads; the 99th percentile. */
async function handOver(url: string, count: number): Promise<number> {
  const nodes = await pair(url);
  const times: number[] = [];
  for (let round = 0; round < count; round++) {
    const [leader, other] = round % 2 === 0 ? nodes : nodes.toReversed() as [Coordinator, Coordinator];
    await until(
      "the other one knows its leader",
      () => other.leader?.name === leader.name && leader.isLeader,
    );
    const changed = (async () => {
      for await (const { isLeader } of other.leaderChanges()) if (isLeader) return;
    })();
    const begun = performance.now();
    await leader.resign();
    await changed;
    times.push(performance.now() - begun);
    assert(other.isLeader && !leader.isLeader);
  }
  for (const node of nodes) await node.leave();
  return times.sort((a, b) => a - b)[Math.floor(count * 0.99)] ?? Number.NaN;
}

/** From the moment the leader falls silent until another one leads. */
async function takeOverAfterCrash(url: string): Promise<number> {
  const cluster = `bench-${crypto.randomUUID()}`;
  const options = { cluster, shardCount: 64, ttl: TTL, maxClockSkew: 200, onWarning: () => {} };
  const connection = await connect({ servers: url });
  const first = await Coordinator.join(connection, { name: "a", ...options });
  await until("a leads", () => first.isLeader);
  const second = await Coordinator.join(url, { name: "b", ...options });
  await connection.close();
  const begun = performance.now();
  await until("b leads", () => second.isLeader);
  const time = performance.now() - begun;
  await Promise.all([first.leave(), second.leave()]);
  return time;
}

function node(index: number): NodeRecord {
  const name = `node-${String(index).padStart(4, "0")}`;
  const rest = { address: "", metadata: {}, weight: 1, draining: false, releasing: [] };
  return { ...rest, name, session: 10 + index, seen: Number.MAX_SAFE_INTEGER };
}

/** The map after the given nodes are there, from the map before. */
function plan(map: ShardMap, count: number): ShardMap {
  const nodes = Array.from({ length: count }, (_, index) => node(index));
  return allocate({ map, revision: 1e6, seen: 1e6, nodes, isOver: () => false }) ?? map;
}

function owners(map: ShardMap): (string | undefined)[] {
  return map.assignments.map((assignment) =>
    assignment?.revokedOver === 0 ? assignment.owner.name : undefined
  );
}

const EMPTY: ShardMap = {
  leader: "x",
  leaderToken: 1,
  genesis: 1,
  assignments: new Array<Assignment | undefined>(SHARDS).fill(undefined),
};

function planRows(): Row[] {
  const settled = plan(EMPTY, NODES);
  const joined = plan(settled, NODES + 10);
  return [
    promise("plan-1000-nodes-16384-shards", "ms", 100, "the promise of 100 ms", () => {
      const begun = performance.now();
      const map = plan(settled, NODES + 1);
      const time = performance.now() - begun;
      assert(map !== settled);
      return Promise.resolve(time);
    }),
    {
      name: "movement-when-10-join-1000",
      unit: "shards",
      goal: { op: "<=", value: 1.05 },
      baseline: "what the ten must get at least",
      measureOurs: () => Promise.resolve(owners(joined).filter((owner) => owner === undefined).length),
      measureBaseline: () => Promise.resolve(10 * Math.floor(SHARDS / (NODES + 10))),
    },
    {
      name: "load-of-the-fullest-of-1000",
      unit: "shards",
      goal: { op: "<=", value: 1.1 },
      baseline: "an even load",
      measureOurs: () => {
        const load = new Map<string | undefined, number>();
        for (const owner of owners(settled)) load.set(owner, (load.get(owner) ?? 0) + 1);
        return Promise.resolve(Math.max(...load.values()));
      },
      measureBaseline: () => Promise.resolve(SHARDS / NODES),
    },
  ];
}

/** Calls a second over the same strings. */
function callsPerSecond(ids: readonly string[], call: (id: string) => unknown): number {
  const rounds = 200;
  let found = 0;
  const begun = performance.now();
  for (let round = 0; round < rounds; round++) for (const id of ids) if (call(id) !== undefined) found++;
  const time = performance.now() - begun;
  assert.equal(found, rounds * ids.length);
  return rounds * ids.length / time * 1000;
}

function ownerOfRow(coordinator: Coordinator, length: number): Row {
  const ids = Array.from({ length: 10_000 }, (_, index) => String(index).padStart(length, "order-entity-"));
  const table = Array.from({ length: coordinator.shardCount }, () => coordinator.nodes()[0]);
  return {
    name: `owner-of-${length}-characters`,
    unit: "calls/s",
    goal: { op: ">=", value: 0.7 },
    baseline: "the bare hash of the same strings and an array look-up",
    measureOurs: () => Promise.resolve(callsPerSecond(ids, (id) => coordinator.ownerOf(id))),
    measureBaseline: () => Promise.resolve(callsPerSecond(ids, (id) => table[hash(id) % 1024])),
  };
}

function steadyRow(nodes: number): Row {
  return {
    name: `messages-a-node-and-second-of-${nodes}-nodes`,
    unit: "messages/s",
    baseline: "of 3 nodes",
    rounds: 1,
    measureOurs: () => steadyCost(nodes),
    measureBaseline: () => steadyCost(3),
  };
}

/** Opens the group. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const server = await startNatsServer();
  const coordinator = await Coordinator.join(new InMemoryBucket(), { name: "bench", shardCount: 1024 });
  await until(
    "all is owned",
    () => coordinator.unownedShards().length === 0 && coordinator.nodes().length === 1,
  );
  return {
    rows: [
      promise(
        "hand-over-of-leadership-p99",
        "ms",
        100,
        "the promise of 100 ms",
        () => handOver(server.url, quick ? 40 : 200),
      ),
      {
        ...promise(
          "take-over-after-a-crash",
          "ms",
          TTL + 500,
          "the promise of TTL + 0.5 s",
          () => takeOverAfterCrash(server.url),
        ),
        rounds: 3,
      },
      ...planRows(),
      ownerOfRow(coordinator, 7),
      ownerOfRow(coordinator, 42),
      ...[30, 300].map(steadyRow),
    ],
    async [Symbol.asyncDispose](): Promise<void> {
      await coordinator.leave();
      await server.stop();
    },
  };
}
