import assert from "node:assert/strict";
import { encodeHeaders } from "../../../src/nats/headers.ts";
import { AcknowledgementReader } from "../../../src/nats/jetstream/acknowledgement.ts";
import { Publisher } from "../../../src/nats/jetstream/publisher.ts";
import {
  JetStreamApiError,
  NoAnswerError,
  StreamNotFoundError,
} from "../../../src/nats/jetstream/api_errors.ts";
import { JetStreamRequests } from "../../../src/nats/jetstream/requests.ts";
import type { StoredMessage } from "../../../src/nats/jetstream/stored_message.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { bytes, type Client, client, STREAM, text, until } from "../../store/jetstream/support.ts";

/** Fills `S` with `count` messages, over ten subjects in turn. */
async function fill(c: Client, count: number): Promise<void> {
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, new AcknowledgementReader("S", undefined));
  const headers = encodeHeaders([["Aether-Test", "h\u00e9"]]);
  await Promise.all(
    Array.from(
      { length: count },
      (_, i) => publisher.publish({ subject: `s.${i % 10}`, data: bytes(`data ${i + 1}`), headers }),
    ),
  );
  publisher.close();
}

function summary(message: StoredMessage | undefined): unknown {
  return message &&
    [
      message.subject,
      message.sequence,
      text(message.data),
      message.header("Aether-Test"),
      message.header("None"),
    ];
}

Deno.test("getMessage() reads from the leader by sequence, last of a subject, and next of a filter", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await fill(c, 30);
  const fifth = ["s.4", 5, "data 5", "h\u00e9", undefined];
  const message = await c.requests.getMessage("S", { seq: 5 });
  assert.deepEqual(summary(message), fifth);
  assert.match(message?.time ?? "", /^20\d\d-\d\d-\d\dT.*Z$/);
  assert.equal((await c.requests.getMessage("S", { last_by_subj: "s.4" }))?.sequence, 25);
  assert.equal((await c.requests.getMessage("S", { next_by_subj: "s.4", seq: 6 }))?.sequence, 15);
  assert.equal((await c.requests.getMessage("S", { next_by_subj: "s.>" }))?.sequence, 1);
  assert.equal(await c.requests.getMessage("S", { seq: 31 }), undefined);
  assert.equal(await c.requests.getMessage("S", { last_by_subj: "s.none" }), undefined);
  assert.equal(await c.requests.getMessage("S", { next_by_subj: "s.4", seq: 26 }), undefined);
  await assert.rejects(c.requests.getMessage("NONE", { seq: 1 }), StreamNotFoundError);
});

Deno.test("getDirect() reads by sequence, in the order asked for, more than may be in flight at once", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await fill(c, 100);
  const requests = new JetStreamRequests(c.state, { maxDirectReads: 7 });
  const wanted = Array.from({ length: 100 }, (_, i) => 100 - i);
  for (const reader of [requests, c.requests]) {
    const messages = await reader.getDirect("S", [...wanted, 101, 5]);
    assert.deepEqual(messages.slice(0, 100).map((message) => message?.sequence), wanted);
    assert.equal(messages[100], undefined);
    assert.deepEqual(summary(messages[101]), ["s.4", 5, "data 5", "h\u00e9", undefined]);
    assert.match(messages[101]?.time ?? "", /^20\d\d-\d\d-\d\dT.*Z$/);
    assert.deepEqual(await reader.getDirect("S", []), []);
  }
  requests.close();
});

Deno.test("getDirect() is not cut off for large messages where max_pending is low, however many series there are", async () => {
  await using server = await startNatsServer({ configText: "max_pending: 4MB" });
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, new AcknowledgementReader("S", undefined), { maxInFlight: 8 });
  const large = new Uint8Array(200_000);
  await Promise.all(Array.from({ length: 150 }, () => publisher.publish({ subject: "s.1", data: large })));
  publisher.close();
  let losses = 0;
  c.state.add({ onDisconnect: () => losses++ });
  const sequences = Array.from({ length: 150 }, (_, index) => index + 1);
  const [all, ...others] = await Promise.all([
    c.requests.getDirect("S", sequences),
    ...sequences.map((sequence) => c.requests.getDirect("S", [sequence])),
  ]);
  assert.deepEqual(all.map((message) => message?.sequence), sequences);
  assert.deepEqual(others.map(([message]) => message?.sequence), sequences);
  assert.equal(losses, 0);
  // A series that fails gives its room back to those that wait for it.
  await Promise.all([
    ...sequences.map((sequence) => assert.rejects(c.requests.getDirect("S", [sequence, 9]), NoAnswerError)),
    c.connection.close(),
  ]);
});

Deno.test("JetStreamRequests creates, describes, changes and refuses streams and consumers", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const again = await c.requests.createStream(STREAM);
  const info = await c.requests.streamInfo("S");
  assert.equal(info.created, again.created);
  assert.equal(info.config["deny_purge"], true);
  await assert.rejects(c.requests.createStream({ ...STREAM, subjects: ["other.>"] }), (error) => {
    assert(error instanceof JetStreamApiError);
    assert.equal(error.code, 10058);
    assert.match(error.message, /already in use/);
    return true;
  });
  const updated = await c.requests.updateStream({ ...info.config, max_age: 3_600_000_000_000 });
  assert.equal(updated.config["max_age"], 3_600_000_000_000);
  await assert.rejects(c.requests.updateStream({ ...info.config, deny_purge: false }), JetStreamApiError);
  await c.requests.createConsumer("S", { name: "C", ack_policy: "none", filter_subject: "s.1" });
  await c.requests.deleteConsumer("S", "C");
  await c.requests.deleteConsumer("S", "C");
  const calls = [
    () => c.requests.streamInfo("NONE"),
    () => c.requests.createConsumer("NONE", { name: "C", ack_policy: "none" }),
    () => c.requests.deleteConsumer("NONE", "C"),
  ];
  for (const call of calls) await assert.rejects(call, StreamNotFoundError);
});

