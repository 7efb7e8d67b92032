/** Repairing actors whose subjects have messages of other programs. */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import {
  BackendError,
  DamagedHistoryError,
  FencedError,
  InvalidArgumentError,
  JetStreamEventStore,
  type JetStreamEventStoreOptions,
  replay,
  StoreClosedError,
  VersionConflictError,
} from "@flowmade-one/aether/jetstream";
import { encodeHeaders } from "../../../src/nats/headers.ts";
import { CommitEncoder } from "../../../src/store/jetstream/format/commit_encoder.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { Trail } from "../../../src/store/jetstream/format/trail.ts";
import { type NatsServer, startNatsServer } from "../../support/nats_server.ts";
import { withTime } from "../../support/pulse.ts";
import type { NatsFrame } from "../../support/nats_frames.ts";
import { startProxy } from "../../support/proxy.ts";
import { bytes, type Client, client, sleep, until } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Counted", data });

const sum = {
  initialState: () => 0,
  evolve: (state: number, event: { data: unknown }) => state + Number(event.data),
};

/** A store, and a client that publishes past it. */
interface Bench extends AsyncDisposable {
  readonly server: NatsServer;
  readonly store: JetStreamEventStore;
  readonly nats: Client;
  readonly layout: Layout;
  /** Publishes a message of another program to an actor's subject, and returns its sequence. */
  stray(actorId: string, data?: string, headers?: readonly (readonly [string, string])[]): Promise<number>;
  /** Opens another store on the same log. */
  open(options?: JetStreamEventStoreOptions): Promise<JetStreamEventStore>;
}

async function bench(options: JetStreamEventStoreOptions = {}): Promise<Bench> {
  const server = await startNatsServer();
  const opened: AsyncDisposable[] = [server];
  const open = async (options: JetStreamEventStoreOptions = {}): Promise<JetStreamEventStore> => {
    const store = await JetStreamEventStore.open(server.url, { heartbeat: 200, ...options });
    opened.push(store);
    return store;
  };
  const store = await open({ retention: "forever", ...options });
  const nats = await client(server.url);
  opened.push(nats);
  const { config } = await nats.requests.streamInfo("aether_default");
  const layout = new Layout("aether", "default", (config.metadata as Record<string, string>)["aether-log"]!);
  return {
    server,
    store,
    nats,
    layout,
    open,
    stray: (actorId, data = "hello", headers = []) =>
      publish(nats, layout.subject(actorId), bytes(data), headers),
    async [Symbol.asyncDispose](): Promise<void> {
      for (const resource of opened.reverse()) await resource[Symbol.asyncDispose]();
    },
  };
}

async function publish(
  { connection }: Client,
  subject: string,
  data: Uint8Array,
  headers: readonly (readonly [string, string])[] = [],
): Promise<number> {
  const options = { timeout: 60_000, ...(headers.length > 0 ? { headers: encodeHeaders(headers) } : {}) };
  const answer = JSON.parse(
    new TextDecoder().decode((await connection.request(subject, data, options)).data),
  );
  assert(answer.seq > 0, JSON.stringify(answer));
  return answer.seq;
}

const versions = async (events: AsyncIterable<{ version: number }>): Promise<number[]> =>
  (await Array.fromAsync(events)).map(({ version }) => version);

/** Everything that reads or writes the actor "order" of `count` events, next to one event of "other". */
async function assertSound(store: JetStreamEventStore, count: number, strays: number): Promise<void> {
  const all = Array.from({ length: count }, (_, index) => index + 1);
  assert.equal(await store.getLatestVersion("order"), count);
  assert.deepEqual((await store.getEvents("order")).map(({ version }) => version), all);
  assert.deepEqual(await versions(store.readEvents("order", { direction: "backward" })), all.toReversed());
  assert.deepEqual(await versions(store.readEvents("order", { fromVersion: 2 })), all.slice(1));
  const log = await Array.fromAsync(store.readAll());
  assert.equal(log.length, count + 1);
  for (const { position } of [log[0]!, log.at(-2) ?? log[0]!, log.at(-1)!]) {
    const rest = await Array.fromAsync(store.readAll({ after: position }));
    assert.deepEqual(rest, log.filter((event) => event.position > position));
    const before = await Array.fromAsync(store.readAll({ direction: "backward", until: position }));
    assert.deepEqual(before, log.filter((event) => event.position <= position).toReversed());
  }
  assert.deepEqual(await Array.fromAsync(store.readAll({ direction: "backward" })), log.toReversed());
  assert.deepEqual(await versions(store.readAll({ actorId: "order" })), all);
  assert.deepEqual(await versions(store.readAll({ actorPrefix: "ord" })), all);
  assert.deepEqual(await versions(store.readAll({ after: "first-kept", eventTypes: ["Counted"] })), [
    ...log.map(({ version }) => version),
  ]);
  for (const filter of [{}, { actorPrefix: "o" }]) {
    await using subscription = store.subscribe(filter);
    let delivered = 0;
    for await (const _event of subscription) if (++delivered === log.length) break;
  }
  const actors = (await Array.fromAsync(store.listActors())).map(({ actorId }) => actorId).sort();
  assert.deepEqual(actors, count > 0 ? ["order", "other"] : ["other"]);
  assert.equal((await replay(store, "order", sum)).version, count);
  assert.equal(await store.getLastPosition(), log.at(-1)!.position);
  const { ok, events, repaired, faults } = await store.verify({ expectedPosition: log.at(-1)!.position });
  assert.deepEqual(faults, []);
  assert.deepEqual([ok, events, repaired.length], [true, log.length, strays]);
  for (const fault of repaired) assert.equal(fault.actorId, "order");
}

