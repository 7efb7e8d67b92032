import assert from "node:assert/strict";
import { utf8, utf8Length } from "../src/text.ts";

Deno.test("a text's bytes and their number are those of TextEncoder, also where the buffer has to grow", () => {
  const encoder = new TextEncoder();
  for (const character of ["a", "\u00e9", "\u20ac", "\u{1f600}"]) {
    for (const count of [0, 1, 16, 33, 2_000, 6_000, 20_000, 100_000, 400_000]) {
      const text = character.repeat(count);
      const expected = encoder.encode(text);
      assert.deepEqual(utf8(text), expected);
      assert.equal(utf8Length(text), expected.length);
    }
  }
});
