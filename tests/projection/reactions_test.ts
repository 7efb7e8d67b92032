/** Handlers that return events: each is stored once, whatever comes in between. */

import assert from "node:assert/strict";
import {
  type AppendOptions,
  BackendError,
  type CheckpointStore,
  DenoKvCheckpoints,
  type Event,
  FencedError,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryStorage,
  InvalidEventError,
  JetStreamCheckpoints,
  listParked,
  type NewEvent,
  type Projection,
  projectionStatuses,
  ProjectionStoppedError,
  projectOnce,
  retryParked,
  runProjection,
  type StoredEvent,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";

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

Deno.test("a reaction with a misspelt field is the handler's failure", async () => {
  await using store = new InMemoryEventStore<Shop>();
  await place(store, 0);
  const fenced = {
    actorId: "counter",
    events: [{ eventType: "Counted" as const, data: {} }],
    unfennced: true,
  };
  const bad: Projection<Shop> = {
    name: "misspelt",
    checkpoints: new InMemoryCheckpoints(),
    failure: { retries: 0 },
    handle: () => [fenced],
  };
  await assert.rejects(projectOnce(store, bad), (error) => {
    assert(error instanceof ProjectionStoppedError);
    assert.match(String(error.cause), /unfennced/);
    return true;
  });
});

/** Three orders, and a reaction to the second that cannot be stored whole: the actor has been taken over by somebody with a token. */
async function refusing(then: "stop" | "park"): Promise<{
  readonly store: InMemoryEventStore<Shop>;
  readonly checkpoints: InMemoryCheckpoints;
  readonly projection: Projection<Shop>;
  readonly calls: string[];
}> {
  const store = new InMemoryEventStore<Shop>();
  const checkpoints = new InMemoryCheckpoints();
  for (let order = 0; order < 3; order++) await place(store, order);
  await store.takeOver("owned", 7);
  const calls: string[] = [];
  const projection: Projection<Shop> = {
    name: "refused",
    checkpoints,
    failure: { then, retries: 0 },
    handle: {
      OrderPlaced: ({ actorId, data: { item } }) => {
        calls.push(actorId);
        return [
          { actorId: `item-${item}`, events: [{ eventType: "ItemReserved", data: { order: actorId } }] },
          { actorId: item === "1" ? "owned" : "counter", events: [{ eventType: "Counted", data: {} }] },
        ];
      },
    },
  };
  return { store, checkpoints, projection, calls };
}

const isRefused = (error: unknown): boolean =>
  error instanceof ProjectionStoppedError && error.cause instanceof FencedError &&
  error.event?.actorId === "order-1";

async function reserved(store: InMemoryEventStore<Shop>): Promise<string[]> {
  const log = await Array.fromAsync(store.readAll({ eventTypes: ["ItemReserved"] }));
  return log.map(({ data }) => data.order);
}

Deno.test("an append that the store refuses stops a reaction with it in hand, and nothing is stored twice", async () => {
  const { store, checkpoints, projection, calls } = await refusing("stop");
  for (let attempt = 0; attempt < 2; attempt++) {
    await assert.rejects(projectOnce(store, projection), isRefused);
    await using run = runProjection(store, projection);
    await assert.rejects(run.finished, isRefused);
  }
  const [status] = await projectionStatuses(store, checkpoints);
  assert.equal(status!.stopped, true);
  assert.match(status!.failing!.error, /FencedError/);
  assert.deepEqual(await reserved(store), ["order-0", "order-1"]);
  assert.deepEqual(calls, ["order-0", "order-1"]);
  await store.close();
});

Deno.test("an append that the store refuses is parked as it is: a retry repeats it and does not call the handler", async () => {
  const { store, checkpoints, projection, calls } = await refusing("park");
  await projectOnce(store, projection);
  assert.deepEqual(await reserved(store), ["order-0", "order-1", "order-2"]);
  const [entry, ...others] = await listParked(projection);
  assert.deepEqual(others, []);
  assert.deepEqual([entry!.actorId, entry!.attempts, entry!.refused!.length], ["order-1", 1, 1]);
  // Later events of its actor wait behind it, and are handled when it is done with.
  await placeAgain(store, "order-1");
  await projectOnce(store, projection);
  await assert.rejects(retryParked(store, projection, entry!.position), isRefused);
  assert.deepEqual((await listParked(projection)).map(({ attempts }) => attempts), [2]);
  assert.deepEqual(calls, ["order-0", "order-1", "order-2"]);
  // What refused it is gone: the same events, with the ids that they were given when the handler was called.
  const allowing = new Proxy(store, {
    get: (target, name) => {
      if (name === "append") {
        return (actorId: string, events: readonly NewEvent<Shop>[], options: AppendOptions) =>
          target.append(actorId, events, { ...options, unfenced: true });
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await retryParked(allowing, projection, entry!.position);
  assert.deepEqual(
    (await store.getEvents("owned")).map(({ id }) => id),
    entry!.refused![0]!.events.map(({ id }) => id),
  );
  assert.deepEqual(calls, ["order-0", "order-1", "order-2", "order-1"]);
  assert.deepEqual(await listParked(projection), []);
  assert.deepEqual((await projectionStatuses(store, checkpoints))[0]!.resolved.map(({ action }) => action), [
    "retried",
  ]);
  await store.close();
});

/** Another order of the same actor, of an item that is not refused. */
async function placeAgain(store: InMemoryEventStore<Shop>, actorId: string): Promise<void> {
  await store.append(actorId, [{ eventType: "OrderPlaced", data: { item: "2" } }], { expectedVersion: 1 });
}

Deno.test("a reaction of more events than a commit takes, or than can be recorded, is the handler's failure", async () => {
  await using server = await startNatsServer();
  await using inBucket = await JetStreamCheckpoints.open(server.url);
  await using folder = await kvFolder();
  await using inKv = await DenoKvCheckpoints.open(folder.file);
  await using inMemory = new InMemoryCheckpoints();
  const text = "x".repeat(100_000);
  const cases: [CheckpointStore<unknown>, number, string, string][] = [
    [inMemory, 2000, "", "CommitTooLargeError"],
    [inKv, 2, text, "HandlerError"],
    [inBucket, 6, text, "HandlerError"],
  ];
  for (const [checkpoints, count, order, name] of cases) {
    await using store = new InMemoryEventStore<Shop>();
    await place(store, 0);
    const large: Projection<Shop, unknown> = {
      name: "large",
      checkpoints,
      failure: { retries: 0, then: "park" },
      handle: {
        OrderPlaced: () => [{
          actorId: "item",
          events: Array.from({ length: count }, () => ({ eventType: "ItemReserved", data: { order } })),
        }],
      },
    };
    await projectOnce(store, large);
    const [entry] = await listParked(large);
    assert.match(entry!.error, new RegExp(`^${name}: `));
    assert.deepEqual(await store.getEvents("item"), []);
  }
});
