/** The in-memory store keeps the whole contract. */

import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";

testEventStore("InMemoryEventStore", {
  setUp(): BackendUnderTest {
    const storage = new InMemoryStorage();
    return { open: (options) => new InMemoryEventStore({ ...options, storage }) };
  },
  lacks: ["restoring", "replacing"],
}, { numRuns: 200, seed: 2026 });
