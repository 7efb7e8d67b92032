import assert from "node:assert/strict";
import { NotConnectedError } from "../../../src/nats/errors.ts";
import { wireMessage } from "../../../src/nats/wire.ts";
import { readDelivery, Subjects } from "../../../src/nats/jetstream/delivery.ts";
import { OrderedConsumer } from "../../../src/nats/jetstream/ordered_consumer.ts";
import { AcknowledgementReader } from "../../../src/nats/jetstream/acknowledgement.ts";
import { Publisher } from "../../../src/nats/jetstream/publisher.ts";
import { StreamNotFoundError } from "../../../src/nats/jetstream/api_errors.ts";
import { startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { bytes, type Client, client, sleep, STREAM, text, until } from "../../store/jetstream/support.ts";

/** Stores messages `from` to `to` (both included) whose payloads are their numbers, over ten subjects in turn. */
async function store(c: Client, from: number, to: number, size = 0): Promise<void> {
  const publisher = new Publisher(c.state, new AcknowledgementReader("S", undefined), {
    timeout: 10_000,
    maxInFlight: 64,
  });
  const padding = " ".repeat(size);
  const numbers = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const outcomes = await Promise.all(
    numbers.map((n) => publisher.publish({ subject: `s.${n % 10}`, data: bytes(`${n}${padding}`) })),
  );
  publisher.close();
  assert.deepEqual(outcomes.map((outcome) => outcome.status === "stored" && outcome.sequence), numbers);
}

/** Reads `count` messages and checks that they are those from `first` on. */
async function expectNext(consumer: OrderedConsumer, first: number, count: number): Promise<void> {
  let next = first;
  while (next < first + count) {
    for (const message of await consumer.read()) {
      assert.equal(message.sequence, next);
      assert.equal(Number(text(message.data)), next);
      assert.equal(message.subject, `s.${next % 10}`);
      next++;
    }
  }
  assert.equal(next, first + count, "more than expected");
}

async function consumerNames(c: Client): Promise<string[]> {
  const { consumers } = await c.requests.request<{ consumers: string[] | null }>("CONSUMER.NAMES.S", {});
  return consumers ?? [];
}

Deno.test("readDelivery() reads both formats from the right, and nothing else", () => {
  const read = (reply: string | undefined): unknown => {
    const message = { subject: "s.1", data: bytes("payload"), ...(reply === undefined ? {} : { reply }) };
    const delivery = readDelivery(wireMessage(message), new Subjects());
    return delivery && [
      delivery.subject,
      delivery.sequence,
      delivery.consumerSequence,
      delivery.time,
      delivery.pending,
      text(delivery.data),
    ];
  };
  const time = 1_763_850_000_123.5;
  const delivered = (reply: string, pending: number): void =>
    assert.deepEqual(read(reply), ["s.1", 20, 3, time, pending, "payload"]);
  delivered("$JS.ACK.S.C.1.20.3.1763850000123500000.4", 4);
  delivered("$JS.ACK._.hash.S.C.1.20.3.1763850000123500000.0", 0);
  for (
    const reply of [
      undefined,
      "",
      "$JS.FC.S.C.a1B2",
      "1.2.3",
      "_INBOX.x.y",
      "$JS.ACK.S.C.1.0.3.1.4",
      "$JS.ACK.S.C.1.20.3.1763850000123500000.",
      "a.1.2..4",
    ]
  ) {
    assert.equal(read(reply), undefined, reply);
  }
});

Deno.test("Subjects gives the string of a subject of any bytes", () => {
  const subjects = new Subjects();
  const encoder = new TextEncoder();
  // Many more than are kept, some of them of the same length, so that they take each other's place.
  for (let round = 0; round < 2; round++) {
    for (let number = 0; number < 20_000; number++) {
      const subject = number % 7 === 0 ? `s.\u00e9${number}` : `s.${number}`;
      assert.equal(subjects.of(encoder.encode(subject)).text, subject);
    }
  }
});

Deno.test("Subjects gives one object for a subject that is repeated", () => {
  const subjects = new Subjects();
  const encoder = new TextEncoder();
  const all = Array.from({ length: 1_000 }, (_, number) => encoder.encode(`s.${number}`));
  for (let round = 0; round < 20; round++) for (const subject of all) subjects.of(subject);
  const known = new Set(all.map((subject) => subjects.of(subject)));
  assert.equal(known.size, all.length);
  // A few may share their two places with others, and take turns.
  const again = all.filter((subject) => known.has(subjects.of(subject)));
  assert(again.length > 900, `${again.length}`);
});

Deno.test("OrderedConsumer delivers history, then live, in order, and leaves no consumer behind", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  await store(c, 1, 500);
  const consumer = new OrderedConsumer(c.state, c.requests, { stream: "S" });
  await expectNext(consumer, 1, 500);
  assert.equal(consumer.position, 500);
  const live = expectNext(consumer, 501, 100);
  await store(c, 501, 600);
  await live;
  assert.equal((await consumerNames(c)).length, 1);
  const waiting = consumer.read();
  consumer.close();
  assert.deepEqual(await waiting, []);
  assert.deepEqual(await consumer.read(), []);
  await until(async () => (await consumerNames(c)).length === 0, "the consumer's deletion");
});

