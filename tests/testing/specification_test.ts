import assert from "node:assert/strict";
import {
  type Decider,
  DenoKvCheckpoints,
  type Event,
  InvalidEventError,
  type KvTransaction,
  type NewEvent,
  type Projection,
} from "../../mod.ts";
import { specifyDecider, specifyProjection } from "../../src/testing/mod.ts";

type Moved = Event<"Deposited" | "Withdrawn", { readonly amount: number }>;

const account: Decider<number, { readonly withdraw: number }, Moved> = {
  initialState: () => 0,
  evolve: (balance, { eventType, data }) =>
    balance + (eventType === "Deposited" ? data.amount : -data.amount),
  decide: ({ withdraw }, balance) => {
    if (withdraw > balance) throw new RangeError("not enough money");
    return withdraw === 0
      ? []
      : [{ eventType: "Withdrawn", data: { amount: withdraw }, metadata: { userId: "u" } }];
  },
};
const deposited = [{ eventType: "Deposited", data: { amount: 10 } }] as const;

Deno.test("specifyDecider() holds events, states and refusals against what is expected", () => {
  const specified = specifyDecider(account).given(deposited);
  specified.thenState(10);
  specified.when({ withdraw: 3 }).thenEvents([{ eventType: "Withdrawn", data: { amount: 3 } }]).thenState(7);
  specified.when({ withdraw: 3 }).thenEvents([{
    eventType: "Withdrawn",
    data: { amount: 3 },
    metadata: { userId: "u" },
  }]);
  specified.when({ withdraw: 0 }).thenEvents([]);
  specified.when({ withdraw: 11 }).thenThrows(RangeError);
  specified.when({ withdraw: 11 }).thenThrows(/not enough/);
});

Deno.test("specifyDecider() fails with a readable difference", () => {
  const outcome = specifyDecider(account).given(deposited).when({ withdraw: 3 });
  assert.throws(() => outcome.thenEvents([{ eventType: "Withdrawn", data: { amount: 4 } }]), /-\s+amount: 4/);
  assert.throws(() => outcome.thenEvents([]), assert.AssertionError);
  assert.throws(
    () => outcome.thenEvents([{ eventType: "Withdrawn", data: { amount: 3 }, metadata: { userId: "v" } }]),
    /userId/,
  );
  assert.throws(() => outcome.thenState(8), assert.AssertionError);
  assert.throws(() => outcome.thenThrows(RangeError), /was not refused/);
  const refused = specifyDecider(account).given([]).when({ withdraw: 1 });
  assert.throws(() => refused.thenEvents([]), RangeError);
  assert.throws(() => refused.thenThrows(TypeError), RangeError);
});

Deno.test("a specification can be the body of a test", () =>
  specifyDecider(account).given(deposited).when({ withdraw: 3 })
    .thenEvents([{ eventType: "Withdrawn", data: { amount: 3 } }]));

Deno.test("specifyDecider() fails for an event that no store would take", () => {
  type Any = Event<"Happened", unknown>;
  const decider: Decider<number, unknown, Any> = {
    initialState: () => 0,
    evolve: (count) => count + 1,
    decide: (data) => [{ eventType: "Happened", data }],
  };
  for (const data of [NaN, new Date(), new Map(), () => {}, { items: [1n] }, [undefined]]) {
    const happened = [{ eventType: "Happened", data }] as const;
    const outcome = specifyDecider(decider).given([]).when(data);
    assert.throws(() => outcome.thenEvents(happened), InvalidEventError);
    assert.throws(() => specifyDecider(decider).given([]).when(data).thenState(1), InvalidEventError);
    assert.throws(() => specifyDecider(decider).given(happened).thenState(1), InvalidEventError);
  }
});

Deno.test("specifyDecider() fails if evolve() or decide() changes the state that it was given", () => {
  interface Cart {
    readonly items: string[];
  }
  type Added = Event<"Added", { readonly item: string }>;
  const cart: Decider<Cart, { readonly add: string }, Added> = {
    initialState: () => ({ items: [] }),
    evolve(state, { data }): Cart {
      state.items.push(data.item);
      return state;
    },
    decide: ({ add }) => [{ eventType: "Added", data: { item: add } }],
  };
  const added = [{ eventType: "Added", data: { item: "a" } }] as const;
  assert.throws(
    () => specifyDecider(cart).given(added).thenState({ items: ["a"] }),
    /evolve\(\) has changed the state/,
  );
  const hasty: typeof cart = {
    ...cart,
    evolve: ({ items }, { data }) => ({ items: [...items, data.item] }),
    decide(command, state): readonly NewEvent<Added>[] {
      state.items.push(command.add);
      return cart.decide(command, state);
    },
  };
  assert.throws(
    () => specifyDecider(hasty).given(added).when({ add: "b" }).thenEvents([]),
    /decide\(\) has changed the state/,
  );
});

Deno.test("given().when() without an assertion fails the test", async () => {
  const failed = Promise.withResolvers<string>();
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    failed.resolve(event.message);
  }, { once: true });
  specifyDecider(account).given(deposited).when({ withdraw: 3 });
  assert.match(await failed.promise, /asserts nothing: add thenEvents/);
});

Deno.test("specifyProjection() holds a read model and reactions against what is expected", async () => {
  const kv = await Deno.openKv(":memory:");
  await using checkpoints = await DenoKvCheckpoints.open(kv);
  const projection: Projection<Moved, KvTransaction> = {
    name: "balances",
    checkpoints,
    handle: async ({ actorId, eventType, data: { amount } }, { transaction }) => {
      if (amount < 0) throw new RangeError("negative");
      const balance = await transaction.get<number>([actorId]) ?? 0;
      transaction.set([actorId], eventType === "Deposited" ? balance + amount : balance - amount);
      return eventType === "Deposited"
        ? []
        : [{ actorId: "bank", events: [{ eventType: "Deposited", data: { amount } }] }];
    },
  };
  const specified = specifyProjection(projection).given([{ actorId: "a", ...deposited[0] }]);
  const outcome = await specified.when([{ actorId: "a", eventType: "Withdrawn", data: { amount: 4 } }]);
  await outcome.thenReads(async () => (await kv.get(["a"])).value, 6);
  outcome.thenEvents([{ actorId: "bank", eventType: "Deposited", data: { amount: 4 } }]);
  assert.throws(() => outcome.thenEvents([]), assert.AssertionError);
  assert.throws(
    () => outcome.thenEvents([{ actorId: "shop", eventType: "Deposited", data: { amount: 4 } }]),
    /-\s+actorId: 'shop'/,
  );
  await assert.rejects(outcome.thenReads(() => 1, 2), assert.AssertionError);
  await assert.rejects(
    specified.when([{ actorId: "a", eventType: "Deposited", data: { amount: -1 } }]),
    RangeError,
  );
  await checkpoints.close();
  kv.close();
});
