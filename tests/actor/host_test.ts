import assert from "node:assert/strict";
import {
  ActorBusyError,
  ActorFailedError,
  ActorHost,
  type ActorHostOptions,
  ActorUnavailableError,
  ClosedError,
  type Decider,
  defineActor,
  type Event,
  type EventStore,
  InvalidArgumentError,
  type NewEvent,
  OutcomeUnknownError,
  type SnapshotStore,
} from "@flowmade-one/aether/actor";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";

type AccountEvent = Event<"Deposited" | "Withdrawn", { amount: number }> | Event<"Noted", { text: unknown }>;
type AccountCommand =
  | { deposit: number }
  | { withdraw: number }
  | { note: string }
  | { nothing: true }
  | { broken: true }
  | { many: number };

class NotEnoughMoney extends Error {
  constructor(readonly missing: number) {
    super(`${missing} too little`);
  }
}

const decider: Decider<number, AccountCommand, AccountEvent> = {
  initialState: () => 0,
  evolve: (balance, event) => {
    if (event.eventType === "Noted") return balance;
    return balance + (event.eventType === "Deposited" ? 1 : -1) * event.data.amount;
  },
  decide(command, balance): NewEvent<AccountEvent>[] {
    if ("deposit" in command) return [{ eventType: "Deposited", data: { amount: command.deposit } }];
    if ("note" in command) return [{ eventType: "Noted", data: { text: command.note } }];
    if ("many" in command) {
      return Array.from({ length: command.many }, () => ({ eventType: "Deposited", data: { amount: 1 } }));
    }
    if ("broken" in command) return [{ eventType: "Noted", data: { text: new Date(0) } }];
    if ("nothing" in command) return [];
    if (command.withdraw > balance) throw new NotEnoughMoney(command.withdraw - balance);
    return [{ eventType: "Withdrawn", data: { amount: command.withdraw } }];
  },
};
const account = defineActor("account", {
  decider: { ...decider, snapshot: { kind: "balance", schemaVersion: 1, every: 10 } },
  queries: { balance: (balance) => balance },
  errors: { NotEnoughMoney },
});

type Store = EventStore<AccountEvent> & SnapshotStore;

const STORES: Record<string, (folder: string) => Promise<Store>> = {
  memory: () => Promise.resolve(new InMemoryEventStore<AccountEvent>({ onWarning: () => {} })),
  "Deno KV": (folder) => DenoKvEventStore.open<AccountEvent>(`${folder}/events.kv`),
};

/** A store that counts the commits, and may lose the answer to one of them. */
function watched(store: Store): { readonly store: Store; commits: number; loseNext: boolean } {
  const state = {
    commits: 0,
    loseNext: false,
    store: new Proxy(store, {
      get(target, name): unknown {
        const value = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (name !== "append") return value.bind(target);
        return async (...args: Parameters<Store["append"]>): ReturnType<Store["append"]> => {
          state.commits++;
          const stored = await target.append(...args);
          if (!state.loseNext) return stored;
          state.loseNext = false;
          throw new OutcomeUnknownError([], 0);
        };
      },
    }),
  };
  return state;
}

