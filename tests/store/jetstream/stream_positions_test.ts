import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidPositionError } from "@flowmade-one/aether/jetstream";
import { LAST_INDEX, StreamPositions } from "../../../src/store/jetstream/format/stream_positions.ts";

const place = fc.record({
  sequence: fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.maxSafeNat()),
  index: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: LAST_INDEX })),
}, { noNullPrototype: true });

Deno.test("StreamPositions are read back, have one width, and are in the order of their places", () => {
  const positions = new StreamPositions("0123456789ab");
  fc.assert(fc.property(fc.array(place, { minLength: 2, maxLength: 20 }), (places) => {
    const texts = places.map(({ sequence, index }) => positions.position(sequence, index, "abcdef"));
    assert.deepEqual(texts.map((text) => positions.place(text)), places);
    for (const text of texts) assert.match(text, /^0123456789ab-[0-9a-f]{18}abcdef$/);
    // The proof comes last: it does not change the order.
    const textOf = ({ sequence, index }: typeof places[number], proof: string): string =>
      positions.position(sequence, index, proof);
    const byText = places.toSorted((a, b) => textOf(a, "fffffe") < textOf(b, "000001") ? -1 : 1);
    const byPlace = places.toSorted((a, b) => a.sequence - b.sequence || a.index - b.index);
    assert.deepEqual(byText, byPlace);
  }));
  assert.throws(() => positions.place("0123456789ac-000000000000010000abcdef"), InvalidPositionError);
});
