import assert from "node:assert/strict";
import fc from "fast-check";
import { type NatsFrame, NatsFrameSplitter } from "./nats_frames.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function summary(frame: NatsFrame): unknown[] {
  return [frame.verb, frame.subject, frame.reply, frame.headers, decoder.decode(frame.payload)];
}

const WIRE: readonly [string, unknown[]][] = [
  ['INFO {"server_id":"x"}\r\n', ["INFO", undefined, undefined, "", ""]],
  ["MSG a.b 1 5\r\nhello\r\n", ["MSG", "a.b", undefined, "", "hello"]],
  ["MSG a.b 12 reply.to 0\r\n\r\n", ["MSG", "a.b", "reply.to", "", ""]],
  ["MSG a.b 12 15\r\nMSG x 1 2\r\nab\r\n\r\n", ["MSG", "a.b", undefined, "", "MSG x 1 2\r\nab\r\n"]],
  ["HMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nab\r\n", ["HMSG", "a", "r", "NATS/1.0\r\n\r\n", "ab"]],
  ["HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n", ["HMSG", "a", undefined, "NATS/1.0\r\n\r\n", ""]],
  ["+OK\r\n", ["+OK", undefined, undefined, "", ""]],
  ["PUB x 3\r\na\nb\r\n", ["PUB", "x", undefined, "", "a\nb"]],
  ["HPUB x r.1 12 13\r\nNATS/1.0\r\n\r\n!\r\n", ["HPUB", "x", "r.1", "NATS/1.0\r\n\r\n", "!"]],
  ["PING\r\n", ["PING", undefined, undefined, "", ""]],
  ["-ERR 'Stale Connection'\r\n", ["-ERR", undefined, undefined, "", ""]],
];

Deno.test("NatsFrameSplitter reads every frame of a stream, however it is cut into chunks", () => {
  const stream = encoder.encode(WIRE.map(([text]) => text).join(""));
  fc.assert(fc.property(fc.array(fc.nat(stream.length), { maxLength: 40 }), (cuts) => {
    const splitter = new NatsFrameSplitter();
    const points = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
    const frames = points.slice(1).flatMap((end, index) => splitter.push(stream.slice(points[index], end)));
    assert.deepEqual(frames.map(summary), WIRE.map(([, expected]) => expected));
    assert.equal(frames.map((frame) => decoder.decode(frame.bytes)).join(""), decoder.decode(stream));
  }));
});

Deno.test("NatsFrameSplitter keeps an incomplete frame until the rest arrives", () => {
  const splitter = new NatsFrameSplitter();
  assert.deepEqual(splitter.push(encoder.encode("MSG a 1 5\r\nhel")), []);
  assert.deepEqual(splitter.push(encoder.encode("lo\r")), []);
  assert.deepEqual(splitter.push(encoder.encode("\nPI")).map(summary), [[
    "MSG",
    "a",
    undefined,
    "",
    "hello",
  ]]);
  assert.deepEqual(splitter.push(encoder.encode("NG\r\n")).map((frame) => frame.verb), ["PING"]);
});
