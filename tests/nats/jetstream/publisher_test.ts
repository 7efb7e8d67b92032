import assert from "node:assert/strict";
import { wsconnect } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import {
  AcknowledgementReader,
  type Answerer,
  type PublishOutcome,
} from "../../../src/nats/jetstream/acknowledgement.ts";
import { MAX_BATCH_MESSAGES, publishBatch } from "../../../src/nats/jetstream/batch.ts";
import type { NatsConnection } from "../../../src/nats/connection.ts";
import { NotConnectedError, PayloadTooLargeError } from "../../../src/nats/errors.ts";
import { ConnectionState } from "../../../src/nats/connection_state.ts";
import { encodeHeaders } from "../../../src/nats/headers.ts";
import { Publisher } from "../../../src/nats/jetstream/publisher.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { bytes, client, sleep, STREAM, text, until } from "../../store/jetstream/support.ts";

function expectation(sequence: number): { encode(): Uint8Array } {
  return encodeHeaders([["Nats-Expected-Last-Subject-Sequence", String(sequence)]]);
}

function stored(sequence: number): PublishOutcome {
  return { status: "stored", sequence, duplicate: false };
}

/** Reads the answers of stream `S`. */
function ofS(): AcknowledgementReader {
  return new AcknowledgementReader("S", undefined);
}

Deno.test("AcknowledgementReader takes only a sequence above 0 of its own stream and domain for an acknowledgement", () => {
  const wrong = { status: "refused", code: 10071, description: "wrong last sequence: 7" } as const;
  const other = '"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"}';
  const cases: [string, string | undefined, PublishOutcome | undefined, Answerer?][] = [
    ['{"stream":"S","seq":12}', undefined, stored(12)],
    ['{"stream":"S", "seq":9007199254740991}', undefined, stored(9007199254740991)],
    ['{"stream":"S","seq":9007199254740991}', undefined, stored(9007199254740991)],
    ['{"stream":"S","seq":3,"duplicate": true}', undefined, {
      status: "stored",
      sequence: 3,
      duplicate: true,
    }],
    ['{"stream":"S","domain":"hub","seq":3}', "hub", stored(3)],
    ['{"stream":"S","seq":3,"domain":"hub"}', "hub", stored(3)],
    ['{"stream":"S","domain":"hub","seq":7,"batch":"x","count":5}', "hub", stored(7)],
    ['{"stream":"S","domain":"hub","seq":3}', undefined, undefined, { stream: "S", domain: "hub" }],
    ['{"stream":"S","seq":3}', "hub", undefined, { stream: "S", domain: undefined }],
    ['{"stream":"S","domain":"leaf","seq":3}', "hub", undefined, { stream: "S", domain: "leaf" }],
    ['{"stream":"S2","seq":3}', undefined, undefined, { stream: "S2", domain: undefined }],
    ['{"stream":"s","seq":3}', undefined, undefined, { stream: "s", domain: undefined }],
    ['{"stream":"T","domain":"hub","seq":3}', "hub", undefined, { stream: "T", domain: "hub" }],
    ['{"stream":"T","seq":3,"batch":"x","count":5}', undefined, undefined, {
      stream: "T",
      domain: undefined,
    }],
    [`{${other},"stream":"S","seq":0}`, undefined, wrong],
    [`{${other},"stream":"S","seq":0}`, "hub", wrong],
    [`{${other},"stream":"T","seq":0}`, undefined, undefined, { stream: "T", domain: undefined }],
    ['{"error":{"code":503,"description":"x"}}', undefined, undefined],
    ['{"stream":"S","seq":0}', undefined, undefined],
    ['{"stream":"S","seq":}', undefined, undefined],
    ['{"stream":"S","seq":-5}', undefined, undefined],
    ['{"seq":5,"pos":12}', undefined, undefined],
    ["12}", undefined, undefined],
    ["}", undefined, undefined],
    ["", undefined, undefined],
    ["null", undefined, undefined],
    ["hello", undefined, undefined],
  ];
  for (const [json, domain, expected, foreign] of cases) {
    const heard: Answerer[] = [];
    const reader = new AcknowledgementReader("S", domain, (answerer) => heard.push(answerer));
    assert.deepEqual(reader.read(bytes(json)), expected, json);
    assert.deepEqual(heard, foreign ? [foreign] : [], json);
  }
});

