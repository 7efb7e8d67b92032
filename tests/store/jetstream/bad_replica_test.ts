/** One of three servers has a damaged copy of the stream: reads are right, or they report damage, whichever server answers. */

import assert from "node:assert/strict";
import {
  DamagedHistoryError,
  JetStreamEventStore,
  OutcomeUnknownError,
  type StoredEvent,
  VersionConflictError,
  type Warning,
} from "@flowmade-one/aether/jetstream";
import { startNatsCluster } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { isAcknowledgement, isCommit } from "./chaos/faults.ts";
import { makeLeader, replica, storedMessages } from "./chaos/replicas.ts";
import { flip, streamFiles } from "./stream_files.ts";
import { client, until } from "./support.ts";

/** How often each read is repeated: which server answers is chosen at random. */
const ROUNDS = 10;
/** The namespace whose index is kept, and the one whose index is deleted, so that the server makes it again. */
const [KEPT, REBUILT] = ["kept", "rebuilt"];
const ITEMS = ["item.1", "item.2", "item.3", "item.4", "item.5"];
const ALL = [...Array<string>(5).fill("order"), "single", ...ITEMS, "last"];
const DAMAGED = ["order-5-", "single-", "item.3-"];

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

async function actors(events: AsyncIterable<{ readonly actorId: string }>): Promise<string[]> {
  return (await Array.fromAsync(events)).map(({ actorId }) => actorId);
}

/** The actors of a subscription's first events. */
async function first(events: AsyncIterable<{ readonly actorId: string }>, count: number): Promise<string[]> {
  const found: string[] = [];
  for await (const { actorId } of events) if (found.push(actorId) === count) break;
  return found;
}

/** Every read of a store with what it must return. */
function readsOf(store: JetStreamEventStore): Record<string, () => Promise<void>> {
  const versions = async (actorId: string): Promise<number[]> =>
    (await store.getEvents(actorId)).map(({ version }) => version);
  return {
    "getEvents": async () => assert.deepEqual(await versions("order"), [1, 2, 3, 4, 5]),
    "getEvents of a single event": async () => assert.deepEqual(await versions("single"), [1]),
    "getLatestVersion": async () => assert.equal(await store.getLatestVersion("order"), 5),
    "readAll below a prefix": async () =>
      assert.deepEqual(await actors(store.readAll({ actorPrefix: "item." })), ITEMS),
    "readAll of an actor": async () =>
      assert.deepEqual(await actors(store.readAll({ actorId: "single" })), ["single"]),
    "listActors": async () =>
      assert.deepEqual((await actors(store.listActors())).sort(), [...new Set(ALL)].sort()),
    "listActors below a prefix": async () =>
      assert.deepEqual((await actors(store.listActors({ actorPrefix: "item." }))).sort(), ITEMS),
    "subscribe below a prefix": async () =>
      assert.deepEqual(await first(store.subscribe({ actorPrefix: "item." }), 5), ITEMS),
    "subscribe": async () => assert.deepEqual(await first(store.subscribe(), ALL.length), ALL),
    "readAll": async () => assert.deepEqual(await actors(store.readAll()), ALL),
    "readAll backward": async () =>
      assert.deepEqual(await actors(store.readAll({ direction: "backward" })), ALL.toReversed()),
    "verify": async () => {
      const { events, faults } = await store.verify();
      assert.deepEqual([events, faults], [ALL.length, []]);
    },
  };
}