Deno.test("JetStreamRequests distinguishes a server without JetStream from a silent and a lost one", async () => {
  await using plain = await startNatsServer();
  await using proxy = startProxy(plain.url);
  await using c = await client(proxy.url, 200);
  const why = (expected: string) => (error: unknown): boolean => {
    assert(error instanceof NoAnswerError);
    assert.equal(error.why, expected);
    return true;
  };
  const elsewhere = new JetStreamRequests(c.state, { apiPrefix: "$JS.nowhere.API" });
  await assert.rejects(elsewhere.streamInfo("S"), why("no responders"));
  elsewhere.close();
  proxy.stall();
  await assert.rejects(c.requests.streamInfo("S"), why("timeout"));
  const pending = assert.rejects(c.requests.getDirect("S", [1]), why("disconnected"));
  await proxy.cut();
  await pending;
  await until(() => !c.state.isConnected);
  await assert.rejects(c.requests.streamInfo("S"), why("disconnected"));
  proxy.resume();
  await until(() => c.state.isConnected);
  await assert.rejects(c.requests.streamInfo("S"), StreamNotFoundError);
});

Deno.test("JetStreamRequests rejects at once what the server denies", async () => {
  const permissions = { publish: { allow: ["$JS.API.STREAM.CREATE.>"] }, subscribe: { allow: ["_INBOX.>"] } };
  await using server = await startNatsServer({
    config: { authorization: { users: [{ user: "u", password: "p", permissions }] } },
  });
  await using c = await client(server.url.replace("://", "://u:p@"), 60_000);
  await c.requests.createStream(STREAM);
  await assert.rejects(c.requests.streamInfo("S"), (error) => {
    assert(error instanceof NoAnswerError);
    assert.equal(error.why, "denied");
    assert.match(error.message, /STREAM\.INFO\.S/);
    return true;
  });
});

Deno.test("JetStreamRequests rejects as denied, without a timeout, if its inbox is denied", async () => {
  const permissions = { publish: ">", subscribe: { allow: ["_INBOX_mine.>"] } };
  await using server = await startNatsServer({
    config: { authorization: { users: [{ user: "u", password: "p", permissions }] } },
  });
  await using c = await client(server.url.replace("://", "://u:p@"), 60_000);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(c.requests.createStream(STREAM), (error) => {
      assert(error instanceof NoAnswerError);
      assert.equal(error.why, "denied");
      return true;
    });
  }
});

Deno.test("a message that was published with a status or with the server's own headers is read as what was stored", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const blocks = [
    "NATS/1.0 404 Message Not Found\r\n\r\n",
    "NATS/1.0 204 EOB\r\n\r\n",
    "NATS/1.0 503\r\n\r\n",
    "NATS/1.0 500 Broken\r\nA: b\r\n\r\n",
    "NATS/1.0\r\nNats-Sequence: 1\r\nNats-Subject: s.0\r\nNats-Time-Stamp: never\r\nNats-Stream: T\r\n\r\n",
    "NATS/1.0 408\r\nNats-Sequence: x\r\nNats-Subject: \r\n\r\n",
    `NATS/1.0\r\n${"Nats-Sequence: 7\r\n".repeat(1_000)}\r\n`,
  ];
  for (const [index, block] of blocks.entries()) {
    const headers = { encode: (): Uint8Array => bytes(block) };
    const { data } = await c.connection.request(`s.${index}`, bytes(""), { headers, timeout: 60_000 });
    assert.equal(JSON.parse(text(data)).seq, index + 1);
  }
  const sequences = blocks.map((_, index) => index + 1);
  const subjects = blocks.map((_, index) => `s.${index}`);
  const direct = await c.requests.getDirect("S", sequences);
  const last = (await c.requests.getLastOfSubjects("S", subjects)).messages;
  for (const messages of [direct, last]) {
    assert.deepEqual(messages.map((message) => message?.sequence), sequences);
    assert.deepEqual(messages.map((message) => message?.subject), subjects);
    for (const message of messages) assert(Date.parse(message!.time) > 0, message!.time);
  }
  assert.deepEqual(await c.requests.getDirect("S", [8]), [undefined]);
});

Deno.test("an answer of the API that is not a JSON object is a typed error", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  const answers = ["", "no JSON", "null", "1", '"x"'];
  const apiPrefix = "other.API";
  c.connection.subscribe(`${apiPrefix}.>`, {
    callback: (_, message) => void c.connection.publish(message.reply!, bytes(answers.shift()!)),
  });
  const other = new JetStreamRequests(c.state, { apiPrefix });
  while (answers.length > 0) await assert.rejects(other.streamInfo("S"), { name: "UnreadableAnswerError" });
  other.close();
});
