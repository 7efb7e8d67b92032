/** Reactions are stored once over rebuilds, lost checkpoints, several places for checkpoints and copied stores. */

import assert from "node:assert/strict";
import {
  BackendError,
  command,
  copyEvents,
  type Decider,
  DenoKvEventStore,
  type Event,
  type EventStore,
  FencedError,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryStorage,
  JetStreamEventStore,
  listParked,
  type Projection,
  type ProjectionId,
  ProjectionStoppedError,
  projectOnce,
  retryParked,
  runProjection,
  type StoredEvent,
  type UpcastContext,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";

type Shop =
  | Event<"OrderPlaced", { readonly total: number }>
  | Event<"InvoiceSent", { readonly total: number }>
  | Event<"InvoicePaid", null>
  | Event<"ReminderSent", null>
  | Event<"Deposited" | "Withdrawn", { readonly amount: number }>;

const NAME = "invoicing";

/** Sends one invoice an order, and counts each order with one actor that all share. */
function invoicing(checkpoints: InMemoryCheckpoints, version = 1): Projection<Shop> {
  return {
    name: NAME,
    version,
    checkpoints,
    handle: {
      OrderPlaced: ({ actorId, data: { total } }) => [
        { actorId: `invoice-${actorId}`, events: [{ eventType: "InvoiceSent", data: { total } }] },
        { actorId: "all", events: [{ eventType: "Deposited", data: { amount: total } }] },
      ],
    },
  };
}

async function place(store: EventStore<Shop>, orders: number): Promise<void> {
  for (let order = 1; order <= orders; order++) {
    await store.append(`order-${order}`, [{ eventType: "OrderPlaced", data: { total: order } }], {
      expectedVersion: 0,
    });
  }
}

async function stored(store: EventStore<Shop>, eventType: Shop["eventType"]): Promise<StoredEvent<Shop>[]> {
  return await Array.fromAsync(store.readAll({ eventTypes: [eventType] })) as StoredEvent<Shop>[];
}

async function assertOnce(store: EventStore<Shop>, orders: number): Promise<void> {
  assert.equal((await stored(store, "InvoiceSent")).length, orders);
  assert.equal((await stored(store, "Deposited")).length, orders);
}

/** Catches a projection up. */
async function catchUp(store: EventStore<Shop>, projection: Projection<Shop>): Promise<void> {
  const { caughtUp } = await projectOnce(store, projection, { budgetMs: 60_000 });
  assert(caughtUp);
}

/** One store of each kind. */
async function withStores(
  work: (store: EventStore<Shop>, other: EventStore<Shop>) => Promise<void>,
): Promise<void> {
  {
    await using store = new InMemoryEventStore<Shop>();
    await using other = new InMemoryEventStore<Shop>();
    await work(store, other);
  }
  {
    await using store = await DenoKvEventStore.open<Shop>(":memory:");
    await using other = await DenoKvEventStore.open<Shop>(":memory:");
    await work(store, other);
  }
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<Shop>(server.url);
  await using other = await JetStreamEventStore.open<Shop>(server.url, { namespace: "other" });
  await work(store, other);
}

Deno.test("reactions are stored once over a raised version, a lost checkpoint and a copied store", async () => {
  await withStores(async (store, other) => {
    await place(store, 5);
    const checkpoints = new InMemoryCheckpoints();
    await catchUp(store, invoicing(checkpoints));
    await assertOnce(store, 5);
    await catchUp(store, invoicing(checkpoints, 2));
    await assertOnce(store, 5);
    // The targets have moved on since.
    await store.append("invoice-order-1", [{ eventType: "InvoicePaid", data: null }], {
      expectedVersion: "any",
    });
    await store.append("all", [{ eventType: "Withdrawn", data: { amount: 1 } }], { expectedVersion: "any" });
    await catchUp(store, invoicing(new InMemoryCheckpoints()));
    await assertOnce(store, 5);
    await copyEvents(store, other);
    await catchUp(other, invoicing(new InMemoryCheckpoints()));
    await assertOnce(other, 5);
  });
});

Deno.test("workers over two places for checkpoints at once store each reaction once", async () => {
  await withStores(async (store) => {
    await place(store, 20);
    await Promise.all([1, 2, 3].map(() => catchUp(store, invoicing(new InMemoryCheckpoints()))));
    await assertOnce(store, 20);
  });
});

Deno.test("runs over two places for checkpoints that follow the log store each reaction once", async () => {
  await using store = new InMemoryEventStore<Shop>();
  await using one = runProjection(store, invoicing(new InMemoryCheckpoints()));
  await using two = runProjection(store, invoicing(new InMemoryCheckpoints()));
  await place(store, 40);
  const position = (await store.getLastPosition())!;
  await Promise.all([one.waitFor(position), two.waitFor(position)]);
  await assertOnce(store, 40);
});

Deno.test("ids that a handler chooses are found in the whole history of the target", async () => {
  await using store = new InMemoryEventStore<Shop>();
  const welcoming = (version: number): Projection<Shop> => ({
    name: NAME,
    version,
    checkpoints: new InMemoryCheckpoints(),
    handle: {
      OrderPlaced: () => [{
        actorId: "customer",
        events: [{ id: "welcome", eventType: "ReminderSent", data: null }],
      }],
    },
  });
  await place(store, 3);
  await catchUp(store, welcoming(1));
  assert.equal((await stored(store, "ReminderSent")).length, 1, "one for all orders");
  await store.append("customer", [{ eventType: "InvoicePaid", data: null }], { expectedVersion: "any" });
  await catchUp(store, welcoming(2));
  assert.equal((await stored(store, "ReminderSent")).length, 1);
});

Deno.test("events with the same id that are of two actors have reactions of their own", async () => {
  await using store = new InMemoryEventStore<Shop>();
  for (const actorId of ["a", "b"]) {
    await store.append(actorId, [{ id: "placed", eventType: "OrderPlaced", data: { total: 1 } }], {
      expectedVersion: 0,
    });
  }
  await catchUp(store, invoicing(new InMemoryCheckpoints()));
  await assertOnce(store, 2);
});

Deno.test("a reaction of which a part is stored is completed, also among other targets", async () => {
  await using store = new InMemoryEventStore<Shop>();
  await place(store, 2);
  await catchUp(store, invoicing(new InMemoryCheckpoints()));
  const reminding: Projection<Shop> = {
    name: NAME,
    version: 2,
    checkpoints: new InMemoryCheckpoints(),
    handle: {
      OrderPlaced: ({ actorId, data: { total } }) => [
        { actorId: `reminder-of-${actorId}`, events: [{ eventType: "ReminderSent", data: null }] },
        {
          actorId: `invoice-${actorId}`,
          events: [{ eventType: "InvoiceSent", data: { total } }, { eventType: "InvoicePaid", data: null }],
        },
      ],
    },
  };
  await catchUp(store, reminding);
  assert.deepEqual((await store.getEvents("invoice-order-1")).map(({ eventType }) => eventType), [
    "InvoiceSent",
    "InvoicePaid",
  ]);
  assert.equal((await stored(store, "ReminderSent")).length, 2);
});

/** Counts the events that are read of one actor's history. */
function counting(store: InMemoryEventStore<Shop>, counted: { events: number }): EventStore<Shop> {
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get(target, name);
      if (name !== "readEvents") return typeof value === "function" ? value.bind(target) : value;
      return async function* (
        ...args: Parameters<EventStore<Shop>["readEvents"]>
      ): AsyncIterable<StoredEvent<Shop>> {
        for await (const event of target.readEvents(...args)) {
          counted.events++;
          yield event;
        }
      };
    },
  });
}

