import assert from "node:assert/strict";
import { decodeEvents, encodeEvent } from "../../src/event/codec.ts";
import { draftEvent } from "../../src/event/draft.ts";
import { schemaVersionOf } from "../../src/event/registry.ts";

const context = {
  newId: () => crypto.randomUUID(),
  now: undefined,
  bytesPerEvent: 1_000_000,
  schemaVersionOf: (eventType: string) => eventType === "Second" ? 2 : 1,
};

Deno.test("encodeEvent() writes what JSON.stringify() would", () => {
  const names = [
    "a",
    "Order Placed",
    "a/b:c.d-e_f",
    'say "x"',
    "back\\slash",
    "\u0000\n\u2028",
    "\u00e9\u{1f600}",
    "Second",
  ];
  const metadata = { userId: 'the "one"', correlationId: "c" };
  for (const name of names) {
    for (const given of [{}, { metadata }, { id: name }, { id: name, metadata }]) {
      const input = { eventType: name, data: { text: name, list: [1, null, { a: true }] }, ...given };
      const draft = draftEvent(input, "actor", context);
      const { id, eventType, timestamp, data, metadata: kept } = draft.event;
      const schemaVersion = draft.schemaVersion === 1 ? undefined : draft.schemaVersion;
      const text = encodeEvent(draft, context.bytesPerEvent);
      assert.equal(text, JSON.stringify({ id, eventType, timestamp, data, metadata: kept, schemaVersion }));
      const [decoded] = decodeEvents([JSON.parse(text)], "actor", [3], (index) => `p${index}`);
      assert.deepEqual(decoded, { ...draft.event, version: 3, position: "p0" });
      assert.equal(schemaVersionOf(decoded!), draft.schemaVersion);
    }
  }
});

Deno.test("a drafted event is a plain object", () => {
  const { event } = draftEvent({ eventType: "A", data: {} }, "actor", context);
  assert.equal(Object.getPrototypeOf(event), Object.prototype);
  assert.equal(event.constructor, Object);
  assert.deepEqual(Object.keys(event), [
    "id",
    "eventType",
    "actorId",
    "version",
    "data",
    "timestamp",
    "position",
  ]);
});
