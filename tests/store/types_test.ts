/**
 * The types of stores and events: what a user may write, and, by `@ts-expect-error`, what the compiler must refuse.
 * `deno check` is the test; the functions are run where they can be.
 */

import assert from "node:assert/strict";
import {
  copyEvents,
  type Decider,
  type Event,
  type EventInput,
  type EventStore,
  execute,
  executeAll,
  InMemoryEventStore,
  type NewEvent,
  replay,
  type StoredEvent,
  type View,
} from "@flowmade-one/aether";

/** Data typed by an interface, which has no index signature. */
interface Placed {
  readonly total: number;
  readonly items: number;
}
type OrderPlaced = Event<"OrderPlaced", Placed>;
type OrderShipped = Event<"OrderShipped", { readonly carrier: string }>;
type OrderEvent = OrderPlaced | OrderShipped;

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
function typed<_ extends true>(): void {}

const placed: NewEvent<OrderEvent> = { eventType: "OrderPlaced", data: { total: 5, items: 1 } };
const shipped: NewEvent<OrderEvent> = { eventType: "OrderShipped", data: { carrier: "FastShip" } };

async function orders(): Promise<InMemoryEventStore<OrderEvent>> {
  const store = new InMemoryEventStore<OrderEvent>();
  await store.append("order", [placed, shipped], { expectedVersion: 0 });
  return store;
}

function describe(event: StoredEvent<OrderEvent>): string {
  switch (event.eventType) {
    case "OrderPlaced":
      return `${event.data.items} items`;
    case "OrderShipped":
      return event.data.carrier;
  }
}

Deno.test("types: unions narrow on eventType after every read", async () => {
  await using store = await orders();
  assert.deepEqual((await store.getEvents("order")).map(describe), ["1 items", "FastShip"]);
  for await (const event of store.readEvents("order")) assert.equal(typeof describe(event), "string");
  for await (const event of store.readAll()) {
    if (event.eventType === "OrderPlaced") typed<Same<typeof event.data, Placed>>();
    // @ts-expect-error: it is not narrowed here
    event.data.carrier;
  }
});

Deno.test("types: a filter on eventTypes narrows what is delivered", async () => {
  await using store = await orders();
  for await (const event of store.readAll({ eventTypes: ["OrderShipped"] })) {
    typed<Same<typeof event.eventType, "OrderShipped">>();
    assert.equal(event.data.carrier, "FastShip");
    // @ts-expect-error: a shipped order has no total
    assert.equal(event.data.total, undefined);
  }
  for await (const event of store.subscribe({ eventTypes: ["OrderPlaced"] })) {
    assert.equal(event.data.total, 5);
    typed<Same<typeof event.position, string>>();
    break;
  }
  // @ts-expect-error: no such type of event
  for await (const _ of store.readAll({ eventTypes: ["OrderPlcaed"] }));
  const untyped = new InMemoryEventStore();
  await using _ = untyped;
  await untyped.append("x", [{ eventType: "A", data: 1 }], { expectedVersion: 0 });
  for await (const event of untyped.readAll({ eventTypes: ["A", "B"] })) {
    typed<Same<typeof event.eventType, "A" | "B">>();
    typed<Same<typeof event.data, unknown>>();
  }
});

Deno.test("types: a store of some events is not a store of any", async () => {
  await using store = await orders();
  const contract: EventStore<OrderEvent> = store;
  // @ts-expect-error: one could save any event into it
  const any: EventStore = store;
  assert.equal(contract as unknown, any);
  // @ts-expect-error: one could save other events into it
  const other: EventStore<OrderPlaced> = store;
  assert.equal(other as unknown, store);
});

/** A helper that takes any store is generic in the events. */
async function lastOf<E extends Event>(
  store: EventStore<E>,
  actorId: string,
): Promise<StoredEvent<E> | undefined> {
  return (await store.getEvents(actorId)).at(-1);
}

/** So is one that copies. */
async function copyAll<E extends Event>(
  from: EventStore<E>,
  to: EventStore<E>,
  actorId: string,
): Promise<number> {
  const events = await from.getEvents(actorId);
  const saved = await to.saveEvents(events as readonly EventInput<E>[]);
  return saved.length;
}