Deno.test("repairActor() makes an actor writable again, and every read passes over the stray messages", async () => {
  for (const [count, strays] of [[0, 1], [1, 3], [40, 2]] as const) {
    await using bed = await bench();
    const { store } = bed;
    for (let version = 0; version < count; version++) {
      await store.append("order", [event(1)], { expectedVersion: version });
    }
    const cold = await bed.open();
    const warm = await bed.open();
    await warm.getLatestVersion("order");
    for (let index = 0; index < strays; index++) await bed.stray("order");
    await store.append("other", [event(1)], { expectedVersion: 0 });

    const isNamed = (error: unknown): boolean =>
      error instanceof DamagedHistoryError && error.actorId === "order" &&
      error.message.includes('repairActor("order")');
    for (const blocked of [store, warm, cold]) {
      for (const expectedVersion of [count, "any"] as const) {
        await assert.rejects(blocked.append("order", [event(1)], { expectedVersion }), isNamed);
      }
    }
    await assert.rejects(store.getEvents("order"), isNamed);
    await assert.rejects(store.takeOver("order", 1), isNamed);
    await assert.rejects(Array.fromAsync(store.readAll()), isNamed);
    await assert.rejects(Array.fromAsync(store.listActors()), isNamed);

    const { actorId, version, skipped } = await store.repairActor("order");
    assert.deepEqual([actorId, version, skipped.length], ["order", count, strays]);
    for (const reader of [store, warm, cold, await bed.open()]) await assertSound(reader, count, strays);
    const faults: unknown[] = [];
    await Array.fromAsync(store.readAll({ onDamage: (fault) => faults.push(fault) }));
    await Array.fromAsync(store.readEvents("order", { onDamage: (fault) => faults.push(fault) }));
    assert.deepEqual(faults, []);

    await warm.append("order", [event(1)], { expectedVersion: count });
    await assert.rejects(
      cold.append("order", [event(1)], { expectedVersion: count }),
      VersionConflictError,
    );
    await cold.append("order", [event(1), event(1)], { expectedVersion: "any" });
    await store.saveEvent({ actorId: "order", version: count + 4, ...event(1) });
    await store.getEvents("unknown");
    assert.deepEqual((await store.repairActor("order")).skipped, []);
    await assert.rejects(
      store.append("third", [event(1)], {
        expectedVersion: 0,
        conditions: [{ actorId: "order", version: count }],
      }),
      VersionConflictError,
    );
    await store.takeOver("order", 5);
    await assert.rejects(store.append("order", [event(1)], { expectedVersion: "any" }), FencedError);
    assert.deepEqual((await (await bed.open()).getEvents("order")).map(({ version }) => version), [
      ...Array.from({ length: count + 3 }, (_, index) => index + 1),
      count + 4,
    ]);
  }
});

Deno.test("an actor can be repaired again and again, also after repairs alone", async () => {
  await using bed = await bench();
  const { store } = bed;
  let expectedVersion = 0;
  for (let round = 0; round < 6; round++) {
    if (round % 2 === 0) await store.append("order", [event(1)], { expectedVersion: expectedVersion++ });
    for (let stray = 0; stray <= round; stray++) await bed.stray("order", `stray ${round}`);
    const { version, skipped } = await store.repairActor("order");
    assert.deepEqual([version, skipped.length], [expectedVersion, round + 1]);
  }
  await store.append("other", [event(1)], { expectedVersion: 0 });
  for (const reader of [store, await bed.open()]) await assertSound(reader, 3, 21);
});

