import assert from "node:assert/strict";
import {
  ActorBusyError,
  ActorFailedError,
  ActorHost,
  defineActor,
  type Event,
  FencedError,
  OutcomeUnknownError,
} from "@flowmade-one/aether/actor";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { account, type AccountEvent, steps } from "./account.ts";

type Store = InMemoryEventStore<AccountEvent>;
const open = (): Store => new InMemoryEventStore<AccountEvent>({ onWarning: () => {} });

/** Asserts that a call failed, without an event and without a rejection that no code handles. */
async function fails(call: Promise<unknown>, message: RegExp, isStored = false): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof ActorFailedError, String(error));
    assert.match(error.message, message);
    assert.equal(error.isStored, isStored);
    return true;
  });
  await new Promise((resolve) => setTimeout(resolve, 0)); // an unhandled rejection would fail the test
}

Deno.test("a decider or a query that throws, or returns a promise, fails its call alone", async () => {
  await using store = open();
  await using host = await ActorHost.start({ store, actors: [account] });
  const actor = host.client.get(account, "account-1");
  const other = host.client.get(account, "account-2");
  await actor.call({ deposit: 1 });
  await fails(actor.call({ go: "throw" }), /no such step/);
  await fails(actor.call({ go: "throw a text" }), /a text/);
  await fails(actor.call({ go: "promise" }), /returned a promise/);
  await fails(actor.call({ go: "rejected promise" }), /returned a promise/);
  await fails(actor.call({ go: "number" }), /array of events, and returned/);
  await fails(actor.query("later"), /a query must return a value, and returned a promise/);
  await fails(actor.query("never"), /returned a promise/);
  await fails(actor.query("throws"), /no answer/);
  await assert.rejects(actor.call({ go: "date" }), { name: "InvalidEventError" });
  assert.equal(await store.getLatestVersion("account-1"), 1);
  assert.deepEqual(await actor.call({ deposit: 1 }), { version: 2, state: { balance: 2, text: "" } });
  assert.equal((await other.call({ deposit: 5 })).state.balance, 5);
});

Deno.test("an evolve() that returns a promise fails the calls of its actor, and no other", async () => {
  await using store = open();
  await using host = await ActorHost.start({ store, actors: [account] });
  const actor = host.client.get(account, "account-1");
  await fails(actor.call({ poison: true }), /evolve\(\) must return a value/, true);
  await fails(actor.call({ deposit: 1 }), /must return a value, and returned a promise/);
  await fails(actor.query("balance"), /must return a value, and returned a promise/);
  assert.equal((await host.client.get(account, "account-2").call({ deposit: 5 })).state.balance, 5);
});

Deno.test("an evolve() that throws at load fails the calls with its error as the cause", async () => {
  await using store = new InMemoryEventStore<Event<"Done", null>>();
  await store.append("broken-1", [{ eventType: "Done", data: null }], { expectedVersion: 0 });
  const broken = defineActor("broken", {
    decider: {
      initialState: () => 0,
      evolve: (_state: number, _event: Event<"Done", null>): number => {
        throw new RangeError("unknown event");
      },
      decide: (_command: null) => [],
    },
  });
  await using host = await ActorHost.start({ store, actors: [broken] });
  await assert.rejects(host.client.get(broken, "broken-1").call(null), (error) => {
    return error instanceof ActorFailedError && error.cause instanceof RangeError && !error.isStored;
  });
  assert.equal((await host.client.get(broken, "broken-2").call(null)).version, 0);
});

Deno.test("a decider that loops for a second delays the other calls, and fails none", async () => {
  await using store = open();
  await using host = await ActorHost.start({ store, actors: [account] });
  const calls = [
    host.client.get(account, "account-1").call({ go: "loop" }, { timeout: 500 }),
    ...Array.from(
      { length: 20 },
      (_, index) => host.client.get(account, `account-${index}`).call({ deposit: 1 }),
    ),
  ];
  const [late, ...others] = await Promise.allSettled(calls);
  assert.deepEqual(others.map(({ status }) => status), Array(20).fill("fulfilled"));
  // The command was decided after its deadline: its outcome is stored or not, and reported as what it is.
  if (late!.status === "rejected") {
    assert.ok(late!.reason instanceof OutcomeUnknownError, String(late!.reason));
  }
});

