/**
 * Writing to JetStream: the store beside the lean publisher alone, and beside the stock client.
 *
 * @module
 */

import assert from "node:assert/strict";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { type NatsCluster, startNatsCluster } from "../support/nats_server.ts";
import { concurrently, type GroupOptions, medianTime, once, rate, type Row } from "./harness.ts";
import { memoryOf } from "./jetstream_memory.ts";
import { event, Raw, stockRate, stockTime } from "./jetstream_raw.ts";
import { NatsGo } from "./nats_go.ts";

/** What the rows write to. */
export interface WriteTarget extends GroupOptions {
  /** The server. */
  readonly url: string;
  /** A store of the namespace "write", which nobody else writes to. */
  readonly store: JetStreamEventStore;
  /** The stream of the baselines. */
  readonly raw: Raw;
  /** Takes what is to be done when the group ends. */
  readonly closing: (close: () => Promise<void>) => void;
}

/** A store and a stream for the baseline on three servers, which are started when a row wants them. */
function openedOnce(closing: WriteTarget["closing"]): {
  readonly open: () => Promise<void>;
  readonly targets: () => { readonly store: JetStreamEventStore; readonly raw: Raw };
} {
  let opened: { readonly store: JetStreamEventStore; readonly raw: Raw } | undefined;
  return {
    open: once(async () => {
      const cluster = await startNatsCluster();
      closing(() => cluster.stop());
      const options = { namespace: "write", replicas: 3 };
      await (await JetStreamEventStore.open(cluster.urls, options)).close();
      await (await Raw.open(cluster.url, "raw", 3))[Symbol.asyncDispose]();
      // Each is connected to the leader of its stream: a way over another server would be another measurement.
      const store = await JetStreamEventStore.open(await leaderOf(cluster, "aether_write"), options);
      closing(() => store.close());
      const raw = await Raw.open(await leaderOf(cluster, "raw"), "raw", 3);
      closing(() => raw[Symbol.asyncDispose]());
      opened = { store, raw };
    }),
    targets: () => opened!,
  };
}

/** Where clients of a stream's leader connect. */
async function leaderOf(cluster: NatsCluster, stream: string): Promise<string> {
  for (;;) {
    const leader = await cluster.streamLeader(stream);
    if (leader) return leader.url;
  }
}

/** Two measurements of the same writing, by the store and by the lean publisher alone. */
function appending(
  targets: () => { readonly store: JetStreamEventStore; readonly raw: Raw },
  appends: number,
): Pick<Row, "measureOurs" | "measureBaseline"> {
  let run = 0;
  return {
    measureOurs: async () => {
      const { store } = targets();
      const prefix = `new-${++run}`;
      const before = await lastSequence(store);
      const speed = await rate(
        appends,
        () =>
          concurrently(
            appends,
            256,
            (index) => store.append(`${prefix}-${index}`, [event(index)], { expectedVersion: 0 }),
          ),
      );
      assert.equal(await lastSequence(store) - before, appends);
      for (let index = 0; index < appends; index += appends / 100) {
        const stored = await store.getEvents(`${prefix}-${index}`);
        assert.deepEqual(stored.map(({ version, data }) => ({ version, data })), [
          { version: 1, data: event(index).data },
        ]);
      }
      return speed;
    },
    measureBaseline: async () => {
      const { raw } = targets();
      const prefix = `lean-${++run}`;
      const before = await raw.lastSequence();
      const speed = await rate(
        appends,
        () => concurrently(appends, 256, (index) => raw.publish(`${prefix}-${index}`, index, 0)),
      );
      assert.equal(await raw.lastSequence() - before, appends);
      return speed;
    },
  };
}