Deno.test("repairActor() passes over hundreds of stray messages at once", async () => {
  await using bed = await bench();
  const { store, nats, layout } = bed;
  await store.append("order", [event(1)], { expectedVersion: 0 });
  const subject = layout.subject("order");
  for (let count = 0; count < 300; count++) nats.connection.publish(subject, bytes("flood"));
  const stored = async (): Promise<number> =>
    (await nats.requests.streamInfo("aether_default")).state.messages;
  await until(async () => await stored() === 301, "the messages");
  const faults: unknown[] = [];
  for (const direction of ["forward", "backward"] as const) {
    const read = store.readAll({ direction, onDamage: (fault) => faults.push(fault) });
    assert.deepEqual([(await Array.fromAsync(read)).length, faults.splice(0).length], [1, 300]);
  }
  const { skipped } = await store.repairActor("order");
  assert.equal(skipped.length, 300);
  await store.append("other", [event(1)], { expectedVersion: 0 });
  await assertSound(store, 1, 300);
});

Deno.test("repairActor() stores nothing for an actor whose latest message is a commit, and one without messages", async () => {
  await using bed = await bench();
  const { store } = bed;
  await store.append("order", [event(1)], { expectedVersion: 0 });
  await store.takeOver("token", 3);
  for (const actorId of ["order", "token", "unknown"]) {
    const version = await store.getLatestVersion(actorId);
    assert.deepEqual(await store.repairActor(actorId), { actorId, version, skipped: [] });
  }
  const { messages } = (await bed.nats.requests.streamInfo("aether_default")).state;
  assert.equal(messages, 2);
});

Deno.test("repairActor() refuses a commit of which any part has changed", async () => {
  await using bed = await bench();
  const { store, nats, layout } = bed;
  await store.append("order", [event(1)], { expectedVersion: 0 });
  const subject = layout.subject("order");
  const encoder = new CommitEncoder(layout.logId, crc32);
  const changes: Readonly<Record<string, (block: string, body: string) => [string, string]>> = {
    "in its body": (block, body) => [block, body.replace("Counted", "Counter")],
    "so that its body is not UTF-8": (block, body) => [block, body.replace("Counted", "Counte\xff")],
    "in its fields": (block, body) => [block, block && body.replace("[", " ")],
    "in the name of its header": (block, body) => [block.replace("Aether:", "Aethes:"), body],
    "in the name of its guard": (block, body) => [block.replace("Nats-Expected", "Nats-Expectee"), body],
    "in its format": (block, body) => [block.replace("Aether: 1", "Aether: 3"), body],
  };
  for (const [name, change] of Object.entries(changes)) {
    const actorId = name.replaceAll(" ", "-");
    await store.append(actorId, [event(1)], { expectedVersion: 0 });
    const { state } = await nats.requests.streamInfo("aether_default");
    const message = encoder.encode(
      layout.subject(actorId),
      '[{"id":"x","eventType":"Counted","timestamp":"2026-01-01T00:00:00.000Z","data":1}]',
      {
        commitId: "c",
        previousVersion: 1,
        versions: [2],
        fence: 0,
        unfenced: true,
        previousSequence: state.last_seq,
        trail: Trail.EMPTY.after(state.last_seq),
      },
    );
    const latin = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
    const [block, body] = change(latin(message.headers!.encode()), latin(message.data));
    const lines = block.split("\r\n").slice(1, -2).map((line) => line.split(": ", 2) as [string, string]);
    await publish(nats, layout.subject(actorId), Uint8Array.from(body, (char) => char.charCodeAt(0)), lines);
    await bed.stray(actorId);
    await assert.rejects(store.repairActor(actorId), (error) => {
      assert(error instanceof DamagedHistoryError, `${name}: ${error}`);
      assert.match(error.message, /restore from a backup/, name);
      return true;
    });
    await assert.rejects(store.getEvents(actorId), DamagedHistoryError, name);
    await assert.rejects(store.append(actorId, [event(1)], { expectedVersion: "any" }), DamagedHistoryError);
  }
  assert.equal((await store.verify()).repaired.length, 0);
  assert.equal(subject, layout.subject("order"));
});

