/** Definitions whose functions change the state that they are given, against their contract. */

import assert from "node:assert/strict";
import {
  ActorHost,
  type Decider,
  defineActor,
  type Event,
  type NewEvent,
  type Warning,
} from "@flowmade-one/aether/actor";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";

type Added = Event<"Added", { readonly item: number }>;
interface Items {
  list: number[];
}

const pure: Decider<Items, number, Added> = {
  initialState: () => ({ list: [] }),
  evolve: ({ list }, { data }) => ({ list: [...list, data.item] }),
  decide: (item) => [{ eventType: "Added", data: { item } }],
};

function add(state: Items, item: number): Items {
  state.list.push(item);
  return state;
}

const STORES = {
  InMemoryEventStore: (): InMemoryEventStore<Added> => new InMemoryEventStore<Added>(),
  DenoKvEventStore: (): Promise<DenoKvEventStore<Added>> => DenoKvEventStore.open<Added>(":memory:"),
};

for (const [name, open] of Object.entries(STORES)) {
  for (
    const [what, evolve] of [
      ["it returns the same one", (state: Items, event: Added): Items => add(state, event.data.item)],
      [
        "it returns a copy of the top",
        (state: Items, { data }: Added): Items => ({ ...add(state, data.item) }),
      ],
    ] as const
  ) {
    Deno.test(`${name}: an evolve() that changes the state is folded once, and reported: ${what}`, async () => {
      const warnings: Warning[] = [];
      await using store = await open();
      const snapshot = { kind: "list", schemaVersion: 1, every: 4 };
      const list = defineActor("list", { decider: { ...pure, evolve, snapshot } });
      const onWarning = (warning: Warning): number => warnings.push(warning);
      await using host = await ActorHost.start({ store, actors: [list], onWarning });
      const actor = host.client.get(list, "list-1");
      for (const items of [[1, 2, 3], [4, 5], [6, 7, 8, 9]]) {
        await Promise.all(items.map((item) => actor.call(item)));
      }
      const { version, state } = await actor.call(10);
      assert.deepEqual({ version, state }, { version: 10, state: { list: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] } });
      assert.deepEqual(warnings.map(({ code }) => code), ["state-changed"]);
      assert.match(warnings[0]!.message, /evolve\(\) of the actors "list"/);
      const kept = await store.getLatestSnapshot<Items>("list-1", "list");
      assert.equal(kept?.state.list.length, kept?.version);
    });
  }
}

Deno.test("a decide() or a query that changes the state is reported, and does not outlive its call", async () => {
  for (const guilty of ["decide", "query"]) {
    const warnings: string[] = [];
    await using store = new InMemoryEventStore<Added>();
    const list = defineActor("list", {
      decider: {
        ...pure,
        decide(item: number, state: Items): readonly NewEvent<Added>[] {
          if (guilty === "decide") add(state, -item);
          if (item > 5) throw new RangeError("too much");
          return pure.decide(item, state);
        },
      },
      queries: {
        list: (state: Items) => [...state.list],
        spoil: (state: Items) => guilty === "query" && add(state, 0).list.length,
      },
    });
    const onWarning = ({ code }: Warning): number => warnings.push(code);
    await using host = await ActorHost.start({ store, actors: [list], onWarning });
    const actor = host.client.get(list, "list-1");
    await Promise.all([actor.call(1), actor.call(2), actor.query("spoil")]);
    await assert.rejects(actor.call(6), { name: "ActorFailedError" });
    assert.deepEqual(await actor.query("list"), [1, 2]);
    assert.deepEqual(warnings, ["state-changed"], guilty);
  }
});

Deno.test("a decider that leaves the state alone is not reported", async () => {
  const warnings: Warning[] = [];
  await using store = new InMemoryEventStore<Added>();
  const list = defineActor("list", { decider: pure });
  const onWarning = (warning: Warning): number => warnings.push(warning);
  await using host = await ActorHost.start({ store, actors: [list], onWarning });
  await Promise.all([1, 2, 3].map((item) => host.client.get(list, "list-1").call(item)));
  assert.deepEqual(warnings, []);
});
