/** What a MessageSender sends is what the client would have sent. */

import assert from "node:assert/strict";
import { connectTo } from "../../src/nats/connect.ts";
import type { NatsConnection } from "../../src/nats/connection.ts";
import { encodeHeaders } from "../../src/nats/headers.ts";
import { MessageSender } from "../../src/nats/sender.ts";
import { startNatsServer } from "../support/nats_server.ts";

interface Sent {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers?: ReturnType<typeof encodeHeaders>;
  readonly reply: string;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const headers = encodeHeaders([["A", "1"], ["B", "h\u00e9"]]);

/** Messages for which the client does nothing but send them. */
const PLAIN: readonly Sent[] = [
  { subject: "s.a", data: bytes(""), reply: "" },
  { subject: "s.a", data: bytes("x"), reply: "to.me" },
  { subject: "s.a", data: bytes(""), headers, reply: "" },
  { subject: "s.a-_=~", data: bytes("h\u00e9 \r\n PUB s.a 1\r\n"), headers, reply: "to.me" },
  { subject: `s.${"x".repeat(3_000)}`, data: bytes("x".repeat(99_999)), reply: "to.me" },
  { subject: "s.large", data: bytes("x".repeat(200_000)), headers, reply: "" },
];

/** A message whose subject is not ASCII. */
const OTHER: Sent = { subject: "s.h\u00e9", data: bytes("x"), headers, reply: "to.\u00e9" };

async function received(
  connection: NatsConnection,
  send: (sent: Sent) => void,
  sent: readonly Sent[],
): Promise<unknown[]> {
  const messages: unknown[] = [];
  const all = Promise.withResolvers<void>();
  const subscription = connection.subscribe("s.>", {
    callback: (error, { subject, reply, data, headers }) => {
      if (error) return all.reject(error);
      messages.push({ subject, reply, data: new TextDecoder().decode(data), a: headers?.get("A") });
      if (messages.length === sent.length) all.resolve();
    },
  });
  await connection.flush();
  for (const each of sent) send(each);
  await all.promise;
  subscription.unsubscribe();
  return messages;
}

function statistics(connection: NatsConnection): { readonly outBytes: number; readonly outMsgs: number } {
  const { outBytes, outMsgs } = (connection as unknown as {
    stats(): { readonly outBytes: number; readonly outMsgs: number };
  }).stats();
  return { outBytes, outMsgs };
}

for (const websocket of [false, true]) {
  Deno.test(`MessageSender sends what the client would send, ${websocket ? "by WebSocket" : "by TCP"}`, async () => {
    await using server = await startNatsServer({ websocket });
    const url = websocket ? server.websocketUrl : server.url;
    const byClient = await connectTo(url);
    const bySender = await connectTo(url);
    const many = Array.from({ length: 300 }, () => [...PLAIN.slice(0, 4), OTHER]).flat().concat(PLAIN);
    const sender = new MessageSender(bySender);
    const expected = await received(
      byClient,
      ({ subject, data, ...options }) => byClient.publish(subject, data, options),
      many,
    );
    assert.equal(expected.length, many.length);
    assert.deepEqual(await received(bySender, (sent) => sender.publish(sent, sent.reply), many), expected);
    assert.deepEqual(statistics(bySender), statistics(byClient));
    // In turn with what the client itself sends.
    let turn = 0;
    const mixed = (sent: Sent): void => {
      const { subject, data, ...options } = sent;
      if (turn++ % 2 === 0) sender.publish(sent, sent.reply);
      else bySender.publish(subject, data, options);
    };
    assert.deepEqual(await received(bySender, mixed, many), expected);
    await byClient.close();
    await bySender.close();
  });
}

/** Has the client publish nothing, and counts what it was asked to. */
function intercept(connection: NatsConnection): () => number {
  let asked = 0;
  Object.assign(connection, { publish: () => void asked++ });
  return () => asked;
}

Deno.test("MessageSender leaves to the client what is not plain, and connections that were handed in", async () => {
  await using server = await startNatsServer();
  const opened = await connectTo(server.url);
  const asked = intercept(opened);
  const sender = new MessageSender(opened);
  for (const sent of PLAIN) sender.publish(sent, sent.reply);
  assert.equal(asked(), 0); // with this version of the client, none of these is left to it
  sender.publish(OTHER, "");
  sender.publish({ subject: "s.a", data: bytes("") }, "to.\u00e9");
  assert.equal(asked(), 2);

  const { connect } = await import("@nats-io/transport-node");
  const handedIn = await connect({ servers: server.url });
  const askedToo = intercept(handedIn);
  const other = new MessageSender(handedIn);
  for (const sent of PLAIN) other.publish(sent, sent.reply);
  assert.equal(askedToo(), PLAIN.length);
  await opened.close();
  await handedIn.close();
});

Deno.test("MessageSender throws what the client throws", async () => {
  await using server = await startNatsServer({ maxPayload: 1_000 });
  const connection = await connectTo(server.url);
  const sender = new MessageSender(connection);
  const refused = (subject: string, size: number, reply = ""): void => {
    const data = new Uint8Array(size);
    let expected: unknown;
    try {
      connection.publish(subject, data, { reply });
    } catch (error) {
      expected = error;
    }
    assert(expected instanceof Error);
    const { name, message } = expected;
    assert.throws(() => sender.publish({ subject, data }, reply), { name, message });
  };
  refused("", 1);
  refused("s a", 1);
  refused("s\r\nPING", 1);
  refused("s.a", 1, "to me");
  refused("s.a", 1_001);
  sender.publish({ subject: "s.a", data: new Uint8Array(1_000) }, "");
  await connection.flush();
  await connection.close();
  refused("s.a", 1);
});