Deno.test("repairActor() respects the fencing token of the actor", async () => {
  await using bed = await bench();
  const { store } = bed;
  await store.append("order", [event(1)], { expectedVersion: 0, fencingToken: 7 });
  await bed.stray("order");
  await assert.rejects(store.repairActor("order"), FencedError);
  await assert.rejects(store.repairActor("order", { fencingToken: 6 }), FencedError);
  await assert.rejects(
    store.append("order", [event(1)], { expectedVersion: 1, fencingToken: 7 }),
    DamagedHistoryError,
  );
  await store.repairActor("order", { fencingToken: 8 });
  // It is stored with the repair, as with a commit.
  await assert.rejects(
    store.append("order", [event(1)], { expectedVersion: 1, fencingToken: 7 }),
    FencedError,
  );
  await bed.stray("order");
  await store.repairActor("order", { unfenced: true });
  const other = await bed.open();
  await assert.rejects(
    other.append("order", [event(1)], { expectedVersion: 1, fencingToken: 7 }),
    FencedError,
  );
  await other.append("order", [event(1)], { expectedVersion: 1, fencingToken: 8 });
  const wrong = [{ fencingToken: 0 }, { unfenced: "yes" }, { signal: {} }, { token: 1 }];
  for (const options of wrong) {
    await assert.rejects(store.repairActor("order", options as never), InvalidArgumentError);
  }
  await assert.rejects(store.repairActor(""), { name: "InvalidArgumentError" });
});

Deno.test("of several repairs at once one is stored, and writers go on behind it", async () => {
  await using bed = await bench();
  const { store } = bed;
  const stores = [store, await bed.open(), await bed.open(), await bed.open()];
  let version = 0;
  for (let round = 0; round < 4; round++) {
    await store.append("order", [event(1)], { expectedVersion: version++ });
    await bed.stray("order");
    const writing = stores.map(async (writer) => {
      for (;;) {
        try {
          return await writer.append("order", [event(1)], { expectedVersion: "any" });
        } catch (error) {
          assert(error instanceof DamagedHistoryError, String(error));
        }
      }
    });
    const repairs = await Promise.all(stores.map((repairer) => repairer.repairActor("order")));
    assert.equal(repairs.filter(({ skipped }) => skipped.length > 0).length, 1);
    await Promise.all(writing);
    version += stores.length;
  }
  await store.append("other", [event(1)], { expectedVersion: 0 });
  for (const reader of [...stores, await bed.open()]) await assertSound(reader, version, 4);
});

Deno.test("repairActor() goes on while another program keeps publishing, and ends with its signal and its store", async () => {
  await using bed = await bench();
  const { store } = bed;
  await store.append("order", [event(1)], { expectedVersion: 0 });
  for (let count = 0; count < 20; count++) await bed.stray("order");
  const own = new Error("my own");
  await assert.rejects(
    store.repairActor("order", { signal: AbortSignal.abort(own) }),
    (error) => error === own,
  );
  const ending = new AbortController();
  const repair = store.repairActor("order", { signal: ending.signal });
  ending.abort(own);
  await assert.rejects(repair, (error) => error === own);
  const other = await bed.open();
  const closed = other.repairActor("order");
  await Promise.all([assert.rejects(closed, StoreClosedError), other.close()]);
  await assert.rejects(other.repairActor("order"), StoreClosedError);

  let isOver = false;
  const publishing = (async () => {
    while (!isOver) {
      await bed.stray("order");
      await sleep(20);
    }
  })();
  try {
    await store.repairActor("order");
  } finally {
    isOver = true;
    await publishing;
  }
  await store.repairActor("order");
  await store.append("order", [event(1)], { expectedVersion: 1 });
});

Deno.test("repairActor() refuses an actor that lost a commit which this store has seen, or which the server counts", async () => {
  await using bed = await bench();
  const { store, server } = bed;
  await store.append("order", [event("marker-1-")], { expectedVersion: 0 });
  await store.append("order", [event("marker-2-")], { expectedVersion: 1 });
  await bed.stray("order");
  await server.shutdown();
  for await (const path of filesOf(server.storageFolder)) {
    if (!path.endsWith(".blk") || !path.includes("/aether_default/")) continue;
    const content = await Deno.readFile(path);
    const at = new TextDecoder("latin1").decode(content).indexOf("marker-2-");
    assert(at > 0);
    content[at]! ^= 1;
    await Deno.writeFile(path, content);
  }
  await server.restart();
  await using cold = await JetStreamEventStore.open(server.url);
  await until(() => store.getLatestVersion("other").then(() => true, () => false), "the connection");
  for (const repairer of [store, cold]) {
    await assert.rejects(repairer.repairActor("order"), DamagedHistoryError);
    await assert.rejects(
      repairer.append("order", [event(1)], { expectedVersion: "any" }),
      DamagedHistoryError,
    );
  }
});