Deno.test("Publisher distinguishes stored, duplicate and refused publications in flight together", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS(), { maxInFlight: 64 });
  const outcomes = await Promise.all(
    Array.from(
      { length: 1_000 },
      (_, i) => publisher.publish({ subject: `s.${i}`, data: bytes(`data ${i}`), headers: expectation(0) }),
    ),
  );
  assert.deepEqual(outcomes, outcomes.map((_, i) => stored(i + 1)));
  assert.equal(text((await c.requests.getMessage("S", { seq: 501 }))?.data), "data 500");

  const again = await publisher.publish({ subject: "s.7", data: bytes(""), headers: expectation(0) });
  assert.deepEqual(again, { status: "refused", code: 10071, description: "wrong last sequence: 8" });
  assert.deepEqual(
    await publisher.publish({ subject: "s.7", data: bytes(""), headers: expectation(8) }),
    stored(1_001),
  );
  const once = { subject: "s.id", data: bytes(""), headers: encodeHeaders([["Nats-Msg-Id", "x"]]) };
  assert.deepEqual(await publisher.publish(once), stored(1_002));
  assert.deepEqual(await publisher.publish(once), { status: "stored", sequence: 1_002, duplicate: true });
  publisher.close();
});

Deno.test("Publisher never has more than maxInFlight in flight, sends in order, and becomes idle", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS(), { maxInFlight: 3 });
  const outcomes = Array.from({ length: 100 }, () => publisher.publish({ subject: "s.1", data: bytes("") }));
  assert.equal(publisher.inFlight, 3);
  assert.equal(publisher.queued, 97);
  await publisher.idle();
  assert.equal(publisher.inFlight + publisher.queued, 0);
  assert.deepEqual(await Promise.all(outcomes), outcomes.map((_, i) => stored(i + 1)));
  publisher.close();
});

Deno.test("Publisher: an abort counts until the message is sent", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS(), { maxInFlight: 1 });
  const controller = new AbortController();
  const message = { subject: "s.1", data: bytes("") };
  const sent = publisher.publish(message, { signal: controller.signal });
  const waiting = publisher.publish(message, { signal: controller.signal });
  const next = publisher.publish(message);
  controller.abort(new Error("changed my mind"));
  await assert.rejects(waiting, /changed my mind/);
  await assert.rejects(publisher.publish(message, { signal: controller.signal }), /changed my mind/);
  assert.deepEqual([await sent, await next], [stored(1), stored(2)]);
  publisher.close();
});

Deno.test("Publisher reports that there are no responders for a subject without a stream, and works on", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS());
  assert.deepEqual(await publisher.publish({ subject: "nowhere", data: bytes("") }), {
    status: "unknown",
    cause: "no responders",
  });
  assert.deepEqual(await publisher.publish({ subject: "s.1", data: bytes("") }), stored(1));
  publisher.close();
});

Deno.test("Publisher takes only answers of the stream, each for its own publication", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using c = await client(proxy.url);
  await using somebody = await client(server.url);
  await c.requests.createStream(STREAM);
  const replies: string[] = [];
  somebody.connection.subscribe("s.>", {
    callback: (_error, message) => void replies.push(message.reply ?? ""),
  });
  await somebody.connection.flush();
  const publisher = new Publisher(c.state, ofS(), { timeout: 1_000 });

  // The stream's answer comes after somebody else's.
  let taken = 0;
  proxy.filter({ toClient: (frame) => text(frame.payload).endsWith('"seq":1}') && taken++ === 0 });
  const first = publisher.publish({ subject: "s.1", data: bytes("") });
  await until(() => replies.length === 1 && taken === 1, "the publication");
  const reply = replies[0] ?? "";
  somebody.connection.publish(reply, bytes("thanks"));
  await somebody.connection.flush();
  somebody.connection.publish(reply, bytes('{"stream":"S","seq":1}'));
  assert.deepEqual(await first, stored(1));

  // A copy of that answer comes once more, while a later publication waits in the same slot.
  for (let i = 2; i <= 256; i++) {
    assert.deepEqual(await publisher.publish({ subject: "s.1", data: bytes("") }), stored(i));
  }
  proxy.filter({ toClient: (frame) => text(frame.payload).endsWith('"seq":257}') });
  const later = publisher.publish({ subject: "s.1", data: bytes("") });
  await until(() => replies.length === 257, "the later publication");
  somebody.connection.publish(reply, bytes('{"stream":"S","seq":1}'));
  assert.deepEqual(await later, { status: "unknown", cause: "timeout" });
  publisher.close();
});

