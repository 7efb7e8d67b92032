/** Handlers that return events: each is stored once, whatever comes in between. */

import assert from "node:assert/strict";
import {
  type AppendOptions,
  BackendError,
  type Event,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryStorage,
  InvalidEventError,
  type NewEvent,
  type Projection,
  ProjectionStoppedError,
  projectOnce,
  runProjection,
  type StoredEvent,
} from "../../mod.ts";

type Shop =
  | Event<"OrderPlaced", { readonly item: string }>
  | Event<"ItemReserved", { readonly order: string }>
  | Event<"Counted", Record<string, never>>;

/** Reserves what was ordered. */
function reserving(checkpoints: InMemoryCheckpoints): Projection<Shop> {
  return {
    name: "reserving",
    checkpoints,
    handle: {
      OrderPlaced: ({ actorId, data }) => [
        { actorId: `item-${data.item}`, events: [{ eventType: "ItemReserved", data: { order: actorId } }] },
        { actorId: "counter", events: [{ eventType: "Counted", data: {} }] },
      ],
    },
  };
}

async function place(store: InMemoryEventStore<Shop>, order: number): Promise<StoredEvent<Shop>> {
  const event: NewEvent<Shop> = {
    eventType: "OrderPlaced",
    data: { item: String(order % 3) },
    ...(order % 2 === 0 && { metadata: { correlationId: `request-${order}` } }),
  };
  return (await store.append(`order-${order}`, [event], { expectedVersion: 0 }))[0]!;
}

async function assertReservedOnce(store: InMemoryEventStore<Shop>, orders: number): Promise<void> {
  const log = await Array.fromAsync(store.readAll());
  const reserved = log.filter(({ eventType }) => eventType === "ItemReserved") as Extract<
    StoredEvent<Shop>,
    { eventType: "ItemReserved" }
  >[];
  assert.deepEqual(
    reserved.map(({ data }) => data.order).sort(),
    Array.from({ length: orders }, (_, order) => `order-${order}`).sort(),
  );
  assert.equal(
    log.filter(({ eventType, metadata }) => eventType === "Counted" && metadata?.causationId).length,
    orders,
  );
}

Deno.test("a reaction's events carry what caused them", async () => {
  await using store = new InMemoryEventStore<Shop>();
  await using checkpoints = new InMemoryCheckpoints();
  const causes = [await place(store, 0), await place(store, 1)];
  await projectOnce(store, reserving(checkpoints));
  await assertReservedOnce(store, 2);
  for (const [index, { id }] of causes.entries()) {
    const [reserved] = await store.getEvents(`item-${index}`);
    assert.deepEqual({ ...reserved!.metadata }, {
      causationId: id,
      correlationId: index === 0 ? "request-0" : id,
    });
  }
});

/** A store whose appends break down now and then, before or after they are done, and let others come in between. */
class UnreliableStore extends InMemoryEventStore<Shop> {
  readonly #random: () => number;
  readonly others: InMemoryEventStore<Shop>;
  isReliable = true;

  constructor(storage: InMemoryStorage, seed: number) {
    super({ storage });
    this.others = new InMemoryEventStore<Shop>({ storage });
    let state = seed;
    this.#random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  }

  override async append(
    actorId: string,
    events: readonly NewEvent<Shop>[],
    options: AppendOptions,
  ): Promise<StoredEvent<Shop>[]> {
    if (this.isReliable) return await super.append(actorId, events, options);
    if (this.#random() < 0.3) throw new BackendError("append", "broke down before");
    if (this.#random() < 0.3) {
      await this.others.append(actorId, [{ eventType: "Counted", data: {} }], { expectedVersion: "any" });
    }
    const stored = await super.append(actorId, events, options);
    if (this.#random() < 0.3) {
      if (this.#random() < 0.5) {
        await this.others.append(actorId, [{ eventType: "Counted", data: {} }], { expectedVersion: "any" });
      }
      throw new BackendError("append", "broke down after");
    }
    return stored;
  }
}

Deno.test("a reaction that breaks down anywhere, while others write to the same actors, stores its events once", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    await using store = new UnreliableStore(new InMemoryStorage(), seed * 7919);
    await using checkpoints = new InMemoryCheckpoints();
    for (let order = 0; order < 12; order++) await place(store, order);
    store.isReliable = false;
    // Each call is a worker of its own, which knows the checkpoint alone.
    for (let call = 0;; call++) {
      assert.ok(call < 1000);
      try {
        const { caughtUp } = await projectOnce(store, reserving(checkpoints), { budgetMs: 60_000 });
        if (caughtUp) break;
      } catch (error) {
        if (!(error instanceof BackendError)) throw error;
      }
    }
    await assertReservedOnce(store, 12);
    await store.others.close();
  }
});

Deno.test("overlapping workers of a reaction store its events once", async () => {
  await using store = new InMemoryEventStore<Shop>();
  await using checkpoints = new InMemoryCheckpoints();
  for (let order = 0; order < 30; order++) await place(store, order);
  await using run = runProjection(store, reserving(checkpoints));
  await Promise.all([
    ...Array.from({ length: 4 }, () => projectOnce(store, reserving(checkpoints), { budgetMs: 60_000 })),
    run.waitFor((await store.getLastPosition())!),
  ]);
  await run.close();
  await assertReservedOnce(store, 30);
});

Deno.test("a reaction that could not be stored is the handler's failure", async () => {
  await using store = new InMemoryEventStore<Shop>();
  await using checkpoints = new InMemoryCheckpoints();
  await place(store, 0);
  const bad: Projection<Shop> = {
    name: "bad",
    checkpoints,
    failure: { retries: 0 },
    handle: () => [{ actorId: "", events: [{ eventType: "Counted", data: {} }] }],
  };
  await assert.rejects(
    projectOnce(store, bad),
    (error) => error instanceof ProjectionStoppedError && error.cause instanceof InvalidEventError,
  );
});