async function* filesOf(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* filesOf(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

Deno.test("a forged repair hides no commit", async () => {
  await using bed = await bench();
  const { store, nats, layout } = bed;
  for (let version = 0; version < 3; version++) {
    await store.append("order", [event(1)], { expectedVersion: version });
  }
  await bed.stray("order");
  const encoder = new CommitEncoder(layout.logId, crc32);
  const fields = {
    commitId: "forged",
    previousVersion: 1,
    fence: 0,
    unfenced: true,
    previousSequence: 1,
    trail: Trail.EMPTY.after(1),
  };
  const forged = encoder.encodeRepair(layout.subject("order"), fields, { lastSequence: 4, count: 3 });
  const block = new TextDecoder().decode(forged.headers!.encode());
  const lines = block.split("\r\n").slice(1, -2).map((line) => line.split(": ", 2) as [string, string]);
  await publish(nats, layout.subject("order"), forged.data, lines);
  await store.append("order", [event("second")], { expectedVersion: 1 }).catch(() => {});
  for (const reader of [store, await bed.open()]) {
    await assert.rejects(reader.getEvents("order"), DamagedHistoryError);
    await assert.rejects(
      Array.fromAsync(reader.readEvents("order", { direction: "backward" })),
      DamagedHistoryError,
    );
    await assert.rejects(Array.fromAsync(reader.readAll()), DamagedHistoryError);
    assert.equal((await reader.verify()).ok, false);
  }
});

Deno.test("repairActor() refuses a log that another version of the library writes", async () => {
  await using bed = await bench();
  const { store, nats } = bed;
  await bed.stray("order");
  const { config } = await nats.requests.streamInfo("aether_default");
  const metadata = { ...(config.metadata as Record<string, string>), "aether-format": "2" };
  await nats.requests.updateStream({ ...config, metadata });
  await assert.rejects(store.repairActor("order"), BackendError);
});

Deno.test("a subscription that a stray message has ended goes on behind the repair", async () => {
  await using bed = await bench();
  const { store } = bed;
  const [first] = await store.append("order", [event(1)], { expectedVersion: 0 });
  const subscription = store.subscribe();
  const reading = Array.fromAsync(subscription);
  await until(() => subscription.position === first!.position, "the first event");
  await bed.stray("order");
  await assert.rejects(reading, DamagedHistoryError);
  await store.repairActor("order");
  const [second] = await store.append("order", [event(2)], { expectedVersion: 1 });
  for (const filter of [{}, { actorId: "order" }]) {
    await using resumed = store.subscribe({ after: first!.position, ...filter });
    for await (const { position } of resumed) {
      assert.equal(position, second!.position);
      break;
    }
    await bed.stray("order");
    await store.repairActor("order");
  }
});

Deno.test("snapshots are saved and used again behind a repair", async () => {
  await using bed = await bench();
  const { store } = bed;
  const view = { ...sum, snapshot: { kind: "sum", schemaVersion: 1, every: 1 } };
  await store.append("order", [event(1), event(2)], { expectedVersion: 0 });
  await store.saveSnapshot({ actorId: "order", kind: "sum", schemaVersion: 1, version: 2, state: 3 });
  await bed.stray("order");
  await assert.rejects(replay(store, "order", view), DamagedHistoryError);
  await store.repairActor("order");
  assert.deepEqual(await replay(store, "order", view), {
    state: 3,
    version: 2,
    events: 0,
    snapshotVersion: 2,
  });
  await store.append("order", [event(3)], { expectedVersion: 2 });
  assert.deepEqual(await replay(store, "order", view), {
    state: 6,
    version: 3,
    events: 1,
    snapshotVersion: 2,
  });
  await store.saveSnapshot({ actorId: "order", kind: "sum", schemaVersion: 1, version: 3, state: 6 });
  assert.equal((await replay(await bed.open(), "order", view)).snapshotVersion, 3);
});

Deno.test("an actor whose commits expire under a stray message is remembered, and goes on behind its repair", () =>
  withTime(2_000, async (retention, pulse) => {
    await using bed = await bench({ retention });
    await pulse.watch(bed.server.url);
    const { store } = bed;
    await store.append("order", [event(1), event(2)], { expectedVersion: 0, fencingToken: 3 });
    await store.append("gone", [event(1)], { expectedVersion: 0 });
    await sleep(retention * 0.4);
    await bed.stray("order");
    await bed.stray("gone");
    const first = async (): Promise<number> =>
      (await bed.nats.requests.streamInfo("aether_default")).state.first_seq;
    await until(async () => await first() === 3, "the commits to expire");
    await assert.rejects(store.repairActor("order"), FencedError);
    const { version } = await store.repairActor("order", { fencingToken: 3 });
    assert.equal(version, 2);
    const [saved] = await store.append("order", [event(3)], { expectedVersion: 2, fencingToken: 3 });
    assert.equal(saved!.version, 3);
    // The other one loses its stray message too.
    await until(async () => await first() > 4, "the stray messages to expire");
    for (const reader of [store, await bed.open()]) {
      assert.equal(await reader.getLatestVersion("gone"), 1);
      await assert.rejects(reader.append("gone", [event(1)], { expectedVersion: 0 }), VersionConflictError);
    }
    await store.append("gone", [event(2)], { expectedVersion: 1 });
    const { ok, faults } = await store.verify();
    assert.deepEqual([ok, faults], [true, []]);
  }));

/** Takes out the next so many frames. */
function next(count: number, matches: (frame: NatsFrame) => boolean): (frame: NatsFrame) => boolean {
  return (frame) => matches(frame) && count-- > 0;
}

const isAcknowledgement = ({ payload }: NatsFrame): boolean =>
  /^\{"stream":"aether_default",.*"seq":[1-9]/.test(new TextDecoder().decode(payload));

const isCommit = ({ subject }: NatsFrame): boolean => subject?.startsWith("aether.") === true;

Deno.test("a repair is stored once if its acknowledgement is lost, or the repair itself on the way", async () => {
  await using bed = await bench();
  await using proxy = startProxy(bed.server.url);
  await using far = await JetStreamEventStore.open(proxy.url, { answerTimeout: 200 });
  const lose = [
    (): void => proxy.filter({ toClient: next(1, isAcknowledgement) }),
    (): void => proxy.filter({ toServer: next(1, isCommit) }),
  ];
  for (const [index, filter] of lose.entries()) {
    await bed.store.append("order", [event(1)], { expectedVersion: index });
    await bed.stray("order");
    filter();
    const { version, skipped } = await far.repairActor("order");
    assert.deepEqual([version, skipped.length], [index + 1, 1]);
    proxy.filter({});
  }
  await bed.store.append("other", [event(1)], { expectedVersion: 0 });
  const { messages } = (await bed.nats.requests.streamInfo("aether_default")).state;
  assert.equal(messages, 7);
  for (const reader of [far, bed.store]) await assertSound(reader, 2, 2);
});

Deno.test("a save that was lost before a stray message is stored once behind the repair, or is a conflict", async () => {
  await using bed = await bench();
  await using proxy = startProxy(bed.server.url);
  await using far = await JetStreamEventStore.open(proxy.url, { answerTimeout: 200 });
  const near = bed.store;
  for (const actorId of ["alone", "followed", "conflict"]) {
    await near.append(actorId, [event(1)], { expectedVersion: 0 });
    await far.getLatestVersion(actorId);
  }
  proxy.filter({ toServer: isCommit });
  const alone = far.append("alone", [event("mine")], { expectedVersion: 1 });
  const followed = far.append("followed", [event("mine")], { expectedVersion: "any" });
  const conflict = far.append("conflict", [event("mine")], { expectedVersion: 1 });
  const settled = Promise.allSettled([alone, followed, conflict]);
  await sleep(300); // the saves are of unknown outcome
  for (const actorId of ["alone", "followed", "conflict"]) {
    await bed.stray(actorId);
    await near.repairActor(actorId);
    if (actorId !== "alone") await near.append(actorId, [event("theirs")], { expectedVersion: 1 });
  }
  proxy.filter({});
  await settled;
  assert.equal((await alone)[0]!.version, 2);
  assert.equal((await followed)[0]!.version, 3);
  await assert.rejects(conflict, VersionConflictError);
  const history = async (actorId: string): Promise<unknown[]> =>
    (await near.getEvents(actorId)).map(({ data }) => data);
  assert.deepEqual(await history("alone"), [1, "mine"]);
  assert.deepEqual(await history("followed"), [1, "theirs", "mine"]);
  assert.deepEqual(await history("conflict"), [1, "theirs"]);
  assert.equal((await near.verify()).ok, true);
});
