/**
 * The store on JetStream beside the stock client, and beside what the wire alone can do, on the same server.
 *
 * @module
 */

import assert from "node:assert/strict";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { concurrently, type Group, type GroupOptions, medianTime, once, rate, type Row } from "./harness.ts";
import { event, Raw, stockReplay } from "./jetstream_raw.ts";
import { writeRows } from "./jetstream_write.ts";

/** The rows of the store on JetStream. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const server = await startNatsServer();
  const { url } = server;
  const total = quick ? 50_000 : 1_000_000;
  const perActor = 100;
  const actors = total / perActor;
  const dense = quick ? 10_000 : 100_000;
  const store = await JetStreamEventStore.open(url, { maxInFlight: 4_096 });
  const writer = await JetStreamEventStore.open(url, { namespace: "write" });
  const raw = await Raw.open(url, "raw");
  const closing: (() => Promise<void>)[] = [];
  let run = 0;
  const denseStore = await JetStreamEventStore.open(url, { namespace: "dense" });
  // Another store reads, which has no head in mind.
  const reader = await JetStreamEventStore.open(url);
  const sequences = new Map<number, number[]>();
  const sequencesOf = async (actor: number): Promise<number[]> => {
    let known = sequences.get(actor);
    if (!known) {
      const events = await reader.getEvents(`sparse-${actor}`);
      assert.equal(events.length, perActor);
      known = events.map(({ position }) => parseInt(position.slice(13, 27), 16));
      sequences.set(actor, known);
    }
    return known;
  };
  const decoder = new TextDecoder();
  const fetchKnown = async (actor: number): Promise<void> => {
    const messages = await raw.requests.getDirect("aether_default", await sequencesOf(actor));
    let events = 0;
    for (const message of messages) events += (JSON.parse(decoder.decode(message!.data)) as unknown[]).length;
    assert.equal(events, perActor);
  };
  const replay = async (actor: number): Promise<void> => {
    assert.equal((await reader.getEvents(`sparse-${actor}`)).length, perActor);
  };
  const pick = (): number => Math.floor(Math.random() * Math.min(actors, 500));
  const replays = quick ? 30 : 100;
  const fillSparse = once(async () => {
    // A log of many sparse actors, each of their events as far from the one before as can be.
    for (let version = 0; version < perActor; version++) {
      await concurrently(
        actors,
        512,
        (actor) => store.append(`sparse-${actor}`, [event(version)], { expectedVersion: version }),
      );
    }
    for (let actor = 0; actor < Math.min(actors, 500); actor++) await sequencesOf(actor);
  });
  const fillDense = once(async () => {
    for (let version = 0; version < dense;) {
      await denseStore.append("dense", [event(version)], { expectedVersion: version++ });
    }
  });

  const rows: Row[] = [
    ...writeRows({ url, store: writer, raw, quick, closing: (close) => closing.push(close) }),
    {
      name: `replay-100-of-${total}`,
      prepare: fillSparse,
      unit: "ms",
      goal: { op: "<=", value: 2 },
      baseline: "fetching and parsing the same 100 messages by known sequence, pipelined",
      measureOurs: () => medianTime(replays, () => replay(pick())),
      measureBaseline: () => medianTime(replays, () => fetchKnown(pick())),
    },
    {
      name: "replay-100-16-at-once",
      prepare: fillSparse,
      unit: "actors/s",
      goal: { op: ">=", value: 20 },
      baseline: "an ordered consumer a replay",
      measureOurs: () => rate(replays * 8, () => concurrently(replays * 8, 16, () => replay(pick()))),
      measureBaseline: () => {
        const count = quick ? 32 : 64;
        return rate(
          count,
          () =>
            concurrently(
              count,
              16,
              () => stockReplay(url, "aether_default", `aether.default.sparse-${pick()}`, perActor),
            ),
        );
      },
      rounds: 3,
    },
    {
      name: `replay-dense-${dense}`,
      prepare: fillDense,
      unit: "ms",
      goal: { op: "<=", value: 1.1 },
      baseline: "the stock ordered consumer, every message parsed",
      measureOurs: () =>
        medianTime(1, async () => assert.equal((await denseStore.getEvents("dense")).length, dense)),
      measureBaseline: () => stockReplay(url, "aether_dense", "aether.dense.dense", dense),
    },
    {
      name: `read-whole-log-${dense}`,
      prepare: fillDense,
      unit: "events/s",
      goal: { op: ">=", value: 0.6 },
      baseline: "a push consumer whose messages are not decoded",
      measureOurs: () =>
        rate(dense, async () => {
          let events = 0;
          for await (const { version } of denseStore.readAll()) if (version > 0) events++;
          assert.equal(events, dense);
        }),
      measureBaseline: () => rate(dense, () => pushAll(url, "aether_dense", dense)),
    },
    {
      name: "live-delivery-p50",
      unit: "ms",
      goal: { op: "<=", value: 2 },
      baseline: "a core subscription on a message that is published after the acknowledgement of another",
      measureOurs: async () => {
        await using subscription = reader.subscribe({ after: "end" });
        await subscription.ready;
        const delivered = subscription[Symbol.asyncIterator]();
        const actorId = `live-${++run}`;
        return await medianTime(quick ? 300 : 2_000, async (version) => {
          const next = delivered.next();
          await store.append(actorId, [event(version)], { expectedVersion: version });
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
  return {
    rows,
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all([store.close(), writer.close(), denseStore.close(), reader.close()]);
      await raw[Symbol.asyncDispose]();
      for (const close of closing.reverse()) await close();
      await server.stop();
    },
  };
}

/** Takes all messages of a stream as they come, undecoded. */
async function pushAll(url: string, stream: string, count: number): Promise<void> {
  const { connect } = await import("@nats-io/transport-node");
  const connection = await connect({ servers: url });
  const done = Promise.withResolvers<void>();
  let seen = 0;
  connection.subscribe("bench.push", {
    callback: (_, message) => {
      if (message.headers?.code === 100) {
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
