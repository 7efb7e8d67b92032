/**
 * The types of projections: what a user may write, and, by `@ts-expect-error`, what the compiler must refuse. `deno check` is the
 * test; what compiles is run too.
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  type CheckpointStore,
  command,
  type Decider,
  DenoKvCheckpoints,
  type Event,
  type EventStore,
  type Handler,
  InMemoryCheckpoints,
  InMemoryEventStore,
  type JetStreamCheckpoints,
  type KvTransaction,
  type Projection,
  projectOnce,
  type Reaction,
  runProjection,
  SqliteCheckpoints,
  type StoredEvent,
} from "@flowmade-one/aether";

type ShowEvent = Event<"ShowScheduled", { readonly seats: number }>;
type OrderEvent = Event<"OrderPlaced", { readonly seats: number }>;
type AllEvents = ShowEvent | OrderEvent;

const show: Decider<number, { schedule: number }, ShowEvent> = {
  initialState: () => 0,
  evolve: (seats, { data }) => seats + data.seats,
  decide: ({ schedule }) => [{ eventType: "ShowScheduled", data: { seats: schedule } }],
};
const foreign: Decider<number, "open", Event<"AccountOpened", null>> = {
  initialState: () => 0,
  evolve: (state) => state,
  decide: () => [{ eventType: "AccountOpened", data: null }],
};

const name = "types";
const checkpoints = new InMemoryCheckpoints();
Deno.test("types: reactions are of the store's events", async () => {
  await using store = new InMemoryEventStore<AllEvents>();
  const placed = { eventType: "OrderPlaced", data: { seats: 2 } } as const;
  await store.append("order-1", [placed], { expectedVersion: 0 });
  const scheduling: Projection<AllEvents> = {
    name,
    checkpoints,
    handle: {
      OrderPlaced: ({ data: { seats } }) => [
        { actorId: "show-1", events: [{ eventType: "ShowScheduled", data: { seats } }] },
        command(show, "show-1", { schedule: seats }),
      ],
    },
  };
  await projectOnce(store, scheduling);
  assert.equal(await store.getLatestVersion("show-1"), 2);

  const handlers: Projection<AllEvents>["handle"][] = [
    {
      // @ts-expect-error: a misspelt type
      OrderPlaced:
        () => [{ actorId: "show-1", events: [{ eventType: "ShowSchedulled", data: { seats: 1 } }] }],
    },
    {
      // @ts-expect-error: misspelt data
      OrderPlaced:
        () => [{ actorId: "show-1", events: [{ eventType: "ShowScheduled", data: { seets: 1 } }] }],
    },
    {
      // @ts-expect-error: the data of a wrong type, promised
      OrderPlaced: () =>
        Promise.resolve([{ actorId: "s", events: [{ eventType: "ShowScheduled", data: { seats: "1" } }] }]),
    },
    // @ts-expect-error: the same of one handler for all events
    () => [{ actorId: "show-1", events: [{ eventType: "ShowSchedulled", data: { seats: 1 } }] }],
    {
      // @ts-expect-error: no actor
      OrderPlaced: () => [{ events: [{ eventType: "ShowScheduled", data: { seats: 1 } }] }],
    },
    {
      // @ts-expect-error: a fencing token that is none
      OrderPlaced: () => [{ actorId: "show-1", events: [], fencingToken: "7" }],
    },
    {
      // @ts-expect-error: a command that the decider does not know
      OrderPlaced: () => [command(show, "show-1", { cancel: true })],
    },
    {
      // @ts-expect-error: a decider of events that the store does not hold
      OrderPlaced: () => [command(foreign, "account-1", "open")],
    },
  ];
  assert.equal(handlers.length, 8);
});

Deno.test("types: reactions are checked where a projection is written in the call", async () => {
  await using store = new InMemoryEventStore<AllEvents>();
  await projectOnce(store, {
    name: "in a call",
    checkpoints,
    handle: { OrderPlaced: () => [command(show, "show-1", { schedule: 1 })] },
  });
  const misspelt = (run: typeof projectOnce | typeof runProjection): unknown =>
    run(store, {
      name,
      checkpoints,
      handle: {
        // @ts-expect-error: a misspelt type
        OrderPlaced: () => [{ actorId: "s", events: [{ eventType: "Shceduled", data: { seats: 1 } }] }],
      },
    });
  assert.equal(typeof misspelt, "function");
});

Deno.test("types: a store whose events have no types takes any reaction", async () => {
  await using store = new InMemoryEventStore();
  await store.append("a", [{ eventType: "Begun", data: 1 }], { expectedVersion: 0 });
  const reaction: Reaction = { actorId: "b", events: [{ eventType: "Anything", data: { goes: true } }] };
  const handle: Handler<StoredEvent> = () => [reaction, command(foreign, "c", "open")];
  await projectOnce(store, { name: "untyped", checkpoints, handle: { Begun: handle } });
  assert.deepEqual([await store.getLatestVersion("b"), await store.getLatestVersion("c")], [1, 1]);
});

Deno.test("types: handlers use the transaction of their checkpoints, and no other", async () => {
  const seats = new DatabaseSync(":memory:");
  using kv = await Deno.openKv(":memory:");
  await using store = new InMemoryEventStore<OrderEvent>();
  await using inKv = await DenoKvCheckpoints.open(kv);
  const handle: Projection<OrderEvent, KvTransaction>["handle"] = {
    OrderPlaced: ({ data }, { transaction }) => transaction.set(["seats"], data.seats),
  };
  await projectOnce(store, { name, checkpoints: inKv, handle });
  const counting: Projection<OrderEvent, DatabaseSync> = {
    name,
    checkpoints: new SqliteCheckpoints(seats),
    handle: { OrderPlaced: (_event, { transaction }) => transaction.exec("SELECT 1") },
  };
  await projectOnce(store, counting);
  seats.close();

  const wrong = (
    store: EventStore<OrderEvent>,
    inNats: JetStreamCheckpoints,
    sqlite: SqliteCheckpoints<DatabaseSync>,
  ): unknown[] => {
    // @ts-expect-error: JetStream's checkpoints have no transaction
    const inBucket: Projection<OrderEvent, KvTransaction> = { name, checkpoints: inNats, handle };
    // @ts-expect-error: neither have those in memory
    const inMemory: Projection<OrderEvent, KvTransaction> = { name, checkpoints, handle };
    const inSqlite: Projection<OrderEvent, KvTransaction> = {
      name,
      // @ts-expect-error: this one is another transaction
      checkpoints: sqlite,
      handle,
    };
    // @ts-expect-error: nor in a call
    const once = projectOnce(store, { name, checkpoints: inNats, handle });
    const direct = runProjection(store, {
      name,
      checkpoints: inNats,
      // @ts-expect-error: there is none
      handle: { OrderPlaced: (_event, { transaction }) => transaction.set(["seats"], 1) },
    });
    return [inBucket, inMemory, inSqlite, once, direct];
  };
  assert.equal(typeof wrong, "function");
  // A place that was chosen at run time.
  const any: Projection<OrderEvent, unknown> = {
    name: "any",
    checkpoints: checkpoints as CheckpointStore<unknown>,
    handle: () => {},
  };
  await projectOnce(store, any);
});

Deno.test("types: the key of a projection is a string of the store's events", () => {
  const checkpoints = new InMemoryCheckpoints();
  type Placed = Event<"Placed", { customer: string }>;
  const good: Projection<Placed> = {
    name: "good",
    checkpoints,
    lanes: 4,
    key: ({ data }) => data.customer,
    handle: () => {},
  };
  // @ts-expect-error a key is a string
  const number: Projection<Placed> = { ...good, key: () => 5 };
  // @ts-expect-error events have no such data
  const other: Projection<Placed> = { ...good, key: ({ data }) => data.client };
  // @ts-expect-error these checkpoints have no transaction
  const transaction: Projection<Placed, KvTransaction> = { ...good, checkpoints };
  void [number, other, transaction];
});