Deno.test("one damaged replica of three", async (test) => {
  await using cluster = await startNatsCluster();
  const [good, bad] = [cluster.servers[0]!, cluster.servers[1]!];
  const open = (namespace: string, warnings: Warning[] = []): Promise<JetStreamEventStore> =>
    JetStreamEventStore.open(cluster.urls, {
      namespace,
      replicas: 3,
      retention: "forever",
      heartbeat: 200,
      onWarning: (warning) => warnings.push(warning),
    });
  for (const namespace of [KEPT, REBUILT]) {
    await using store = await open(namespace);
    for (let version = 0; version < 5; version++) {
      await store.append("order", [event(`order-${version + 1}-`)], { expectedVersion: version });
    }
    for (const actorId of ["single", ...ITEMS, "last"]) {
      await store.append(actorId, [event(`${actorId}-`)], { expectedVersion: 0 });
    }
    await replica(cluster, good, `aether_${namespace}`);
  }
  await bad.shutdown();
  for (const namespace of [KEPT, REBUILT]) {
    const { blocks: [block], index } = await streamFiles(bad, `aether_${namespace}`);
    for (const marker of DAMAGED) await flip(block!, marker);
    if (namespace === REBUILT) await Deno.remove(index);
  }
  await bad.restart();

  for (const namespace of [KEPT, REBUILT]) {
    await test.step(`${namespace} index: a damaged follower changes no read`, async () => {
      await using writer = await open(namespace);
      for (const name of Object.keys(readsOf(writer))) {
        // Of its own for each read, so that it has not noticed the damage before.
        await using store = await open(namespace);
        for (let round = 0; round < ROUNDS; round++) await readsOf(store)[name]!();
      }
    });
  }

  await test.step("the warning names the damaged server, once", async () => {
    const warnings: Warning[] = [];
    await using store = await open(KEPT, warnings);
    while (warnings.length === 0) await readsOf(store)["readAll"]!();
    for (let round = 0; round < ROUNDS; round++) await readsOf(store)["verify"]!();
    assert.deepEqual(warnings.map(({ code }) => code), ["replica-damaged"]);
    assert(warnings[0]!.message.includes(`"${bad.name}"`), warnings[0]!.message);
  });

  await test.step("a damaged leader hides no commit: a read is right or reports damage, and no version is used again", async () => {
    const copies = await replica(cluster, bad, `aether_${KEPT}`);
    const missing = Array.from(copies.keys()).filter((index) => copies[index] === "missing");
    assert.deepEqual(missing, [4, 5, 8], "the replica is damaged");
    const rightOrDamage = async (read: () => Promise<void>): Promise<void> => {
      try {
        await read();
      } catch (error) {
        if (!(error instanceof DamagedHistoryError)) throw error;
      }
    };
    for (const actorId of ["order", "single"]) {
      const warnings: Warning[] = [];
      await using store = await open(KEPT, warnings);
      for (let round = 0; round < ROUNDS; round++) {
        await assert.rejects(
          store.append(actorId, [event("x")], { expectedVersion: 0 }),
          VersionConflictError,
        );
      }
      await assert.rejects(store.append(actorId, [event("x")], { expectedVersion: "any" }), (error) => {
        // A refusal by a leader that was just elected is no proof that no other one stores it.
        const why = error instanceof OutcomeUnknownError ? error.cause : error;
        return why instanceof DamagedHistoryError;
      });
      assert(warnings[0]?.message.includes(`"${bad.name}"`), warnings[0]?.message);
    }
    await using writer = await open(KEPT);
    for (const name of Object.keys(readsOf(writer))) {
      await using store = await open(KEPT);
      for (let round = 0; round < ROUNDS; round++) await rightOrDamage(readsOf(store)[name]!);
    }
    // A store that has noticed it reads from the others.
    await using store = await open(KEPT);
    await readsOf(store)["getEvents"]!();
    for (const read of Object.values(readsOf(store))) await read();
  });

  await test.step("the index that was made again is healed by the others", async () => {
    const copies = await replica(cluster, bad, `aether_${REBUILT}`);
    assert.equal(copies.length, ALL.length);
    assert(!copies.includes("missing"));
    await using store = await open(REBUILT);
    for (const read of Object.values(readsOf(store))) await read();
    await store.append("order", [event("on")], { expectedVersion: 5 });
  });

  await test.step("saves go on when another server leads", async () => {
    await replica(cluster, good, `aether_${KEPT}`);
    await using store = await open(KEPT);
    const [saved] = await store.append("order", [event("on")], { expectedVersion: 5 });
    assert.equal(saved!.version, 6);
    assert.equal((await store.verify()).ok, true);
  });
});

Deno.test("a first commit without an acknowledgement is not stored again by a leader that cannot read it any more", async () => {
  const stream = "aether_default";
  await using cluster = await startNatsCluster();
  const [good, bad] = [cluster.servers[0]!, cluster.servers[1]!];
  await using proxy = startProxy(good.url);
  await using store = await JetStreamEventStore.open(proxy.url, {
    replicas: 3,
    retention: "forever",
    saveTimeout: 60_000,
    connect: { client: { ignoreClusterUpdates: true } },
    onWarning: () => {},
  });
  proxy.filter({ toClient: isAcknowledgement });
  const saved = store.append("order", [event("marker-")], { expectedVersion: 0 });
  await until(async () => await storedMessages(bad, stream) === 1);
  proxy.filter({ toServer: isCommit }); // it is sent again only when the damaged server leads
  await bad.shutdown();
  await flip((await streamFiles(bad, stream)).blocks[0]!, "marker-");
  await bad.restart();
  await makeLeader(cluster, bad, stream);
  proxy.filter({});
  const [{ version, position }] = await saved as [StoredEvent];
  assert.equal(version, 1);
  await makeLeader(cluster, good, stream);
  assert.deepEqual((await Array.fromAsync(store.readAll())).map((event) => event.position), [position]);
});

Deno.test("a store notices that an operator gives its stream more replicas: what the leader lacks, the others have", async () => {
  const stream = "aether_default";
  await using cluster = await startNatsCluster();
  const bad = cluster.servers[1]!;
  const warnings: Warning[] = [];
  await using store = await JetStreamEventStore.open(cluster.urls, {
    replicas: 1,
    retention: "forever",
    onWarning: (warning) => warnings.push(warning),
  });
  for (let version = 0; version < 5; version++) {
    await store.append("order", [event(`order-${version + 1}-`)], { expectedVersion: version });
  }
  {
    await using nats = await client(bad.url);
    const { config } = await nats.requests.streamInfo(stream);
    await nats.requests.updateStream({ ...config, num_replicas: 3 });
    const isCurrent = async (): Promise<boolean> => {
      const { cluster: group } = await nats.requests.streamInfo(stream);
      return group?.replicas?.filter(({ current }) => current).length === 2;
    };
    await until(isCurrent, "three replicas that are up to date");
  }
  assert.equal((await replica(cluster, bad, stream)).length, 5);
  await makeLeader(cluster, cluster.servers[0]!, stream);
  await bad.shutdown();
  await flip((await streamFiles(bad, stream)).blocks[0]!, "order-2-");
  await bad.restart();
  await makeLeader(cluster, bad, stream);

  // Any replica may answer: the read is repeated until the damaged one has.
  await until(async () => {
    const events = await store.getEvents("order");
    assert.deepEqual(events.map(({ version }) => version), [1, 2, 3, 4, 5]);
    return warnings.length > 0;
  }, "an answer of the damaged replica");
  assert.deepEqual(warnings.map(({ code }) => code), ["replica-damaged"]);
});
