import assert from "node:assert/strict";
import fc from "fast-check";
import { headers as clientHeaders } from "@nats-io/nats-core";
import { InvalidArgumentError } from "../../src/errors.ts";
import { encodeHeaders } from "../../src/nats/headers.ts";
import { headerIn, headerLine, headerText } from "../../src/nats/wire.ts";

const name = fc.string({ unit: fc.constantFrom(..."AZaz09-_.!~"), minLength: 1, maxLength: 20 });
const value = fc.string({ unit: "grapheme", maxLength: 20 })
  .map((text) => text.trim()).filter((text) => !/[\r\n]/.test(text));

Deno.test("headerIn() finds what encodeHeaders() has written, and nothing else", () => {
  fc.assert(fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key }), (fields) => {
    const bytes = encodeHeaders(fields).encode();
    const text = headerText({ bytes, headerLength: bytes.length });
    for (const [key, value] of fields) assert.equal(headerIn(text, text.length, headerLine(key)), value);
    assert.equal(headerIn(text, text.length, headerLine("None")), undefined);
    // What comes behind the block is no header.
    assert.equal(headerIn(`${text}\r\nNone: x\r\n`, text.length, headerLine("None")), undefined);
  }));
});

Deno.test("encodeHeaders() refuses line breaks and names that are none, so that no header can be injected", () => {
  const hostile: [string, string][] = [
    ["A", "x\r\nNats-Rollup: all"],
    ["A", "x\n"],
    ["A", "\r"],
    ["A\r\nB", "x"],
    ["", "x"],
    ["A:", "x"],
    ["A B", "x"],
    ["\u00e9", "x"],
  ];
  for (const field of hostile) assert.throws(() => encodeHeaders([field]), InvalidArgumentError);
});

Deno.test("encodeHeaders() writes what the client's own class writes", () => {
  const theirs = clientHeaders();
  theirs.set("Nats-Expected-Last-Subject-Sequence", "12");
  theirs.set("Aether-Commit", "abc");
  const ours = encodeHeaders([["Nats-Expected-Last-Subject-Sequence", "12"], ["Aether-Commit", "abc"]]);
  assert.deepEqual(ours.encode(), (theirs as unknown as { encode(): Uint8Array }).encode());
});