function test(
  name: string,
  run: (
    store: Store,
    start: (options?: Partial<ActorHostOptions<AccountEvent>>) => Promise<ActorHost>,
  ) => Promise<void>,
): void {
  for (const [backend, open] of Object.entries(STORES)) {
    Deno.test(`ActorHost on ${backend}: ${name}`, async () => {
      const folder = await Deno.makeTempDir();
      try {
        await using store = await open(folder);
        await run(store, (options) => ActorHost.start({ store, actors: [account], ...options }));
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
}

test("commands take effect one after the other, in the order of their arrival", async (store, start) => {
  await using host = await start();
  const actor = host.client.get(account, "account-1");
  const results = await Promise.all(Array.from({ length: 50 }, (_, index) => actor.call({ deposit: index })));
  assert.deepEqual(
    results.map(({ version }) => version),
    Array.from({ length: 50 }, (_, index) => index + 1),
  );
  assert.equal(results.at(-1)!.state, 49 * 50 / 2);
  assert.deepEqual(
    (await store.getEvents("account-1")).map(({ data }) => (data as { amount: number }).amount),
    [
      ...Array(50).keys(),
    ],
  );
});

test("commands that wait are stored in one commit, each with its own answer", async (store, start) => {
  const counted = watched(store);
  await using host = await start({ store: counted.store });
  const actor = host.client.get(account, "account-1");
  const calls = [
    actor.call({ deposit: 5 }),
    actor.call({ withdraw: 7 }),
    actor.call({ nothing: true }),
    actor.call({ withdraw: 3 }),
  ];
  const [first, refused, nothing, last] = await Promise.allSettled(calls);
  assert.deepEqual(first, { status: "fulfilled", value: { version: 1, state: 5 } });
  assert.ok(refused?.status === "rejected" && refused.reason instanceof NotEnoughMoney);
  assert.equal(refused.reason.missing, 2);
  assert.deepEqual(nothing, { status: "fulfilled", value: { version: 1, state: 5 } });
  assert.deepEqual(last, { status: "fulfilled", value: { version: 2, state: 2 } });
  assert.equal(counted.commits, 1);
});

test("a command whose event no store takes fails alone", async (store, start) => {
  await using host = await start();
  const actor = host.client.get(account, "account-1");
  const calls = [actor.call({ deposit: 1 }), actor.call({ broken: true }), actor.call({ deposit: 2 })];
  const [first, broken, last] = await Promise.allSettled(calls);
  assert.equal(first!.status, "fulfilled");
  assert.ok(broken?.status === "rejected" && broken.reason.name === "InvalidEventError");
  assert.deepEqual(last, { status: "fulfilled", value: { version: 2, state: 3 } });
  assert.equal(await store.getLatestVersion("account-1"), 2);
});

test("commands with more events than a commit may hold are stored in several", async (store, start) => {
  await using host = await start();
  const actor = host.client.get(account, "account-1");
  const { eventsPerCommit } = store.limits;
  const many = Math.ceil(eventsPerCommit / 2) + 1;
  const results = await Promise.all([actor.call({ many }), actor.call({ many }), actor.call({ many })]);
  assert.deepEqual(results.map(({ version }) => version), [many, 2 * many, 3 * many]);
  const tooMany = eventsPerCommit + 1;
  await assert.rejects(actor.call({ many: tooMany }), { name: "CommitTooLargeError" });
});

test("a repeated command is answered with what the first one led to", async (store, start) => {
  {
    await using host = await start();
    const actor = host.client.get(account, "account-1");
    const [first, second] = await Promise.all([
      actor.call({ deposit: 5 }, { id: "a" }),
      actor.call({ deposit: 5 }, { id: "a" }),
    ]);
    assert.deepEqual([first, second], Array(2).fill({ version: 1, state: 5 }));
    for (let index = 0; index < 30; index++) await actor.call({ deposit: 1 });
    assert.deepEqual(await actor.call({ deposit: 5 }, { id: "a" }), { version: 1, state: 5 });
  }
  assert.ok((await store.getLatestSnapshot("account-1", "balance"))!.version >= 10);
  await using host = await start();
  const actor = host.client.get(account, "account-1");
  assert.deepEqual(await actor.call({ deposit: 5 }, { id: "a" }), { version: 1, state: 5 });
  assert.deepEqual(await actor.call({ deposit: 5 }, { id: "b" }), { version: 32, state: 40 });
});

test(
  "a writer that is not the actor is noticed, and the commands are decided again",
  async (store, start) => {
    await using host = await start();
    const actor = host.client.get(account, "account-1");
    await actor.call({ deposit: 5 });
    await store.append("account-1", [{ eventType: "Withdrawn", data: { amount: 4 } }], {
      expectedVersion: 1,
    });
    const [deposit, refused] = await Promise.allSettled([
      actor.call({ deposit: 1 }),
      actor.call({ withdraw: 3 }),
    ]);
    assert.deepEqual(deposit, { status: "fulfilled", value: { version: 3, state: 2 } });
    assert.ok(refused.status === "rejected" && refused.reason instanceof NotEnoughMoney);
    assert.equal(refused.reason.missing, 1);
  },
);

test("a commit whose answer is lost is stored once, and its commands are answered", async (store, start) => {
  const lossy = watched(store);
  await using host = await start({ store: lossy.store });
  const actor = host.client.get(account, "account-1");
  lossy.loseNext = true;
  const results = await Promise.all([actor.call({ deposit: 1 }), actor.call({ deposit: 2 }, { id: "x" })]);
  assert.deepEqual(results.map(({ state }) => state), [1, 3]);
  assert.equal(await store.getLatestVersion("account-1"), 2);
  assert.deepEqual(await actor.call({ deposit: 2 }, { id: "x" }), { version: 2, state: 3 });
});

test(
  "actors beyond maxActive, or idle for long, are released with a snapshot, and come back",
  async (store, start) => {
    await using host = await start({ maxActive: 5, idleTimeout: 40 });
    for (let index = 0; index < 20; index++) {
      const actor = host.client.get(account, `account-${index}`);
      await Promise.all(Array.from({ length: 6 }, () => actor.call({ deposit: index })));
      assert.ok(host.active <= 6);
    }
    while (host.active > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    while (!await store.getLatestSnapshot("account-3", "balance")) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(await host.client.get(account, "account-3").query("balance"), 18);
  },
);

test("too many waiting calls are refused at once, and say when to call again", async (store, start) => {
  await using host = await start({ maxWaiting: 3 });
  const actor = host.client.get(account, "account-1");
  const calls = await Promise.allSettled(Array.from({ length: 5 }, () => actor.call({ deposit: 1 })));
  assert.deepEqual(calls.map(({ status }) => status), [
    ...Array(3).fill("fulfilled"),
    ...Array(2).fill("rejected"),
  ]);
  const { reason } = calls[4] as PromiseRejectedResult;
  assert.ok(reason instanceof ActorBusyError && reason.retryAfter > 0);
  assert.equal(await store.getLatestVersion("account-1"), 3);
});

test("a query is answered after the commands before it", async (_store, start) => {
  await using host = await start();
  const actor = host.client.get(account, "account-1");
  const [, balance, , later] = await Promise.all([
    actor.call({ deposit: 1 }),
    actor.query("balance"),
    actor.call({ deposit: 2 }),
    actor.query("balance"),
  ]);
  assert.deepEqual([balance, later], [1, 3]);
});

test("a closed host rejects what waits, and takes nothing more", async (store, start) => {
  const host = await start();
  const actor = host.client.get(account, "account-1");
  const call = actor.call({ deposit: 1 });
  const closed = assert.rejects(call, ClosedError);
  await host.close();
  await closed;
  await assert.rejects(actor.call({ deposit: 1 }), ClosedError);
  assert.equal(await store.getLatestVersion("account-1"), 0);
});

Deno.test("ActorHost: a call that is not begun in time, or aborted, stores nothing", async () => {
  await using store = new InMemoryEventStore<AccountEvent>({ onWarning: () => {} });
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
  await using host = await ActorHost.start({ store: slow, actors: [account] });
  const actor = host.client.get(account, "account-1");
  const sent = actor.call({ deposit: 1 }, { timeout: 50 });
  await new Promise((resolve) => setTimeout(resolve, 10));
  const abort = new AbortController();
  const waiting = [
    assert.rejects(actor.call({ deposit: 2 }, { timeout: 20 }), ActorUnavailableError),
    assert.rejects(actor.call({ deposit: 3 }, { signal: abort.signal }), { message: "enough" }),
    assert.rejects(sent, (error) => {
      return error instanceof OutcomeUnknownError && error.repeatWith === "call" &&
        error.events[0]!.version === 1;
    }),
  ];
  abort.abort(new Error("enough"));
  await Promise.all(waiting);
  gate.resolve();
  assert.equal(await actor.query("balance"), 1);
});

Deno.test("ActorHost and defineActor() refuse what is not sound, and name the field", async () => {
  await using store = new InMemoryEventStore<AccountEvent>({ onWarning: () => {} });
  await using host = await ActorHost.start({ store, actors: [account] });
  const refused = (argument: string) => (error: unknown): boolean =>
    error instanceof InvalidArgumentError && error.argument === argument;
  const other = defineActor("other", { decider });
  assert.throws(() => host.client.get(other, "other-1"), refused("definition"));
  for (const id of ["account", "account-", "accounts-1", "other-1"]) {
    assert.throws(() => host.client.get(account, id), refused("actorId"));
  }
  for (const name of ["", "a b", "-a", "a-", "a.b", "x".repeat(65)]) {
    assert.throws(() => defineActor(name, { decider }), refused("name"));
  }
  assert.throws(() => defineActor("a", { decider: {} as typeof decider }), refused("options.decider"));
  assert.throws(() => defineActor("a", { decider, decidr: 1 } as never), refused("options.decidr"));
  const actor = host.client.get(account, "account-1");
  await assert.rejects(actor.call({ deposit: NaN }), refused("command.deposit"));
  await assert.rejects(actor.call({ note: "x".repeat(300_000) }), refused("command"));
  await assert.rejects(actor.call({ deposit: 1 }, { timeout: 0 }), refused("options.timeout"));
  await assert.rejects(actor.call({ deposit: 1 }, { id: "" }), refused("options.id"));
  await assert.rejects(actor.query("nothing" as "balance"), refused("name"));
  for (const [name, value] of Object.entries({ maxActive: 0, idleTimeout: 1.5, maxWaiting: -1 })) {
    await assert.rejects(
      ActorHost.start({ store, actors: [account], [name]: value }),
      refused(`options.${name}`),
    );
  }
  await assert.rejects(
    ActorHost.start({ store, actors: [account], maxActve: 1 } as never),
    refused("options.maxActve"),
  );
  await assert.rejects(ActorHost.start({ store, actors: [] }), refused("options.actors"));
  await assert.rejects(ActorHost.start({ store, actors: [account, account] }), refused("options.actors"));
});

Deno.test("ActorHost: what decide() throws or returns wrongly fails that command alone", async () => {
  await using store = new InMemoryEventStore<Event<"Done", null>>({ onWarning: () => {} });
  const faulty = defineActor("faulty", {
    decider: {
      initialState: () => 0,
      evolve: (count: number, _event: Event<"Done", null>) => count + 1,
      decide: (command: "throw" | "promise" | "done"): [] => {
        if (command === "throw") throw new TypeError("no");
        return (command === "promise" ? Promise.resolve([]) : [{ eventType: "Done", data: null }]) as never;
      },
    },
  });
  await using host = await ActorHost.start({ store, actors: [faulty] });
  const actor = host.client.get(faulty, "faulty-1");
  const [thrown, promised, done] = await Promise.allSettled([
    actor.call("throw"),
    actor.call("promise"),
    actor.call("done"),
  ]);
  assert.ok(thrown.status === "rejected" && thrown.reason instanceof ActorFailedError);
  assert.equal((thrown.reason.cause as Error).message, "no");
  assert.ok(promised.status === "rejected" && promised.reason instanceof ActorFailedError);
  assert.deepEqual(done, { status: "fulfilled", value: { version: 1, state: 1 } });
});