/** The rows that write. */
export function writeRows({ url, store, raw, quick, closing }: WriteTarget): Row[] {
  const appends = quick ? 30_000 : 100_000;
  const appendsReplicated = quick ? 5_000 : 50_000;
  const single = appending(() => ({ store, raw }), appends);
  const replicated = openedOnce(closing);
  const natsGo = new NatsGo();
  closing(() => natsGo.close());
  let run = 0;

  const alone = quick ? 1_000 : 3_000;
  const appendAlone = (): Promise<number> => {
    const actorId = `alone-${++run}`;
    return medianTime(
      alone,
      (version) => store.append(actorId, [event(version)], { expectedVersion: version }),
    );
  };

  const batches = (): Promise<number> => {
    const prefix = `batch-${++run}`;
    const count = quick ? 200 : 1_000;
    return rate(
      count,
      () =>
        concurrently(
          count,
          32,
          (index) => raw.publishBatch(Array.from({ length: 5 }, (_, place) => `${prefix}-${index}-${place}`)),
        ),
    );
  };

  return [
    {
      name: "append-256-in-flight",
      unit: "events/s",
      goal: { op: ">=", value: 0.9 },
      baseline:
        "the lean publisher with an expectation and a header of the same size, which takes 11 of the 20 us of " +
        "processor time that an append takes (6 of them to write to the socket, as often as the store does); the rest " +
        "is the event's JSON, header, checksum, answer and head, in pieces of 1 us or less",
      ...single,
    },
    {
      name: "append-256-in-flight-stock",
      unit: "events/s",
      goal: { op: ">=", value: 2 },
      baseline: "js.publish with an expectation",
      measureOurs: single.measureOurs,
      measureBaseline: () => stockRate(url, "raw", quick ? 10_000 : 20_000, 256),
    },
    {
      name: "append-256-in-flight-nats-go",
      unit: "events/s",
      goal: { op: ">=", value: 1 },
      baseline: "PublishMsg() of nats.go with an expectation, by 256 goroutines, which use both cores",
      findMissing: () => natsGo.build(),
      measureOurs: single.measureOurs,
      measureBaseline: () => natsGo.rate(url, "raw", appends, 256),
    },
    {
      name: "append-256-in-flight-3-replicas",
      unit: "events/s",
      goal: { op: ">=", value: 0.9 },
      baseline: "the lean publisher with an expectation, to a stream with 3 replicas on the same servers",
      prepare: replicated.open,
      ...appending(replicated.targets, appendsReplicated),
    },
    {
      name: "append-alone-p50",
      unit: "ms",
      goal: { op: "<=", value: 1.15 },
      baseline: "the lean publisher with an expectation",
      measureOurs: appendAlone,
      measureBaseline: () => {
        const subject = `alone-${++run}`;
        let last = 0;
        return medianTime(alone, async (version) => {
          last = await raw.publish(subject, version, last);
        });
      },
    },
    {
      name: "append-alone-p50-stock",
      unit: "ms",
      goal: { op: "<=", value: 1 },
      baseline: "js.publish with an expectation",
      measureOurs: appendAlone,
      measureBaseline: () => stockTime(url, `raw.stock-alone-${++run}`, alone),
    },
    {
      name: "commit-of-5-32-in-flight",
      unit: "commits/s",
      goal: { op: ">=", value: 20 },
      baseline: "atomic batches of 5 messages",
      measureOurs: () => {
        const prefix = `five-${++run}`;
        const count = quick ? 5_000 : 20_000;
        return rate(count, () =>
          concurrently(count, 32, async (index) => {
            const five = Array.from({ length: 5 }, (_, place) => event(place));
            assert.equal((await store.append(`${prefix}-${index}`, five, { expectedVersion: 0 })).length, 5);
          }));
      },
      measureBaseline: () => batches(),
    },
    {
      name: "commit-over-5-actors-32-in-flight",
      unit: "commits/s",
      goal: { op: ">=", value: 4 },
      baseline: "atomic batches of 5 messages",
      measureOurs: () => {
        const prefix = `five-actors-${++run}`;
        const count = quick ? 1_000 : 10_000;
        return rate(count, () =>
          concurrently(count, 32, async (index) => {
            const five = Array.from({ length: 5 }, (_, place) => {
              return { actorId: `${prefix}-${index}-${place}`, version: 1, ...event(place) };
            });
            assert.equal((await store.saveEvents(five)).length, 5);
          }));
      },
      measureBaseline: () => batches(),
    },
    {
      name: "memory-of-100000-actors",
      unit: "MiB",
      goal: { op: "<=", value: 1 },
      baseline: "the bound: 100 MiB",
      measureOurs: () => memoryOf(url, `memory-${++run}`, 100_000),
      measureBaseline: () => Promise.resolve(100),
      warmUp: false,
      rounds: quick ? 1 : 3,
    },
  ];
}

/** The stream sequence of the last event; 0 without one. */
async function lastSequence(store: JetStreamEventStore): Promise<number> {
  return parseInt((await store.getLastPosition() ?? "").slice(13, 27) || "0", 16);
}