Deno.test("Publisher: a lost acknowledgement is a timeout; the late one of another write is not taken for it", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using c = await client(proxy.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS(), { timeout: 200 });
  proxy.filter({ toClient: (frame) => text(frame.payload).endsWith('"seq":2}') });
  const message = { subject: "s.1", data: bytes("") };
  const outcomes = await Promise.all([message, message, message].map((one) => publisher.publish(one)));
  assert.deepEqual(outcomes, [stored(1), { status: "unknown", cause: "timeout" }, stored(3)]);
  assert(await c.requests.getMessage("S", { seq: 2 })); // it was stored all the same

  // Stalled for longer than the timeout: the acknowledgements come late, and must not answer later publications.
  proxy.filter({});
  proxy.stall();
  const late = await Promise.all([publisher.publish(message), publisher.publish(message)]);
  assert.deepEqual(late, late.map(() => ({ status: "unknown", cause: "timeout" })));
  proxy.resume();
  assert.deepEqual(await publisher.publish(message), stored(6));
  assert.deepEqual(await publisher.publish(message), stored(7));
  publisher.close();
});

Deno.test("Publisher: a lost connection leaves what was sent unknown, and keeps the rest until it is up again", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using c = await client(proxy.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS(), { timeout: 20_000, maxInFlight: 5 });
  proxy.filter({ toClient: (frame) => text(frame.payload).includes('"seq":') });
  const sent = Array.from({ length: 8 }, (_, i) => publisher.publish({ subject: `s.${i}`, data: bytes("") }));
  await until(async () => {
    await using direct = await client(server.url);
    return await direct.requests.getMessage("S", { seq: 5 }) !== undefined;
  }, "the first five stored");
  await proxy.cut();
  const unknown = await Promise.all(sent.slice(0, 5));
  assert.deepEqual(unknown, unknown.map(() => ({ status: "unknown", cause: "disconnected" })));
  await until(() => !c.state.isConnected, "the disconnect");
  const during = publisher.publish({ subject: "s.during", data: bytes("") });
  assert.equal(publisher.queued, 4);
  proxy.resume();
  assert.deepEqual(await Promise.all([...sent.slice(5), during]), [6, 7, 8, 9].map(stored));
  publisher.close();
});

Deno.test("Publisher rejects with NotConnectedError, and sends nothing, if the connection stays down", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using c = await client(proxy.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS(), { timeout: 200 });
  await proxy.cut();
  await until(() => !c.state.isConnected, "the disconnect");
  await assert.rejects(publisher.publish({ subject: "s.1", data: bytes("") }), NotConnectedError);
  proxy.resume();
  await until(() => c.state.isConnected, "the reconnect");
  assert.deepEqual(await publisher.publish({ subject: "s.1", data: bytes("") }), stored(1));
  publisher.close();
});

Deno.test("Publisher: closing it, or the connection, settles everything", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using c = await client(proxy.url);
  await c.requests.createStream(STREAM);
  proxy.stall();
  for (const how of ["publisher", "connection"]) {
    const publisher = new Publisher(c.state, ofS(), { maxInFlight: 1, timeout: 20_000 });
    const sent = publisher.publish({ subject: "s.1", data: bytes("") });
    const queued = assert.rejects(publisher.publish({ subject: "s.1", data: bytes("") }), NotConnectedError);
    if (how === "publisher") publisher.close();
    else await c.connection.close();
    assert.deepEqual(await sent, { status: "unknown", cause: "disconnected" });
    await queued;
    await publisher.idle();
    await assert.rejects(publisher.publish({ subject: "s.1", data: bytes("") }), NotConnectedError);
    publisher.close();
  }
});