Deno.test("a reaction does not read the history that its target had before, and a rebuild reads it once", async () => {
  await using store = new InMemoryEventStore<Shop>();
  const before = Array.from(
    { length: 1_000 },
    () => ({ eventType: "Withdrawn" as const, data: { amount: 1 } }),
  );
  await store.append("all", before, { expectedVersion: 0 });
  const counted = { events: 0 };
  const observed = counting(store, counted);
  const checkpoints = new InMemoryCheckpoints();
  for (let order = 1; order <= 10; order++) {
    await store.append(`order-${order}`, [{ eventType: "OrderPlaced", data: { total: order } }], {
      expectedVersion: 0,
    });
    await catchUp(observed, invoicing(checkpoints)); // each call is a new worker
  }
  assert(counted.events <= 40, `${counted.events} events were read`);
  counted.events = 0;
  await store.append("all", before, { expectedVersion: "any" });
  await catchUp(observed, invoicing(checkpoints, 2));
  // What came after the first order: 10 reactions and 1,000 others, once; and one event of each invoice.
  assert(counted.events <= 1_100, `${counted.events} events were read`);
  await assertOnce(store, 10);
});

const account: Decider<
  number,
  { deposit: number } | { withdraw: number },
  Event<"Deposited" | "Withdrawn", { amount: number }>
