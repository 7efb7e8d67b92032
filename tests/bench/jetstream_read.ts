/**
 * Reading from JetStream: the store beside the stock client, and beside the wire alone.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { concurrently, type GroupOptions, medianTime, once, rate, type Row } from "./harness.ts";
import { memoryOfReading } from "./jetstream_memory.ts";
import { event, type Raw, stockReplay } from "./jetstream_raw.ts";
import { SparseLog } from "./jetstream_sparse.ts";

/** What the rows read from. */
export interface ReadTarget extends GroupOptions {
  /** The server. */
  readonly url: string;
  /** Reads without a store. */
  readonly raw: Raw;
  /** Takes what is to be done when the group ends. */
  readonly closing: (close: () => Promise<void>) => void;
}

/** The rows that read. */
export function readRows({ url, raw, quick, closing }: ReadTarget): Row[] {
  const [small, middle, large] = (quick ? [10_000, 50_000, 100_000] : [100_000, 1_000_000, 3_000_000])
    .map((events) => new SparseLog(url, raw, events, closing)) as [SparseLog, SparseLog, SparseLog];
  const dense = quick ? 10_000 : 100_000;
  const replays = quick ? 30 : 100;
  const writing = openedOnce(url, "dense", closing);
  const fillDense = once(async () => {
    const store = await writing();
    for (let version = 0; version < dense;) {
      await store.append("dense", [event(version)], { expectedVersion: version++ });
    }
  });
  const live = openedOnce(url, "live", closing);
  const subscribed = openedOnce(url, "live", closing);
  let run = 0;

  const flat = (log: SparseLog): Row => ({
    name: `replay-100-of-${log.events}`,
    prepare: async () => {
      await small.fill();
      await log.fill();
    },
    unit: "ms",
    goal: { op: "<=", value: 1.5 },
    baseline: `the same out of ${small.events} events`,
    measureOurs: () => medianTime(replays, () => log.replay()),
    measureBaseline: () => medianTime(replays, () => small.replay()),
  });

  return [
    {
      name: `replay-100-of-${middle.events}-by-sequence`,
      prepare: middle.fill,
      unit: "ms",
      goal: { op: "<=", value: 2 },
      baseline: "fetching and parsing the same 100 messages by known sequence, pipelined",
      measureOurs: () => medianTime(replays, () => middle.replay()),
      measureBaseline: () => medianTime(replays, () => middle.fetchKnown()),
    },
    flat(middle),
    {
      name: `replay-100-of-${middle.events}-16-at-once`,
      prepare: middle.fill,
      unit: "actors/s",
      goal: { op: ">=", value: 20 },
      baseline: "an ordered consumer a replay",
      measureOurs: () => rate(replays * 8, () => concurrently(replays * 8, 16, () => middle.replay())),
      measureBaseline: () => {
        const count = quick ? 32 : 64;
        return rate(count, () => concurrently(count, 16, () => middle.replayStock()));
      },
      rounds: 3,
    },
    flat(large),
    {
      name: `replay-dense-${dense}`,
      prepare: fillDense,
      unit: "ms",
      goal: { op: "<=", value: 1.1 },
      baseline: "the stock ordered consumer, every message parsed",
      measureOurs: () =>
        medianTime(1, async () => {
          const events = await (await writing()).getEvents("dense");
          assert.equal(events.length, dense);
          assert.equal(events.at(-1)?.version, dense);
        }),
      measureBaseline: async () => {
        const { config } = await raw.requests.streamInfo("aether_dense");
        // The log's id is a level of its subjects.
        const [subjects = ""] = config["subjects"] as string[];
        return await stockReplay(url, "aether_dense", subjects.replace(">", "dense"), dense);
      },
    },
    {
      name: `read-whole-log-${middle.events}`,
      prepare: middle.fill,
      unit: "events/s",
      goal: { op: ">=", value: 0.6 },
      baseline: "a push consumer whose messages, and their headers, are not decoded",
      measureOurs: () => rate(middle.events, () => middle.readAll()),
      measureBaseline: () => rate(middle.events, () => pushAll(url, middle.stream, middle.events)),
      rounds: 3,
    },
    {
      name: `memory-of-reading-${middle.events}`,
      prepare: middle.fill,
      unit: "MiB",
      goal: { op: "<=", value: 1 },
      baseline: "the 100 MiB by which resident memory may grow",
      measureOurs: () => memoryOfReading(url, middle.namespace, middle.events),
      measureBaseline: () => Promise.resolve(100),
      warmUp: false,
      rounds: 1,
    },
    {
      name: "live-delivery-p50",
      unit: "ms",
      goal: { op: "<=", value: 2 },
      baseline: "a core subscription on a message that is published after the acknowledgement of another",
      measureOurs: async () => {
        await using subscription = (await subscribed()).subscribe({ after: "end" });
        await subscription.ready;
        const delivered = subscription[Symbol.asyncIterator]();
        const actorId = `live-${++run}`;
        return await medianTime(quick ? 300 : 2_000, async (version) => {
          const next = delivered.next();
          await (await live()).append(actorId, [event(version)], { expectedVersion: version });
          assert.equal((await next).value?.actorId, actorId);
        });
      },
      measureBaseline: async () => {
        let arrived = Promise.withResolvers<void>();
        const subscription = raw.connection.subscribe("bench.live", { callback: () => arrived.resolve() });
        const subject = `live-${++run}`;
        let last = 0;
        const time = await medianTime(quick ? 300 : 2_000, async (version) => {
          arrived = Promise.withResolvers();
          last = await raw.publish(subject, version, last);
          raw.connection.publish("bench.live");
          await arrived.promise;
        });
        subscription.unsubscribe();
        return time;
      },
    },
  ];
}

/** A store that is opened when a row wants it. */
function openedOnce(
  url: string,
  namespace: string,
  closing: ReadTarget["closing"],
): () => Promise<JetStreamEventStore> {
  let opening: Promise<JetStreamEventStore> | undefined;
  const open = async (): Promise<JetStreamEventStore> => {
    const store = await JetStreamEventStore.open(url, { namespace });
    closing(() => store.close());
    return store;
  };
  return () => opening ??= open();
}

/** Takes all messages of a stream as they come, undecoded. */
async function pushAll(url: string, stream: string, count: number): Promise<void> {
  const connection = await connect({ servers: url });
  const done = Promise.withResolvers<void>();
  let seen = 0;
  connection.subscribe("bench.push", {
    callback: (_, message) => {
      // What the server says itself has no payload: headers, which take the client longer than all else, stay as they are.
      if (message.data.length === 0) {
        if (message.reply) connection.publish(message.reply);
      } else if (++seen === count) done.resolve();
    },
  });
  const config = {
    name: `push-${crypto.randomUUID()}`,
    deliver_subject: "bench.push",
    ack_policy: "none",
    deliver_policy: "all",
    mem_storage: true,
    flow_control: true,
    idle_heartbeat: 1_000_000_000,
  };
  await connection.request(
    `$JS.API.CONSUMER.CREATE.${stream}.${config.name}`,
    JSON.stringify({ stream_name: stream, config, action: "create" }),
  );
  await done.promise;
  await connection.close();
}