Deno.test("Publisher: what the server denies is refused, not unknown", async () => {
  await using server = await startNatsServer({
    config: {
      authorization: {
        users: [{ user: "u", password: "p", permissions: { publish: { deny: ["s.secret"] } } }],
      },
    },
  });
  await using c = await client(server.url.replace("://", "://u:p@"));
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS(), { timeout: 20_000 });
  const [open, secret] = await Promise.all(
    ["s.open", "s.secret"].map((subject) => publisher.publish({ subject, data: bytes("") })),
  );
  assert.deepEqual(open, stored(1));
  assert.equal(secret?.status, "refused");
  assert.match(secret.status === "refused" ? secret.description : "", /s\.secret/);
  publisher.close();
});

Deno.test("Publisher refuses what is over max_payload, headers included, before it sends", async () => {
  await using server = await startNatsServer({ maxPayload: 1_024 });
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS());
  const headers = expectation(0);
  const room = 1_024 - headers.encode().length;
  assert.deepEqual(
    await publisher.publish({ subject: "s.1", data: new Uint8Array(room), headers }),
    stored(1),
  );
  await assert.rejects(
    publisher.publish({ subject: "s.1", data: new Uint8Array(room + 1), headers }),
    (error) => {
      assert(error instanceof PayloadTooLargeError);
      assert.match(error.message, /takes 1025 bytes.*max_payload of 1024/);
      return true;
    },
  );
  await assert.rejects(publisher.publish({ subject: "s.1 s.2", data: bytes("") }), NotConnectedError);
  await assert.rejects(
    publisher.publish({ subject: "s.1\r\nPUB x 0\r\n", data: bytes("") }),
    NotConnectedError,
  );
  assert.deepEqual(await publisher.publish({ subject: "s.2", data: bytes("") }), stored(2));
  publisher.close();
});

Deno.test("Publisher has a timer only while something is in flight", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS(), { timeout: 40 });
  await publisher.publish({ subject: "s.1", data: bytes("") });
  await sleep(100); // the sanitizers would find an interval that outlives this test, as close() is not called
  assert.equal(publisher.inFlight, 0);
});

Deno.test("publishBatch() stores all or none, in one round trip, with consecutive sequences", async () => {
  await using server = await startNatsServer();
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  const publisher = new Publisher(c.state, ofS());
  const batch = (guard: number): Promise<PublishOutcome> =>
    publishBatch(
      publisher,
      ["a", "b", "c"].map((actor) => ({
        subject: `s.${actor}`,
        data: bytes(actor),
        headers: expectation(actor === "b" ? guard : 0),
      })),
    );
  const refused = await batch(5);
  assert.deepEqual(refused, { status: "refused", code: 10071, description: "wrong last sequence: 0" });
  assert.equal(await c.requests.getMessage("S", { seq: 1 }), undefined);
  assert.deepEqual(await batch(0), stored(3));
  for (const [index, actor] of ["a", "b", "c"].entries()) {
    assert.equal((await c.requests.getMessage("S", { seq: index + 1 }))?.subject, `s.${actor}`);
  }
  assert.equal((await batch(0)).status, "refused");
  const message = { subject: "s.x", data: bytes("") };
  assert.deepEqual(await publishBatch(publisher, [message]), stored(4));
  assert.deepEqual(await publishBatch(publisher, new Array(MAX_BATCH_MESSAGES).fill(message)), stored(1_004));
  for (const size of [0, MAX_BATCH_MESSAGES + 1]) {
    await assert.rejects(
      publishBatch(publisher, new Array(size).fill(message)),
      /messages: must be 1 to 1000/,
    );
  }
  publisher.close();
});

Deno.test("Publisher works on connections of every transport", async () => {
  await using server = await startNatsServer({ websocket: true });
  // These lines are the type test, too: both clients' connections fit the structural type.
  const connections: NatsConnection[] = [
    await connect({ servers: server.url }),
    await wsconnect({ servers: server.websocketUrl }),
  ];
  await using c = await client(server.url);
  await c.requests.createStream(STREAM);
  for (const [index, connection] of connections.entries()) {
    const state = new ConnectionState(connection);
    const publisher = new Publisher(state, ofS());
    assert.deepEqual(
      await publisher.publish({ subject: `s.${index}`, data: bytes("x"), headers: expectation(0) }),
      stored(index + 1),
    );
    publisher.close();
    state.close();
    assert.equal(connection.isClosed(), false);
    await connection.close();
  }
});