> = {
  initialState: () => 0,
  evolve: (balance, { eventType, data }) => balance + (eventType === "Deposited" ? 1 : -1) * data.amount,
  decide: (command, balance) => {
    if ("deposit" in command) return [{ eventType: "Deposited", data: { amount: command.deposit } }];
    if (command.withdraw > balance) throw new Error("not enough money");
    return [{ eventType: "Withdrawn", data: { amount: command.withdraw } }];
  },
};

/** Deposits what was ordered on one account, by command. */
function depositing(checkpoints: InMemoryCheckpoints, version = 1): Projection<Shop> {
  return {
    name: "depositing",
    version,
    checkpoints,
    handle: {
      OrderPlaced: ({ actorId, data: { total } }) => [
        command(account, "account-7", { deposit: total }),
        { actorId: `invoice-${actorId}`, events: [{ eventType: "InvoiceSent", data: { total } }] },
        command(account, "account-7", { withdraw: 1 }),
      ],
    },
  };
}

async function assertDeposited(store: EventStore<Shop>, orders: number): Promise<void> {
  await assertOnce(store, orders);
  assert.equal((await stored(store, "Withdrawn")).length, orders);
}

Deno.test("commands of a handler are decided by their actor's decider, each once", async () => {
  await withStores(async (store, other) => {
    await place(store, 5);
    const checkpoints = new InMemoryCheckpoints();
    await Promise.all([
      catchUp(store, depositing(checkpoints)),
      catchUp(store, depositing(new InMemoryCheckpoints())),
    ]);
    await assertDeposited(store, 5);
    await store.append("account-7", [{ eventType: "InvoicePaid", data: null }], { expectedVersion: "any" });
    await catchUp(store, depositing(checkpoints, 2));
    await assertDeposited(store, 5);
    const [order] = await store.getEvents("order-1");
    const [deposited] = await store.getEvents("account-7");
    assert.equal(deposited!.metadata!.causationId, order!.id);
    assert.equal(deposited!.id, `${deposited!.metadata!["commandId"]}/1`);
    assert.equal(deposited!.metadata!.correlationId, order!.id);
    await copyEvents(store, other);
    await catchUp(other, depositing(new InMemoryCheckpoints()));
    await assertDeposited(other, 5);
  });
});

/** A place for checkpoints at which every other write is lost. */
class LossyCheckpoints extends InMemoryCheckpoints {
  #writes = 0;

  override async save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    if (this.#writes++ % 2 === 0) throw new BackendError("checkpoint", "broke down");
    return await super.save(id, value, expected);
  }
}

Deno.test("commands of a handler are stored once if the checkpoint behind them is not written", async () => {
  await using store = new InMemoryEventStore<Shop>();
  await place(store, 10);
  const checkpoints = new LossyCheckpoints();
  for (;;) {
    try {
      const { caughtUp } = await projectOnce(store, { ...depositing(checkpoints), checkpointEvents: 1 });
      if (caughtUp) break;
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
    }
  }
  await assertDeposited(store, 10);
});

Deno.test("a command that its decider refuses is the handler's failure, and can be tried again", async () => {
  await using store = new InMemoryEventStore<Shop>();
  await place(store, 1);
  const withdrawing: Projection<Shop> = {
    name: "withdrawing",
    checkpoints: new InMemoryCheckpoints(),
    failure: { retries: 0, then: "park" },
    handle: { OrderPlaced: () => [command(account, "account-7", { withdraw: 5 })] },
  };
  await catchUp(store, withdrawing);
  const [entry] = await listParked(withdrawing);
  assert.match(entry!.error, /not enough money/);
  await store.append("account-7", [{ eventType: "Deposited", data: { amount: 5 } }], {
    expectedVersion: "any",
  });
  await retryParked(store, withdrawing, entry!.position);
  assert.equal((await stored(store, "Withdrawn")).length, 1);
});