Deno.test("a call that would wait for itself through another actor is refused, and names the chain", async () => {
  await using store = open();
  await using host = await ActorHost.start({ store, actors: [account] });
  const calls: Promise<unknown>[] = [];
  const callFrom = (id: string, go: string): unknown => {
    calls.push(host.client.get(account, id).call({ go }));
    return [];
  };
  steps["call b"] = () => callFrom("account-b", "call c");
  steps["call c"] = () => callFrom("account-c", "call a");
  steps["call a"] = () => callFrom("account-a", "nothing");
  await host.client.get(account, "account-a").call({ go: "call b" });
  while (calls.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  const [first, second] = await Promise.allSettled(calls);
  assert.equal(first!.status, "fulfilled");
  assert.ok(second!.status === "rejected" && second!.reason instanceof ActorFailedError);
  assert.match(
    second!.reason.message,
    /"account-c" did not .* would wait for itself: account-a calls account-b calls account-c calls account-a/,
  );
  steps["call itself"] = () => callFrom("account-a", "nothing");
  await fails(
    host.client.get(account, "account-a").call({ go: "call itself" }),
    /would wait for itself: account-a calls account-a$/,
  );
  assert.equal(calls.length, 2);
  // After the decision it is an ordinary call.
  await host.client.get(account, "account-a").call({ go: "nothing" });
});

Deno.test("a host whose actors are all busy refuses further ones at once, and takes them later", async () => {
  await using store = open();
  const gate = Promise.withResolvers<void>();
  const slow = new Proxy(store, {
    get(target, name): unknown {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "append") return value.bind(target);
      return async (...args: Parameters<Store["append"]>): ReturnType<Store["append"]> => {
        await gate.promise;
        return await target.append(...args);
      };
    },
  });
  await using host = await ActorHost.start({ store: slow, actors: [account], maxActive: 10 });
  const calls = Array.from({ length: 1_200 }, (_, index) => {
    return host.client.get(account, `account-${index}`).call({ deposit: 1 });
  });
  const results = Promise.allSettled(calls);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(host.active, 1_010);
  // Actors that are in memory are called as before.
  const further = host.client.get(account, "account-0").call({ deposit: 1 });
  gate.resolve();
  const refused = (await results).filter((result) => result.status === "rejected");
  assert.equal(refused.length, 190);
  for (const { reason } of refused) {
    assert.ok(reason instanceof ActorBusyError && reason.waiting === 0 && reason.retryAfter > 0);
    assert.match(reason.message, /raise maxActive/);
  }
  assert.equal((await further).state.balance, 2);
  assert.equal((await host.client.get(account, "account-1199").call({ deposit: 1 })).version, 1);
  assert.ok(host.active <= 11);
});

Deno.test("a million keys are called through a host of few active actors, scaled: memory keeps the bound", async () => {
  const count = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 0) > 0 ? 1_000_000 : 20_000;
  await using store = open();
  await using host = await ActorHost.start({ store, actors: [account], maxActive: 500 });
  let most = 0;
  for (let first = 0; first < count; first += 250) {
    const keys = Array.from({ length: 250 }, (_, index) => `account-${first + index}`);
    await Promise.all(keys.map((id) => host.client.get(account, id).query("balance")));
    most = Math.max(most, host.active);
  }
  assert.ok(most >= 500 && most <= 750, String(most));
  assert.ok(host.active <= 501, String(host.active));
});

Deno.test("a repeated command is found among the latest thousand behind a snapshot, and no further", async () => {
  await using store = open();
  const { decider } = account;
  const kept = defineActor("account", {
    decider: { ...decider, snapshot: { kind: "state", schemaVersion: 1, every: 500 } },
  });
  {
    await using host = await ActorHost.start({ store, actors: [kept] });
    const actor = host.client.get(kept, "account-1");
    for (let index = 0; index < 1_700; index++) {
      await actor.call({ deposit: 1 }, { id: `request-${index}` });
    }
  }
  const snapshot = await store.getLatestSnapshot("account-1", "state");
  assert.ok(snapshot && snapshot.version >= 1_500);
  await using host = await ActorHost.start({ store, actors: [kept] });
  const actor = host.client.get(kept, "account-1");
  const versions = await Promise.all([snapshot.version - 1_000, 1_699].map((index) => {
    return actor.call({ deposit: 1 }, { id: `request-${index}` }).then((
      { version, state },
    ) => [version, state.balance]);
  }));
  assert.deepEqual(versions, [[snapshot.version - 999, snapshot.version - 999], [1_700, 1_700]]);
  assert.equal(await store.getLatestVersion("account-1"), 1_700);
  // One that is older is executed again: callers do not repeat a command after a thousand others.
  assert.equal((await actor.call({ deposit: 1 }, { id: "request-0" })).version, 1_701);
});

Deno.test("a commit of unknown outcome whose repetition is fenced is not answered as if it were refused", async () => {
  await using store = open();
  let losses = 1;
  const lossy = new Proxy(store, {
    get(target, name): unknown {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "append") return value.bind(target);
      return async (...args: Parameters<Store["append"]>): ReturnType<Store["append"]> => {
        const stored = await target.append(...args);
        if (losses-- > 0) throw new OutcomeUnknownError([], 0);
        if (losses === -1) throw new FencedError("account-1", 1, 2);
        return stored;
      };
    },
  });
  await using host = await ActorHost.start({ store: lossy, actors: [account] });
  const actor = host.client.get(account, "account-1");
  await assert.rejects(actor.call({ deposit: 1 }, { id: "a" }), OutcomeUnknownError);
  assert.deepEqual(await actor.call({ deposit: 1 }, { id: "a" }), {
    version: 1,
    state: { balance: 1, text: "" },
  });
});
