/**
 * A read-model cache that `EventStored` keeps fresh: states are replayed once and served from memory until the store
 * announces a newer event of the same order.
 *
 *     deno run examples/read_model_cache.ts
 *
 * With a `NatsEventBus` in place of the `LocalEventBus` the same cache follows what other processes store.
 */

import {
  type Event,
  type EventBus,
  InMemoryEventStore,
  INTERNAL_NAMESPACE,
  LocalEventBus,
  replay,
} from "@flowmade-one/aether";

type OrderEvent =
  | Event<"OrderPlaced", { total: number }>
  | Event<"OrderShipped", { tracking: string }>;

interface Order {
  readonly status: "unknown" | "placed" | "shipped";
  readonly total: number;
}

const orders = {
  initialState: (): Order => ({ status: "unknown", total: 0 }),
  evolve: (order: Order, event: OrderEvent): Order =>
    event.eventType === "OrderPlaced"
      ? { status: "placed", total: event.data.total }
      : { ...order, status: "shipped" },
};

/** Orders as they are now, from memory where they have not changed. */
class OrderCache implements AsyncDisposable {
  replays = 0;
  readonly #store: InMemoryEventStore<OrderEvent>;
  readonly #states = new Map<string, Order>();
  readonly #loading = new Map<string, symbol>();
  readonly #changes;
  readonly #following: Promise<void>;

  constructor(store: InMemoryEventStore<OrderEvent>, bus: EventBus) {
    this.#store = store;
    // A bus delivers at most once. When anything may have been missed, everything is forgotten.
    this.#changes = bus.subscribe(INTERNAL_NAMESPACE, {
      actorPrefix: "order-",
      onLoss: () => this.#forgetAll(),
    });
    this.#following = this.#changes.forEach(({ data }) => {
      if (data.namespace === store.namespace) this.#forget(data.actorId);
    });
  }

  /** Nothing that is stored after this is missed. */
  get ready(): Promise<void> {
    return this.#changes.ready;
  }

  async get(orderId: string): Promise<Order> {
    const known = this.#states.get(orderId);
    if (known) return known;
    const load = Symbol(orderId);
    this.#loading.set(orderId, load);
    this.replays++;
    const { state } = await replay(this.#store, orderId, orders);
    // What was stored while it was being replayed may not be in it: such a state is returned, and not kept.
    if (this.#loading.get(orderId) === load) {
      this.#loading.delete(orderId);
      this.#states.set(orderId, state);
    }
    return state;
  }

  #forget(orderId: string): void {
    this.#states.delete(orderId);
    this.#loading.delete(orderId);
  }

  #forgetAll(): void {
    this.#states.clear();
    this.#loading.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#changes.close();
    await this.#following;
  }
}

/** Lets the cache take what the bus has delivered: a cache is a moment behind its store. */
function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

await using bus = new LocalEventBus();
await using store = new InMemoryEventStore<OrderEvent>({ bus });
await using cache = new OrderCache(store, bus);
await cache.ready;

await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 99.99 } }], { expectedVersion: 0 });
await moment();
for (let read = 0; read < 1_000; read++) await cache.get("order-1");
console.log(`After 1,000 reads: ${(await cache.get("order-1")).status}, replayed ${cache.replays} time(s)`);

await store.append("order-1", [{ eventType: "OrderShipped", data: { tracking: "FS1" } }], {
  expectedVersion: 1,
});
await moment();
console.log(`After it shipped: ${(await cache.get("order-1")).status}, replayed ${cache.replays} time(s)`);

await store.append("order-2", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
await moment();
console.log(`After another order: ${(await cache.get("order-1")).status}, replayed ${cache.replays} time(s)`);
