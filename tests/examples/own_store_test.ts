/** `examples/own_store.ts`: a store over what `@flowmade-one/aether/backend` offers keeps the contract. */

import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
import { MapDatabase, MapEventStore } from "../../examples/own_store.ts";

testEventStore("examples/own_store.ts", {
  setUp(): BackendUnderTest {
    const database = new MapDatabase();
    return { open: (options) => new MapEventStore(database, options) };
  },
  lacks: ["restoring", "replacing"],
}, { quick: true });
