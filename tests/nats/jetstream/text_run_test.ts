import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, TextRuns } from "../../../src/nats/jetstream/text_run.ts";
import { bytes, text } from "../../store/jetstream/support.ts";

/** Messages behind one another in one piece of memory, something else between them. */
function together(texts: readonly string[]): Bytes[] {
  const parts = texts.map(bytes);
  const memory = new Uint8Array(parts.reduce((length, part) => length + part.length + 3, 0));
  let at = 0;
  return parts.map((part) => {
    memory.set(part, at);
    const message = { bytes: memory.subarray(at, at + part.length), headerLength: 0 };
    at += part.length + 3;
    return message;
  });
}

/** What a reader makes of a message. */
function read(runs: TextRuns, messages: readonly Bytes[], index: number): string {
  const message = messages[index]!.bytes;
  const run = runs.of(index);
  if (!run) return text(message);
  const start = message.byteOffset - run.start;
  return run.text.slice(start, start + message.length);
}

Deno.test("TextRuns gives the text of every message, also if other bytes are in the same memory", () => {
  const texts = fc.array(fc.oneof(fc.string(), fc.string({ unit: "grapheme" })), { maxLength: 12 });
  fc.assert(fc.property(fc.array(texts, { maxLength: 4 }), (groups) => {
    const messages = groups.flatMap(together);
    const runs = new TextRuns(messages);
    assert.deepEqual(messages.map((_, index) => read(runs, messages, index)), groups.flat());
    const backward = messages.toReversed();
    const backwardRuns = new TextRuns(backward);
    assert.deepEqual(
      backward.map((_, index) => read(backwardRuns, backward, index)),
      groups.flat().reverse(),
    );
  }));
});

Deno.test("TextRuns decodes adjacent messages together, and no others", () => {
  const [first, second, third] = together(["one", "two", "three"]) as [Bytes, Bytes, Bytes];
  const runs = new TextRuns([first, second, undefined, third]);
  assert.equal(runs.of(0), runs.of(1));
  assert.match(runs.of(0)!.text, /^one[^]*two$/);
  assert.equal(runs.of(3), undefined);
  const others = new TextRuns(together(["one", "zw\u00f6lf"]));
  assert.equal(others.of(0), undefined);
  assert.equal(others.of(1), undefined);
});