Deno.test("types: helpers are generic over stores", async () => {
  await using store = await orders();
  await using copy = new InMemoryEventStore<OrderEvent>();
  const last = await lastOf(store, "order");
  if (last?.eventType === "OrderShipped") assert.equal(last.data.carrier, "FastShip");
  assert.equal(await copyAll(store, copy, "order"), 2);
  await using numbers = new InMemoryEventStore<Event<"Counted", number>>();
  // @ts-expect-error: they hold other events
  await assert.rejects(copyAll(store, numbers, 5));
  assert.equal((await copyEvents(store, new InMemoryEventStore<OrderEvent>())).copied, 2);
  // @ts-expect-error: they hold other events
  assert.equal((await copyEvents(store, numbers)).copied, 2);
});

Deno.test("types: what is saved must be an event of the store", async () => {
  await using store = await orders();
  const at = { expectedVersion: "any" } as const;
  const interfaced: Placed = { total: 1, items: 1 };
  await store.append("typed", [{ eventType: "OrderPlaced", data: interfaced }], at);
  await store.append("typed", [{ eventType: "OrderPlaced", data: interfaced, timestamp: new Date() }], at);
  await store.saveEvent({ eventType: "OrderShipped", data: { carrier: "x" }, actorId: "typed", version: 9 });
  // @ts-expect-error: no such type of event
  await store.append("typed", [{ eventType: "OrderLost", data: interfaced }], at);
  // @ts-expect-error: the data of another type
  await store.append("typed", [{ eventType: "OrderShipped", data: interfaced }], at);
  // @ts-expect-error: a field is missing
  await store.append("typed", [{ eventType: "OrderPlaced", data: { total: 1 } }], at);
  // @ts-expect-error: append needs to know what it expects
  await assert.rejects(store.append("typed", [placed]));
  const event = { eventType: "OrderPlaced", data: interfaced } as const;
  // @ts-expect-error: an unknown field
  await assert.rejects(store.append("typed", [{ ...event, type: "x" }], at));
  // @ts-expect-error: saveEvent needs a version
  await assert.rejects(store.saveEvent({ eventType: "OrderPlaced", data: interfaced, actorId: "typed" }));
  // @ts-expect-error: metadata are strings
  await assert.rejects(store.append("typed", [{ ...placed, metadata: { attempt: 3 } }], at));
  // @ts-expect-error: neither a version nor "any"
  await assert.rejects(store.append("typed", [placed], { expectedVersion: "latest" }));
});

Deno.test("types: what was read cannot be changed, and can be saved elsewhere", async () => {
  await using store = await orders();
  const [event] = await store.getEvents("order");
  // @ts-expect-error: it is read-only
  assert.throws(() => event!.version = 5, TypeError);
  await using copy = new InMemoryEventStore<OrderEvent>();
  await copy.saveEvent(event!);
  await using again = new InMemoryEventStore<OrderEvent>();
  await again.append("order", await store.getEvents("order"), { expectedVersion: 0 });
});

Deno.test("types: a decider infers its state, commands and events", async () => {
  await using store = await orders();
  const decider: Decider<{ items: number }, "ship", OrderEvent> = {
    initialState: () => ({ items: 0 }),
    evolve: (state, event) => event.eventType === "OrderPlaced" ? { items: event.data.items } : state,
    decide: () => [{ eventType: "OrderShipped", data: { carrier: "x" } }],
  };
  const { state } = await replay(store, "order", decider);
  typed<Same<typeof state, { items: number }>>();
  const { events } = await execute(store, "order", decider, "ship");
  typed<Same<typeof events, readonly StoredEvent<OrderEvent>[]>>();
  // @ts-expect-error: no such command
  await execute(store, "order", decider, "return");
  await using numbers = new InMemoryEventStore<Event<"Counted", number>>();
  // @ts-expect-error: the store holds other events
  await replay(numbers, "order", decider);
});