Deno.test("OrderedConsumer starts at a sequence, narrows by filters, and iterates; leaving the loop closes it", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  await store(c, 1, 100);
  const sequences = async (filterSubjects: string[], startSequence: number): Promise<number[]> => {
    const result: number[] = [];
    const options = { stream: "S", filterSubjects, startSequence };
    for await (const message of new OrderedConsumer(c.state, c.requests, options)) {
      result.push(message.sequence);
      if (message.pending === 0) break;
    }
    return result;
  };
  assert.deepEqual(await sequences([], 98), [98, 99, 100]);
  assert.deepEqual(await sequences(["s.3"], 70), [73, 83, 93]);
  assert.deepEqual(await sequences(["s.3", "s.5"], 70), [73, 75, 83, 85, 93, 95]);
  await until(async () => (await consumerNames(c)).length === 0, "the consumers' deletion");
});

Deno.test("OrderedConsumer: a filtered reader's position moves past what the filter leaves out", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  await store(c, 1, 100);
  await using consumer = new OrderedConsumer(c.state, c.requests, {
    stream: "S",
    filterSubjects: ["s.1"],
    heartbeat: 100,
  });
  let count = 0;
  while (count < 10) count += (await consumer.read()).length;
  void consumer.read();
  await until(() => consumer.position === 100, "the position at the end of the stream");
});

Deno.test("OrderedConsumer throws StreamNotFoundError for a missing stream, and when the stream is deleted", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  const none = new OrderedConsumer(c.state, c.requests, { stream: "NONE" });
  await assert.rejects(none.start(), StreamNotFoundError);
  await assert.rejects(none.read(), StreamNotFoundError);

  await c.requests.createStream({ ...STREAM, deny_delete: false });
  await store(c, 1, 3);
  const consumer = new OrderedConsumer(c.state, c.requests, { stream: "S", heartbeat: 100 });
  await expectNext(consumer, 1, 3);
  await c.requests.request("STREAM.DELETE.S");
  await assert.rejects(consumer.read(), StreamNotFoundError);
  await assert.rejects(consumer.read(), StreamNotFoundError);
});

Deno.test("OrderedConsumer resumes when its consumer is deleted", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  await store(c, 1, 10);
  const resets: string[] = [];
  await using consumer = new OrderedConsumer(c.state, c.requests, {
    stream: "S",
    heartbeat: 100,
    onReset: (reason) => resets.push(reason),
  });
  await expectNext(consumer, 1, 10);
  const [name = ""] = await consumerNames(c);
  await c.requests.deleteConsumer("S", name);
  const rest = expectNext(consumer, 11, 10);
  await store(c, 11, 20);
  await rest;
  assert.equal(resets.length, 1);
});

Deno.test("OrderedConsumer notices a lost delivery, and delivers it again", async () => {
  await using server = await startNatsServer();
  await using writer = await client(server.url);
  await writer.requests.createStream(STREAM);
  await using proxy = startProxy(server.url);
  await using c = await client(proxy.url);
  const resets: string[] = [];
  await using consumer = new OrderedConsumer(c.state, c.requests, {
    stream: "S",
    heartbeat: 100,
    onReset: (reason) => resets.push(reason),
  });
  await consumer.start();
  const dropped = new Set<string>();
  // The first copy of a message in the middle, and of the last one, which only a heartbeat can tell.
  proxy.filter({
    toClient: (frame) => {
      const number = text(frame.payload);
      if ((number !== "5" && number !== "20") || dropped.has(number)) return false;
      dropped.add(number);
      return true;
    },
  });
  await store(writer, 1, 19);
  await expectNext(consumer, 1, 19);
  await store(writer, 20, 20);
  await expectNext(consumer, 20, 1);
  assert.deepEqual(Array.from(dropped).sort(), ["20", "5"]);
  assert.equal(resets.length, 2);
  assert.match(resets[0] ?? "", /^skipped from 4 to 6/);
  assert.match(resets[1] ?? "", /^heartbeat at/);
});

Deno.test("OrderedConsumer resumes after a cut, a stall, and a restart of the server", async () => {
  await using server = await startNatsServer();
  await using writer = await client(server.url);
  await writer.requests.createStream(STREAM);
  await using proxy = startProxy(server.url);
  await using c = await client(proxy.url, 500);
  await using consumer = new OrderedConsumer(c.state, c.requests, { stream: "S", heartbeat: 200 });
  await store(writer, 1, 50);
  await expectNext(consumer, 1, 50);

  await proxy.cut();
  await store(writer, 51, 100);
  proxy.resume();
  await expectNext(consumer, 51, 50);

  proxy.stall();
  await store(writer, 101, 150);
  await sleep(1_000);
  proxy.resume();
  await expectNext(consumer, 101, 50);

  await server.restart();
  await until(() => writer.state.isConnected, "the writer's return");
  await store(writer, 151, 200);
  await expectNext(consumer, 151, 50);
});

