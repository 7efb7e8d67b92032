/**
 * Commits that the store takes late. A command of such a commit is not refused when it is called again, as long as the commit
 * can still be stored: else its caller would be told that nothing happened, and then it happens.
 */

import assert from "node:assert/strict";
import {
  ActorClient,
  type ActorCluster,
  ActorHost,
  type ActorHostOptions,
  type ActorReference,
  type Decider,
  defineActor,
  type Event,
} from "@flowmade-one/aether/actor";
import { type Bucket, Coordinator, InMemoryBucket } from "@flowmade-one/aether/cluster";
import {
  type AppendOptions,
  BackendError,
  FencedError,
  InMemoryEventStore,
  type NewEvent,
  OutcomeUnknownError,
  type StoredEvent,
} from "@flowmade-one/aether/memory";
import { connect } from "@nats-io/transport-node";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";

type Moved = Event<"Added" | "Taken", null>;

class Empty extends Error {}

const decider: Decider<number, "add" | "take", Moved> = {
  initialState: () => 0,
  evolve: (count, { eventType }) => count + (eventType === "Added" ? 1 : -1),
  decide(command, count): readonly NewEvent<Moved>[] {
    if (command === "take" && count === 0) throw new Empty();
    return [{ eventType: command === "add" ? "Added" : "Taken", data: null }];
  },
};
const shelf = defineActor("shelf", { decider, queries: { count: (count) => count }, errors: { Empty } });

type Append = () => Promise<StoredEvent<Moved>[]>;

/** A store that one process uses: while it is cut off, what it writes is on its way, and nothing comes back. */
class Line {
  /** The appends that are on their way, in the order in which they were sent. */
  readonly late: { readonly actorId: string; readonly send: Append }[] = [];
  isCut = false;
  isReading = false;
  /** Reading waits for it. */
  read: Promise<void> = Promise.resolve();
  readonly store: InMemoryEventStore<Moved>;

