/**
 * Commits that the store takes late. A command of such a commit is not refused when it is called again, as long as the commit
 * can still be stored: else its caller would be told that nothing happened, and then it happens.
 */

import assert from "node:assert/strict";
import {
  type ActorCluster,
  ActorHost,
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
const shelf = defineActor("shelf", { decider, errors: { Empty } });

type Append = () => Promise<StoredEvent<Moved>[]>;

/** A store that one process uses: while it is cut off, what it appends is on its way, and nothing comes back. */
class Line {
  /** What is on its way, in the order in which it was sent. */
  readonly late: Append[] = [];
  isCut = false;
  readonly store: InMemoryEventStore<Moved>;

  constructor(inner: InMemoryEventStore<Moved>) {
    const append = (
      actorId: string,
      events: readonly NewEvent<Moved>[],
      options: AppendOptions,
    ): ReturnType<Append> => {
      const send: Append = () => inner.append(actorId, events, options);
      if (!this.isCut) return send();
      this.late.push(send);
      return Promise.reject(new OutcomeUnknownError([], 0));
    };
    this.store = new Proxy(inner, {
      get: (target, key) => {
        if (key === "append") return append;
        const value = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** The first append arrives after all. */
  async arrive(): Promise<unknown> {
    return await this.late[0]!().catch((error) => error);
  }
}

/** Adds and takes in one commit, of which nothing is learned. */
async function addAndTake(actor: ActorReference<number, "add" | "take", Moved, unknown>): Promise<void> {
  const both = [
    actor.call("add", { id: "add", timeout: 300 }),
    actor.call("take", { id: "take", timeout: 300 }),
  ];
  for (const outcome of await Promise.allSettled(both)) {
    assert.ok(outcome.status === "rejected" && outcome.reason instanceof OutcomeUnknownError);
  }
}

Deno.test("a commit that its callers gave up is settled before one of its commands is decided alone", async () => {
  await using log = new InMemoryEventStore<Moved>();
  const line = new Line(log);
  await using host = await ActorHost.start({ store: line.store, actors: [shelf] });
  const actor = host.client.get(shelf, "shelf-1");
  line.isCut = true;
  await addAndTake(actor);
  const tries = line.late.length;
  await until("the commit was sent for the last time", () => line.late.length > tries);
  const again = actor.call("take", { id: "take" });
  setTimeout(() => line.isCut = false, 100);
  // Alone it would be refused, and then the commit would come and take it.
  assert.deepEqual(await again, { version: 2, state: 0 });
  await line.arrive();
  assert.deepEqual((await log.getEvents("shelf-1")).map(({ eventType }) => eventType), ["Added", "Taken"]);
});

Deno.test("a call that waits for a commit that its callers gave up ends at its deadline, and the host closes", async () => {
  await using log = new InMemoryEventStore<Moved>();
  const line = new Line(log);
  await using host = await ActorHost.start({ store: line.store, actors: [shelf] });
  const actor = host.client.get(shelf, "shelf-1");
  line.isCut = true;
  await addAndTake(actor);
  await assert.rejects(actor.call("take", { id: "take", timeout: 100 }), { name: "ActorUnavailableError" });
  // Other actors of the host are not concerned.
  line.isCut = false;
  assert.equal((await host.client.get(shelf, "shelf-2").call("add")).version, 1);
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
  const oldHost = await ActorHost.start({ store: line.store, actors: [shelf], cluster: old.cluster });
  await until("the first host has all shards", () => [...old.cluster.coordinator.shards].length === 4);
  const next = await join("next", members);
  next.cluster.coordinator.drain();
  const nextHost = await ActorHost.start({ store: log, actors: [shelf], cluster: next.cluster });

  line.isCut = true;
  await addAndTake(nextHost.client.get(shelf, "shelf-1"));
  cut.isCut = true;
  next.cluster.coordinator.drain(false);
  await until(
    "the second host has the actor",
    () => next.cluster.coordinator.shardFor("shelf-1") !== undefined,
  );

  // The shelf is empty: alone the command is refused.
  await assert.rejects(nextHost.client.get(shelf, "shelf-1").call("take", { id: "take" }), Empty);
  assert.ok(await line.arrive() instanceof FencedError);
  assert.deepEqual(await log.getEvents("shelf-1"), []);

  // What was never called before is refused without a write: an actor that is only asked leaves nothing in the store.
  await assert.rejects(nextHost.client.get(shelf, "shelf-2").call("take", { id: "other" }), Empty);
  await log.append("shelf-2", [{ eventType: "Added", data: null }], { expectedVersion: 0 });

  cut.isCut = line.isCut = false;
  await nextHost.close();
  await oldHost.close();
  await Promise.all([next.end(), old.end()]);
});
