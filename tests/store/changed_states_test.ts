/** Deciders whose `evolve` changes the state that it is given, against its contract. */

import assert from "node:assert/strict";
import {
  type Decider,
  DenoKvEventStore,
  type Event,
  execute,
  InMemoryEventStore,
  replay,
} from "@flowmade-one/aether";

type Added = Event<"Added", { readonly item: number }>;

const list: Decider<{ items: number[] }, number, Added> = {
  initialState: () => ({ items: [] }),
  evolve: (state, { data }) => (state.items.push(data.item), state),
  decide: (item) => [{ eventType: "Added", data: { item } }],
  snapshot: { kind: "list", schemaVersion: 1, every: 2 },
};

for (
  const [name, open] of [
    ["InMemoryEventStore", (): InMemoryEventStore<Added> => new InMemoryEventStore<Added>()],
    ["DenoKvEventStore", (): Promise<DenoKvEventStore<Added>> => DenoKvEventStore.open<Added>(":memory:")],
  ] as const
) {
  Deno.test(`${name}: execute() and replay() give the same state with and without a snapshot if evolve() changes it`, async () => {
    await using store = await open();
    const items = [1, 2, 3, 4, 5];
    for (const item of items) {
      const { state } = await execute(store, "list-1", list, item);
      assert.deepEqual(state, { items: items.slice(0, item) });
    }
    const kept = await store.getLatestSnapshot("list-1", "list");
    assert.deepEqual((await replay(store, "list-1", list)).state, { items });
    assert.ok(kept);
    assert.deepEqual(kept, await store.getLatestSnapshot("list-1", "list"));
  });
}