  constructor(inner: InMemoryEventStore<Moved>) {
    const append = (
      actorId: string,
      events: readonly NewEvent<Moved>[],
      options: AppendOptions,
    ): ReturnType<Append> => {
      const send: Append = () => inner.append(actorId, events, options);
      if (!this.isCut) return send();
      this.late.push({ actorId, send });
      return Promise.reject(new OutcomeUnknownError([], 0));
    };
    const takeOver = (actorId: string, fencingToken: number): Promise<void> =>
      this.isCut ? Promise.reject(new OutcomeUnknownError([], 0)) : inner.takeOver(actorId, fencingToken);
    const readEvents = async function* (
      this: Line,
      ...asked: Parameters<InMemoryEventStore<Moved>["readEvents"]>
    ): AsyncIterable<StoredEvent<Moved>> {
      this.isReading = true;
      await this.read;
      this.isReading = false;
      yield* inner.readEvents(...asked);
    }.bind(this);
    const replaced = new Map<string | symbol, unknown>(Object.entries({ append, takeOver, readEvents }));
    this.store = new Proxy(inner, {
      get: (target, key) => {
        const value = replaced.get(key) ?? Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** The first append of an actor arrives after all. */
  async arrive(actorId: string): Promise<unknown> {
    return await this.late.find((append) => append.actorId === actorId)!.send().catch((error) => error);
  }
}

/** Adds and takes in one commit, of which nothing is learned. */
async function addAndTake(actor: ActorReference<number, "add" | "take", Moved, unknown>): Promise<void> {
  const both = [
    actor.call("add", { id: "add", timeout: 300 }),
    actor.call("take", { id: "take", timeout: 300 }),
  ];
  for (const outcome of await Promise.allSettled(both)) {
    assert.ok(
      outcome.status === "rejected" && outcome.reason instanceof OutcomeUnknownError,
      Deno.inspect(outcome),
    );
  }
}

/** A host that is cut off from its store, with a commit that its callers gave up. */
async function cutOff(options: Partial<ActorHostOptions<Moved>> = {}): Promise<
  AsyncDisposable & {
    readonly log: InMemoryEventStore<Moved>;
    readonly line: Line;
    readonly host: ActorHost;
    readonly actor: ActorReference<number, "add" | "take", Moved, { count: number }>;
  }
> {
  const log = new InMemoryEventStore<Moved>();
  const line = new Line(log);
  const host = await ActorHost.start({ store: line.store, actors: [shelf], onWarning: () => {}, ...options });
  const actor = host.client.get(shelf, "shelf-1");
  line.isCut = true;
  await addAndTake(actor);
  return {
    log,
    line,
    host,
    actor,
    async [Symbol.asyncDispose](): Promise<void> {
      await host.close();
      await log.close();
    },
  };
}

Deno.test("a commit that its callers gave up is settled before one of its commands is decided alone", async () => {
  await using place = await cutOff();
  const { log, line, actor } = place;
  const tries = line.late.length;
  await until("the commit was sent for the last time", () => line.late.length > tries);
  const again = actor.call("take", { id: "take" });
  setTimeout(() => line.isCut = false, 100);
  // Alone it would be refused, and then the commit would come and take it.
  assert.deepEqual(await again, { version: 2, state: 0 });
  await line.arrive("shelf-1");
  assert.deepEqual((await log.getEvents("shelf-1")).map(({ eventType }) => eventType), ["Added", "Taken"]);
});

Deno.test("a call that waits for a commit that its callers gave up ends at its deadline, and the host closes", async () => {
  await using place = await cutOff();
  const { line, host, actor } = place;
  await assert.rejects(actor.call("take", { id: "take", timeout: 100 }), { name: "ActorUnavailableError" });
  // Other actors of the host are not concerned.
  line.isCut = false;
  assert.equal((await host.client.get(shelf, "shelf-2").call("add")).version, 1);
});

Deno.test("a query is answered before a commit that its callers gave up is settled, a command with what came of it", async () => {
  await using place = await cutOff();
  const { line, actor } = place;
  assert.equal(await actor.query("count"), 0);
  line.isCut = false;
  // From what the query was answered with it would be refused.
  assert.deepEqual(await actor.call("take", { id: "take" }), { version: 2, state: 0 });
});

Deno.test("an actor is not released while a commit of it may still be stored, and is as soon as that is known", async () => {
  await using place = await cutOff({ idleTimeout: 40, maxActive: 1 });
  const { log, line, host, actor } = place;
  // It is idle, and one too many.
  for (const id of ["shelf-2", "shelf-3"]) await host.client.get(shelf, id).query("count");
  const tries = line.late.length;
  await until("the commit is sent again although no call waits for it", () => line.late.length > tries + 1);
  const again = actor.call("take", { id: "take" });
  setTimeout(() => line.isCut = false, 50);
  // A new instance would not know of the commit, and would refuse the command.
  assert.deepEqual(await again, { version: 2, state: 0 });
  await until("the actors are released", () => host.active === 0);

  line.isCut = true;
  await assert.rejects(actor.call("add", { timeout: 50 }), OutcomeUnknownError);
  line.isCut = false;
  await until("the actor is released without a further call", () => host.active === 0);
  await line.arrive("shelf-1");
  assert.deepEqual((await log.getEvents("shelf-1")).map(({ version }) => version), [1, 2, 3]);
});

/** A bucket that one node may be cut off from. */
function cuttable(bucket: InMemoryBucket): { readonly bucket: Bucket; isCut: boolean } {
  const cut = {
    isCut: false,
    bucket: new Proxy<Bucket>(bucket, {
      get(target, key): unknown {
        const value = Reflect.get(target, key, target);
        if (typeof value !== "function") return value;
        const isWatch = key === "watch";
        return (...args: unknown[]) =>
          cut.isCut && !isWatch
            ? Promise.reject(new BackendError("put", "no answer", { reason: "unreachable" }))
            : value.apply(target, args);
      },
    }),
  };
  return cut;
}

Deno.test("a command called again at a new owner is not refused while the commit of the old owner can be stored", async () => {
  await using server = await startNatsServer();
  await using log = new InMemoryEventStore<Moved>();
  const members = new InMemoryBucket();
  const settings = { shardCount: 4, ttl: 2_000, maxClockSkew: 0, renewEvery: 100 };
  const join = async (
    name: string,
    bucket: Bucket,
  ): Promise<{ cluster: ActorCluster; end(): Promise<void> }> => {
    const coordinator = await Coordinator.join(bucket, { ...settings, name, onWarning: () => {} });
    const connection = await connect({ servers: server.url });
    return {
      cluster: { coordinator, connection },
      end: async (): Promise<void> => {
        await coordinator.leave();
        await connection.close();
      },
    };
  };
  const cut = cuttable(members);
  const line = new Line(log);
  const old = await join("old", cut.bucket);
  const oldHost = await ActorHost.start({
    store: line.store,
    actors: [shelf],
    cluster: old.cluster,
    onWarning: () => {},
  });
  await until("the first host has all shards", () => [...old.cluster.coordinator.shards].length === 4);
  const next = await join("next", members);
  next.cluster.coordinator.drain();
  // It may have been given shards before it was seen to drain: calls that meet a move have less time.
  await until("the first host has all shards, and the second one none", () => {
    const isDraining = old.cluster.coordinator.nodes().some((node) => node.name === "next" && node.draining);
    const [has, none] = [old, next].map(({ cluster }) => [...cluster.coordinator.shards].length);
    return isDraining && has === 4 && none === 0;
  });
  const nextLine = new Line(log);
  const nextHost = await ActorHost.start({
    store: nextLine.store,
    actors: [shelf],
    cluster: next.cluster,
    onWarning: () => {},
  });

  const [actor, other, last, ...more] = [1, 2, 3, 5, 6].map((key) =>
    nextHost.client.get(shelf, `shelf-${key}`)
  );
  const all = [actor!, other!, last!, ...more];
  await Promise.all(all.map((each) => each.query("count")));
  line.isCut = true;
  await Promise.all(all.map(addAndTake));
  cut.isCut = true;
  next.cluster.coordinator.drain(false);
  await until(
    "the second host has the actor",
    () => next.cluster.coordinator.shardFor("shelf-1") !== undefined,
  );

  // The shelf is empty: alone the command is refused.
  await assert.rejects(actor!.call("take", { id: "take" }), Empty);
  assert.ok(await line.arrive("shelf-1") instanceof FencedError);
  assert.deepEqual(await log.getEvents("shelf-1"), []);

  // The same if the caller has given up before, while the store did not answer the new owner either.
  nextLine.isCut = true;
  await assert.rejects(other!.call("take", { id: "take", timeout: 100 }));
  await assert.rejects(other!.call("take"), Empty);
  nextLine.isCut = false;
  await assert.rejects(other!.call("take", { id: "take" }), Empty);
  assert.ok(await line.arrive("shelf-2") instanceof FencedError);

  // The same if it comes while the actor is loaded for another call.
  const loading = Promise.withResolvers<void>();
  nextLine.read = loading.promise;
  const query = last!.query("count");
  await until("the actor is being loaded", () => nextLine.isReading);
  const again = last!.call("take", { id: "take" });
  setTimeout(loading.resolve, 50);
  assert.equal(await query, 0);
  await assert.rejects(again, Empty);
  assert.ok(await line.arrive("shelf-3") instanceof FencedError);

  // The same through a client that does not know of the first try.
  {
    await using client = await ActorClient.connect(server.url, { actors: [shelf] });
    await assert.rejects(client.get(shelf, "shelf-5").call("take", { id: "take" }), Empty);
    assert.ok(await line.arrive("shelf-5") instanceof FencedError);
    assert.deepEqual(await client.get(shelf, "shelf-6").call("add", { id: "add" }), { version: 1, state: 1 });
    assert.ok(await line.arrive("shelf-6") instanceof FencedError);
  }

  // What cannot have been called before is refused without a write: it leaves nothing in the store.
  await assert.rejects(nextHost.client.get(shelf, "shelf-4").call("take"), Empty);
  await log.append("shelf-4", [{ eventType: "Added", data: null }], { expectedVersion: 0 });

  cut.isCut = line.isCut = false;
  await nextHost.close();
  await oldHost.close();
  await Promise.all([next.end(), old.end()]);
});
