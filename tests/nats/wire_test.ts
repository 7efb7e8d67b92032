/** Messages as bytes are what the client's own interface says of them, on every transport. */

import assert from "node:assert/strict";
import { connectTo } from "../../src/nats/connect.ts";
import type { NatsConnection, NatsMessage } from "../../src/nats/connection.ts";
import { encodeHeaders, type HeaderField } from "../../src/nats/headers.ts";
import {
  headerIn,
  headerLine,
  headerText,
  statusOf,
  type WireMessage,
  wireMessage,
} from "../../src/nats/wire.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { interfaceOf } from "../support/plain_messages.ts";

const NAMES = ["A", "Long-Name", "None", "Nats-Sequence"];

interface Sent {
  readonly reply?: string;
  readonly headers?: readonly HeaderField[];
  readonly data: string;
}

const SENT: readonly Sent[] = [
  { data: "" },
  { data: "plain", reply: "to.me" },
  { data: "", headers: [["A", "1"]] },
  { data: "NATS/1.0\r\nA: 2\r\n\r\n" },
  { data: "with both", reply: "to.me", headers: [["A", "x y"], ["Long-Name", "h\u00e9: \u{1f600}"]] },
  { data: "\u00e9".repeat(100_000), headers: [["A", "larger than what the socket delivers at once"]] },
];

function fieldsOf(wire: WireMessage): unknown {
  const text = headerText(wire);
  const decoder = new TextDecoder();
  return {
    subject: decoder.decode(wire.subject),
    reply: decoder.decode(wire.reply),
    status: statusOf(wire),
    headers: NAMES.map((name) => headerIn(text, text.length, headerLine(name))),
    data: decoder.decode(wire.bytes.subarray(wire.headerLength)),
  };
}

function expected({ reply = "", headers = [], data }: Sent): unknown {
  const values = new Map(headers);
  return { subject: "wire", reply, status: 0, headers: NAMES.map((name) => values.get(name)), data };
}

async function received(connection: NatsConnection): Promise<NatsMessage[]> {
  const messages: NatsMessage[] = [];
  const all = Promise.withResolvers<void>();
  const subscription = connection.subscribe("wire", {
    callback: (error, message) => {
      if (error) return all.reject(error);
      messages.push(message);
      if (messages.length === SENT.length) all.resolve();
    },
  });
  for (const { reply, headers, data } of SENT) {
    connection.publish("wire", new TextEncoder().encode(data), {
      ...(reply === undefined ? {} : { reply }),
      ...(headers && { headers: encodeHeaders(headers) }),
    });
  }
  await all.promise;
  subscription.unsubscribe();
  return messages;
}

Deno.test("wireMessage() gives the same bytes from the client's parts and from its interface", async () => {
  await using server = await startNatsServer({ websocket: true });
  for (const url of [server.url, server.websocketUrl]) {
    const connection = await connectTo(url);
    const messages = await received(connection);
    for (const [index, message] of messages.entries()) {
      assert.deepEqual(fieldsOf(wireMessage(message)), expected(SENT[index]!));
      assert.deepEqual(fieldsOf(wireMessage(interfaceOf(message))), expected(SENT[index]!));
    }
    await connection.close();
  }
});

Deno.test("wireMessage() takes the client's parts: what it is for", async () => {
  await using server = await startNatsServer({ websocket: true });
  for (const url of [server.url, server.websocketUrl]) {
    const connection = await connectTo(url);
    for (const message of await received(connection)) {
      const { _rdata: parts } = message as unknown as { readonly _rdata: Uint8Array };
      assert.equal(wireMessage(message).bytes, parts);
    }
    await connection.close();
  }
});

Deno.test("wireMessage() goes by the interface where the parts do not fit together", () => {
  const block = encodeHeaders([["A", "1"]]).encode();
  const subject = new TextEncoder().encode("elsewhere");
  const message = { subject: "wire", data: new TextEncoder().encode("data") };
  const asked = [];
  for (
    const parts of [
      { _rdata: block },
      { _rdata: "text", _msg: { subject, hdr: -1, size: 4 } },
      { _rdata: block, _msg: { subject: "wire", hdr: -1, size: block.length } },
      { _rdata: block, _msg: { subject, hdr: block.length, size: block.length + 1 } },
      { _rdata: block, _msg: { subject, hdr: block.length + 1, size: block.length } },
      { _rdata: block, _msg: { subject, hdr: 4, size: block.length } },
      { _rdata: subject, _msg: { subject, hdr: 9, size: subject.length } },
      { _rdata: block, _msg: { subject, reply: "text", hdr: block.length, size: block.length } },
    ]
  ) {
    asked.push(fieldsOf(wireMessage({ ...message, ...parts } as NatsMessage)));
  }
  assert.deepEqual(asked, asked.map(() => expected({ data: "data" })));
});

Deno.test("statusOf() is the code of the server's own messages, from either", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  const answer = Promise.withResolvers<NatsMessage>();
  connection.subscribe("answer", { callback: (_error, message) => answer.resolve(message) });
  connection.publish("nobody.listens", new Uint8Array(0), { reply: "answer" });
  const message = await answer.promise;
  assert.equal(statusOf(wireMessage(message)), 503);
  assert.equal(statusOf(wireMessage(interfaceOf(message))), 503);
  await connection.close();
});