type ShowEvent = Event<"ShowScheduled", { readonly seats: number }>;
const show: Decider<number, "schedule", ShowEvent> = {
  initialState: () => 0,
  evolve: (_, { data }) => data.seats,
  decide: () => [{ eventType: "ShowScheduled", data: { seats: 5 } }],
};

/** A helper that executes anything is generic in the events. */
async function run<S, C, E extends Event>(
  store: EventStore<E>,
  decider: Decider<S, C, E>,
  command: C,
): Promise<S> {
  await execute(store, "x", decider, command);
  return (await replay(store, "x", decider)).state;
}

Deno.test("types: a store of several kinds of actors takes the deciders of each", async () => {
  await using store = new InMemoryEventStore<OrderEvent | ShowEvent>();
  const { state, events } = await execute(store, "show", show, "schedule");
  typed<Same<typeof state, number>>();
  typed<Same<typeof events, readonly StoredEvent<ShowEvent>[]>>();
  assert.equal(events[0]?.data.seats, 5);
  assert.equal((await replay(store, "show", show)).state, 5);
  const contract: EventStore<OrderEvent | ShowEvent> = store;
  await execute(contract, "show", show, "schedule");
  await using own = new InMemoryEventStore<ShowEvent>();
  assert.equal(await run(own, show, "schedule"), 5);
  await using untyped = new InMemoryEventStore();
  await execute(untyped, "show", show, "schedule");
  await replay(untyped, "show", show);
});

Deno.test("types: a store that cannot hold a decider's events is refused", async () => {
  await using store = await orders();
  // @ts-expect-error: the store holds orders
  await execute(store, "show", show, "schedule");
  // @ts-expect-error: the store holds orders
  await replay(store, "order", show);
  const both: Decider<number, "schedule", ShowEvent | OrderEvent> = {
    initialState: () => 0,
    evolve: (count) => count + 1,
    decide: show.decide,
  };
  // @ts-expect-error: the store does not hold shows
  await execute(store, "order", both, "schedule");
  // @ts-expect-error: the store does not hold shows
  await replay(store, "order", both);
  // @ts-expect-error: no such command
  await execute(new InMemoryEventStore<ShowEvent | OrderEvent>(), "show", show, "cancel");
});

Deno.test("types: a view without types of its own takes the events of the store", async () => {
  await using store = await orders();
  const { state } = await replay(store, "order", {
    initialState: () => 0,
    evolve: (sum: number, event) => event.eventType === "OrderPlaced" ? sum + event.data.total : sum,
  });
  assert.equal(state, 5);
  const any: View<number, Event> = { initialState: () => 0, evolve: (count) => count + 1 };
  assert.equal((await replay(store, "order", any)).state, 2);
});

Deno.test("types: executeAll() gives states and takes events by the names of the actors", async () => {
  await using store = new InMemoryEventStore<OrderEvent | ShowEvent>();
  const placing: View<string, OrderEvent> = {
    initialState: () => "new",
    evolve: (_, { eventType }) => eventType,
  };
  const result = await executeAll(store, { show: [show, "show"], order: [placing, "order"] }, (states) => {
    typed<Same<typeof states, { readonly show: number; readonly order: string }>>();
    return { order: [placed] };
  });
  typed<Same<typeof result.order.state, string>>();
  typed<Same<typeof result.show.events, readonly StoredEvent<ShowEvent>[]>>();
  await using shows = new InMemoryEventStore<ShowEvent>();
  // @ts-expect-error: the store holds no orders
  await executeAll(shows, { order: [placing, "order"] }, () => ({}));
  // @ts-expect-error: an order's events are not a show's
  await executeAll(store, { show: [show, "show-2"] }, () => ({ show: [placed] }));
});

Deno.test("types: event definitions follow the events of the store", async () => {
  await using store = new InMemoryEventStore<OrderEvent>({
    events: { OrderPlaced: { version: 2, upcast: [(data: { total: number }) => ({ ...data, items: 0 })] } },
  });
  assert.equal(await store.getLatestVersion("order"), 0);
  // @ts-expect-error: no such type of event
  await using _ = new InMemoryEventStore<OrderEvent>({ events: { OrderLost: {} } });
});