/** Reacts to an order with an event and a command for an actor that is owned under token 7. */
function owning(
  options: Pick<Projection<Shop>, "unfenced" | "failure">,
  fencing: { unfenced?: boolean; fencingToken?: number } = {},
): Projection<Shop> {
  return {
    name: "owning",
    checkpoints: new InMemoryCheckpoints(),
    ...options,
    handle: {
      OrderPlaced: ({ data: { total } }) => [
        { actorId: "account-7", events: [{ eventType: "Deposited", data: { amount: total } }], ...fencing },
      ],
      InvoicePaid: () => [command(account, "account-7", { deposit: 1 }, fencing)],
    },
  };
}

async function owned(): Promise<InMemoryEventStore<Shop>> {
  const store = new InMemoryEventStore<Shop>();
  await store.takeOver("account-7", 7);
  await store.append("order-1", [
    { eventType: "OrderPlaced", data: { total: 5 } },
    { eventType: "InvoicePaid", data: null },
  ], { expectedVersion: 0 });
  return store;
}

Deno.test("a reaction to an actor that is owned under a fencing token is stored as its author declares", async (t) => {
  const ways = {
    "the projection is unfenced": owning({ unfenced: true }),
    "the reaction is unfenced": owning({}, { unfenced: true }),
    "the reaction has the token": owning({}, { fencingToken: 7 }),
    "the token is newer, in an unfenced projection": owning({ unfenced: true }, { fencingToken: 8 }),
  };
  for (const [name, projection] of Object.entries(ways)) {
    await t.step(name, async () => {
      await using store = await owned();
      await catchUp(store, projection);
      assert.deepEqual((await store.getEvents("account-7")).map(({ eventType }) => eventType), [
        "Deposited",
        "Deposited",
      ]);
    });
  }
});

const isFenced = (error: unknown): boolean =>
  error instanceof ProjectionStoppedError && error.cause instanceof FencedError &&
  /unfenced/.test(error.message);

Deno.test("a reaction that was refused because of a fencing token goes on once its projection is unfenced", async (t) => {
  for (const then of ["stop", "park"] as const) {
    for (const fencing of [{}, { unfenced: false }, { fencingToken: 6 }]) {
      await t.step(`${then} ${JSON.stringify(fencing)}`, async () => {
        await using store = await owned();
        const projection = owning({ failure: { retries: 0, then, laterEvents: "go-on" } }, fencing);
        const unfenced = { ...projection, unfenced: true };
        if (then === "stop") {
          await assert.rejects(projectOnce(store, projection), isFenced);
          await catchUp(store, unfenced);
        } else {
          await catchUp(store, projection);
          const entries = await listParked(projection);
          assert.equal(entries.length, 2);
          for (const { position, error } of entries) {
            assert.match(error, /FencedError/);
            await retryParked(store, unfenced, position);
          }
        }
        assert.deepEqual((await store.getEvents("account-7")).map(({ eventType }) => eventType), [
          "Deposited",
          "Deposited",
        ]);
      });
    }
  }
});

Deno.test("reactions are stored once if upcasters divide events of their targets", async () => {
  const storage = new InMemoryStorage();
  await using old = new InMemoryEventStore<Shop>({ storage });
  await place(old, 3);
  await catchUp(old, invoicing(new InMemoryCheckpoints()));
  await catchUp(old, depositing(new InMemoryCheckpoints()));
  const before = (await stored(old, "Deposited")).length;
  const divided = { eventType: "Withdrawn" as const, data: { amount: 2 } };
  for (const actorId of ["all", "account-7", "invoice-order-1"]) {
    await old.append(actorId, [divided, divided, divided], { expectedVersion: "any" });
  }
  const events = {
    Withdrawn: {
      version: 2,
      upcast: [
        ({ amount }: { amount: number }, { several }: UpcastContext) =>
          several([{ amount: amount / 2 }, { amount: amount / 2 }]),
      ],
    },
  };
  await using store = new InMemoryEventStore<Shop>({ storage, events });
  await catchUp(store, invoicing(new InMemoryCheckpoints()));
  await catchUp(store, depositing(new InMemoryCheckpoints()));
  assert.equal((await stored(store, "Deposited")).length, before);
  // And new ones are stored behind them.
  await store.append("order-9", [{ eventType: "OrderPlaced", data: { total: 9 } }], { expectedVersion: 0 });
  await catchUp(store, invoicing(new InMemoryCheckpoints()));
  await catchUp(store, depositing(new InMemoryCheckpoints()));
  assert.equal((await stored(store, "Deposited")).length, before + 2);
});