Deno.test("OrderedConsumer rejects a read when the connection is closed", async () => {
  await using server = await startNatsServer();
  const c = await client(server.url);
  await c.requests.createStream(STREAM);
  await store(c, 1, 3);
  const consumer = new OrderedConsumer(c.state, c.requests, { stream: "S" });
  await expectNext(consumer, 1, 3);
  const waiting = assert.rejects(consumer.read(), NotConnectedError);
  await c.connection.close();
  await waiting;
  consumer.close();
  await c[Symbol.asyncDispose]();
});

Deno.test("OrderedConsumer: a slow reader holds the server back, in bounded memory, and loses nothing", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const total = 3_000;
  await store(c, 1, total, 20_000); // 60 MB
  await using consumer = new OrderedConsumer(c.state, c.requests, {
    stream: "S",
    heartbeat: 100,
    maxBufferedBytes: 1_000_000,
  });
  let next = 1;
  const take = async (): Promise<void> => {
    for (const message of await consumer.read()) assert.equal(message.sequence, next++);
  };
  await take();
  // The reader stands still: the server goes on until its window is full, then waits, and is not taken for silent.
  let held = 0;
  await until(async () => {
    const before = consumer.bufferedBytes;
    await sleep(500);
    held = consumer.bufferedBytes;
    return held === before;
  }, "the server to wait");
  assert(held < 33 * 1_024 * 1_024, `${held} bytes`);
  assert(held < total * 20_000 / 2, `${held} bytes`);
  while (next <= total) await take();
  assert.equal(next, total + 1);
});

/** Keeps this thread busy: meanwhile nothing is read from any connection. */
function work(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

for (const { maxPending, cuts } of [{ maxPending: "16MB", cuts: 0 }, { maxPending: "4MB", cuts: 1 }]) {
  Deno.test(`OrderedConsumer: a reader that works long is cut off ${cuts} times if max_pending is ${maxPending}`, async () => {
    await using server = await startNatsServer({ configText: `max_pending: ${maxPending}` });
    await using c = await client(server.url);
    await c.requests.createStream(STREAM);
    await store(c, 1, 600, 100_000);
    let losses = 0;
    c.state.add({ onDisconnect: () => losses++ });
    for (const maxBufferedBytes of [4_000_000, 60_000_000]) {
      await using consumer = new OrderedConsumer(c.state, c.requests, { stream: "S", maxBufferedBytes });
      for (let next = 1; next <= 600;) {
        for (const message of await consumer.read()) {
          assert.equal(message.sequence, next++);
          work(1);
        }
      }
    }
    assert(losses <= cuts, `${losses} cuts`);
  });
}

Deno.test("OrderedConsumer: the next message is delivered soon after all that the server may send ahead", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const resets: string[] = [];
  const onReset = (reason: string): number => resets.push(reason);
  await using consumer = new OrderedConsumer(c.state, c.requests, { stream: "S", heartbeat: 5_000, onReset });
  await consumer.start();
  const start = performance.now();
  // Live, message by message, more than the server sends to one consumer without an answer.
  for (const size of [200, 90_000]) {
    const from = consumer.position + 1;
    const count = Math.ceil(25_000_000 / (size + 1_000));
    const stored = store(c, from, from + count - 1, size);
    await expectNext(consumer, from, count);
    await stored;
  }
  assert(performance.now() - start < 30_000, "waited for heartbeats");
  assert.deepEqual(resets, []);
  assert((await consumerNames(c)).length <= 2);
});

Deno.test("OrderedConsumer survives kill -9 of the server that hosts it, in a cluster", async () => {
  await using cluster = await startNatsCluster(3);
  await using setup = await client(cluster.urls);
  await until(async () => {
    await setup.requests.createStream({ ...STREAM, num_replicas: 3 });
    return (await setup.requests.streamInfo("S")).cluster?.leader !== undefined;
  }, "the stream");
  await until(() => setup.requests.getMessage("S", { seq: 1 }).then(() => true, () => false), "the leader");
  await store(setup, 1, 200);

  // The consumer must live elsewhere than on the server that this connection ends at.
  const consumers = new AsyncDisposableStack();
  const hosted = async (): Promise<{ consumer: OrderedConsumer; host: string }> => {
    while (true) {
      const before = new Set(await consumerNames(setup));
      const consumer = consumers.use(
        new OrderedConsumer(setup.state, setup.requests, { stream: "S", heartbeat: 300 }),
      );
      await consumer.start();
      const name = (await consumerNames(setup)).find((candidate) => !before.has(candidate));
      const info = await setup.requests.request<{ cluster: { leader: string } }>(`CONSUMER.INFO.S.${name}`);
      if (info.cluster.leader !== setup.connection.info?.server_name) {
        return { consumer, host: info.cluster.leader };
      }
    }
  };
  const { consumer, host } = await hosted();
  await expectNext(consumer, 1, 200);
  await cluster.servers.find((server) => server.name === host)?.kill();
  await until(() =>
    setup.requests.getMessage("S", { seq: 200 }).then((message) => message !== undefined, () => false)
  );
  await store(setup, 201, 300);
  await expectNext(consumer, 201, 100);
  await consumers.disposeAsync();
});
