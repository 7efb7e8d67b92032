import assert from "node:assert/strict";
import {
  type AnyActor,
  defineActor,
  type Event,
  fireTimersOnce,
  reconcileTimers,
} from "@flowmade-one/aether/actor";
import type { BookingEvent } from "./booking.ts";
import { testOnStores, types } from "./timer_stores.ts";

const QUIET = { onWarning: (): void => {} };

testOnStores({
  "timers of any actor and name fire, and are no hindrance for those of other actors": async ({ store }) => {
    type Named = Event<"Named", { names: string[] }>;
    const named = (kind: string): AnyActor<BookingEvent> =>
      defineActor(kind, {
        decider: {
          initialState: (): readonly string[] => [],
          evolve: (_names: readonly string[], { data }: Named) => data.names,
          decide: () => [{ eventType: "Named" as const, data: { names: [] } }],
        },
        timers: (names) => Object.fromEntries(names.map((name) => [name, { at: 0, command: null }])),
      }) as never;
    const actors = [named("order"), named("order-item")];
    const control = Array.from({ length: 100 }, (_, index) => `${index}${"\u0001".repeat(120)}`);
    const reserved = { eventType: "Named", data: { names: control } } as never;
    await store.append("order-control", [reserved], { expectedVersion: 0 });
    const ids = [
      "order-1",
      "order.1",
      "order:1",
      "order/1",
      "order-item",
      "order-item-1",
      "order-*",
      "order->",
      "order- ",
    ]
      .concat("order-\n", "order-\u00e9", "order-..", `order-${"k".repeat(200)}`);
    const names = ["constructor", "a/b", "\u{1F600}", " ", "\n", ".", "*", ">", "n".repeat(128)];
    for (const [index, id] of ids.entries()) {
      const set = { eventType: "Named", data: { names: [names[index % names.length]] } } as never;
      await store.append(id, [set], { expectedVersion: 0 });
    }
    const { fired, isComplete } = await fireTimersOnce(store, actors, QUIET);
    assert.deepEqual({ fired, isComplete }, { fired: ids.length, isComplete: true });
    for (const id of ids) assert.deepEqual(await types(store, id), ["Named", "Named"], id);
    assert.equal((await reconcileTimers(store, actors, QUIET)).differing, 0);
  },
});
