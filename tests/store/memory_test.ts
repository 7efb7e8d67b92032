/** The in-memory store keeps the whole contract. */

import assert from "node:assert/strict";
import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";

testEventStore("InMemoryEventStore", {
  setUp(): BackendUnderTest {
    const storage = new InMemoryStorage();
    return { open: (options) => new InMemoryEventStore({ ...options, storage }) };
  },
  lacks: ["restoring", "replacing"],
}, { numRuns: 200, seed: 2026 });

Deno.test("InMemoryStorage hands out nothing that its events could be changed by", async () => {
  const storage = new InMemoryStorage();
  await using store = new InMemoryEventStore({ storage });
  await store.append("a", [{ eventType: "E", data: { list: [1] } }], { expectedVersion: 0 });
  assert.deepEqual(Object.keys(storage), []);
  assert.deepEqual(Object.getOwnPropertyNames(storage), []);
  assert.deepEqual(Object.getOwnPropertyNames(Object.getPrototypeOf(storage)), ["constructor"]);
  (await store.getEvents("a") as unknown[]).pop();
  for await (const event of store.readAll()) {
    assert.throws(() => Object.assign(event, { version: 9 }), TypeError);
  }
  assert.equal((await store.getEvents("a")).length, 1);
  assert.ok((await store.verify()).ok);
});
