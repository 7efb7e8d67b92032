/** `@flowmade-one/aether/testing`, run by `deno test`. Needs no permission. */

import type { Decider, Event } from "@flowmade-one/aether";
import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
import { type BackendUnderTest, specifyDecider, testEventStore } from "@flowmade-one/aether/testing";

type LightEvent = Event<"SwitchedOn" | "SwitchedOff", null>;

const light: Decider<boolean, "press", LightEvent> = {
  initialState: () => false,
  evolve: (_on, { eventType }) => eventType === "SwitchedOn",
  decide: (_command, on) => [{ eventType: on ? "SwitchedOff" : "SwitchedOn", data: null }],
};

Deno.test("pressing a light that is on switches it off", () => {
  specifyDecider(light)
    .given([{ eventType: "SwitchedOn", data: null }])
    .when("press")
    .thenEvents([{ eventType: "SwitchedOff", data: null }])
    .thenState(false);
});

testEventStore("the store of a user", {
  setUp(): BackendUnderTest {
    const storage = new InMemoryStorage();
    return { open: (options) => new InMemoryEventStore({ ...options, storage }) };
  },
  lacks: ["restoring", "replacing"],
});
