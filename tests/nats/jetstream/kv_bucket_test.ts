/** The key-value bucket by compare-and-set, on a real server. */

import assert from "node:assert/strict";
import { AcknowledgementReader } from "../../../src/nats/jetstream/acknowledgement.ts";
import { jetStreamAddress } from "../../../src/nats/jetstream/address.ts";
import { isRemoval, KvBucket } from "../../../src/nats/jetstream/kv_bucket.ts";
import { Publisher } from "../../../src/nats/jetstream/publisher.ts";
import { NoAnswerError, StreamNotFoundError } from "../../../src/nats/jetstream/api_errors.ts";
import type { StreamConfig } from "../../../src/nats/jetstream/api_types.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { bytes, type Client, client, text, until } from "../../store/jetstream/support.ts";

const CONFIG: StreamConfig = {
  name: "KV_test",
  subjects: ["$KV.test.>"],
  storage: "memory",
  max_msgs_per_subject: 1,
  allow_msg_ttl: true,
  subject_delete_marker_ttl: 60_000_000_000,
  allow_rollup_hdrs: true,
};

interface Opened extends Disposable {
  readonly bucket: KvBucket;
}

function open(c: Client, config?: StreamConfig): Opened {
  const publisher = new Publisher(c.state, new AcknowledgementReader("KV_test", undefined));
  const { requests } = c;
  const address = jetStreamAddress();
  const bucket = new KvBucket({
    stream: "KV_test",
    requests,
    publisher,
    address,
    domain: undefined,
    patience: 5_000,
    ...(config && { config }),
  });
  return { bucket, [Symbol.dispose]: () => publisher.close() };
}

Deno.test("KvBucket.put() stores only in place of the message that is expected, for its time to live", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(CONFIG);
  using opened = open(c);
  const { bucket } = opened;
  assert.equal((await bucket.put("$KV.test.a", bytes("1"), { expected: 0 })).status, "stored");
  const conflict = await bucket.put("$KV.test.a", bytes("2"), { expected: 0 });
  assert(conflict.status === "refused" && conflict.code === 10_071);
  assert.equal(text((await bucket.get("$KV.test.a"))!.data), "1");
  const second = await bucket.put("$KV.test.a", bytes("2"), { expected: 1, ttl: 1 });
  assert.deepEqual(second, { status: "stored", sequence: 2, duplicate: false });
  assert.equal((await bucket.get("$KV.test.a"))!.header("Nats-TTL"), "1s");
  await bucket.put("$KV.test.a", bytes(""), { expected: 2, isRemoval: true });
  const removed = await bucket.get("$KV.test.a");
  assert(isRemoval((name) => removed?.header(name)));
});

Deno.test("KvBucket creates its stream before the first change, and counts as empty until then", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  using opened = open(c, CONFIG);
  const { bucket } = opened;
  assert.equal(await bucket.get("$KV.test.a"), undefined);
  using strict = open(c);
  await assert.rejects(strict.bucket.get("$KV.test.a"), StreamNotFoundError);
  const increment = (): Promise<void> =>
    bucket.change("$KV.test.a", (stored) => bytes(String(Number(stored ? text(stored.data) : 0) + 1)));
  await Promise.all(Array.from({ length: 8 }, increment));
  assert.equal(text((await bucket.get("$KV.test.a"))!.data), "8");
  await c.requests.request("STREAM.DELETE.KV_test");
  await increment();
  assert.equal(text((await bucket.get("$KV.test.a"))!.data), "1");
});

Deno.test("KvBucket reads the last message of each key that a filter chooses", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  using opened = open(c, CONFIG);
  const { bucket } = opened;
  for (const key of ["x.a", "x.b", "y.a", "x.a"]) await bucket.change(`$KV.test.${key}`, () => bytes(key));
  const sequences = (await bucket.getEach("$KV.test.x.*")).map(({ sequence }) => sequence);
  assert.deepEqual(sequences.sort(), [2, 4]);
  const subjects: string[] = [];
  for await (const { subject } of bucket.each("$KV.test.*.a")) subjects.push(subject);
  assert.deepEqual(subjects, ["$KV.test.y.a", "$KV.test.x.a"]);
  assert.deepEqual(await bucket.getEach("$KV.test.z.>"), []);
});

Deno.test("KvBucket.put() sends nothing after its own timeout", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream({ ...CONFIG, storage: "file" });
  using opened = open(c);
  const { bucket } = opened;
  await server.kill();
  await until(() => !c.state.isConnected);
  const late = bucket.put("$KV.test.a", bytes("late"), { expected: 0, timeout: 50 });
  await assert.rejects(late, (error) => error instanceof NoAnswerError && error.why === "timeout");
  await server.restart();
  await until(() => c.state.isConnected);
  const next = await bucket.put("$KV.test.b", bytes("next"), { expected: 0 });
  assert.equal(next.status, "stored");
  assert.equal(await bucket.get("$KV.test.a"), undefined);
});
