import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  BackendError,
  CopyError,
  copyEvents,
  type CopyProgress,
  DamagedHistoryError,
  DenoKvEventStore,
  type Event,
  type EventInput,
  type EventStore,
  EventTooLargeError,
  FencedError,
  HistoryTruncatedError,
  InMemoryEventStore,
  INTERNAL_NAMESPACE,
  InvalidArgumentError,
  JetStreamEventStore,
  LocalEventBus,
  OutcomeUnknownError,
  type StoredEvent,
} from "../../mod.ts";
import { seededRandom } from "../support/event_log.ts";
import { kvFolder } from "../support/kv_file.ts";
import { expire, LONG_RETENTION } from "../support/expiry.ts";
import { startNatsServer } from "../support/nats_server.ts";

const COPIER = fileURLToPath(new URL("../support/programs/copier.ts", import.meta.url));

type Stored = readonly Omit<StoredEvent, "position">[];

/** Fills a store with commits as they come: one actor or several, gaps, text of every kind, values of every size. */
async function fill(store: EventStore, seed: number, commits: number): Promise<void> {
  const random = seededRandom(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const versions = new Map<string, number>();
  const batches = Array.from(
    { length: commits },
    (): EventInput[] =>
      Array.from({ length: 1 + below(8) }, (): EventInput => {
        const actorId = `order.${below(40)} \u{1f600}`;
        const version = (versions.get(actorId) ?? 0) + 1 + (below(10) === 0 ? below(5) : 0);
        versions.set(actorId, version);
        return {
          actorId,
          version,
          eventType: `Type${below(4)}`,
          data: {
            number: random(),
            text: "\u00e4".repeat(below(20) === 0 ? below(60_000) : below(20)),
            none: null,
          },
          timestamp: new Date(Date.UTC(2011, 0, 1) + below(1e9)),
          ...(below(2) === 0 && { metadata: { userId: `user-${below(9)}` } }),
        };
      }),
  );
  for (const batch of batches) await store.saveEvents(batch);
}

/** A store's log without the positions, which belong to the log. */
async function log(store: EventStore): Promise<Stored> {
  return (await Array.fromAsync(store.readAll())).map(({ position: _, ...event }) => event);
}

/** That a store holds the same as another: its log, and each actor's own history. */
async function assertCopied(from: EventStore, to: EventStore): Promise<void> {
  const expected = await log(from);
  assert.deepEqual(await log(to), expected);
  assert.equal((await to.verify()).ok, true);
  for (const [actorId, events] of Map.groupBy(expected, (event) => event.actorId)) {
    const copied = (await to.getEvents(actorId)).map(({ position: _, ...event }) => event);
    assert.deepEqual(copied, events);
  }
}

type Opener = () => Promise<EventStore>;

/** Every kind of store, each with fresh ones as often as they are asked for. */
async function withStores(test: (kinds: Readonly<Record<string, Opener>>) => Promise<void>): Promise<void> {
  await using folder = await kvFolder();
  await using server = await startNatsServer();
  let number = 0;
  await test({
    memory: () => Promise.resolve(new InMemoryEventStore()),
    "Deno KV": () => DenoKvEventStore.open(`${folder.path}/${++number}.kv`),
    JetStream: () => JetStreamEventStore.open(server.url, { namespace: `n${++number}` }),
  });
}

Deno.test("copyEvents() carries everything over, between every two stores", async (t) => {
  await withStores(async (kinds) => {
    for (const [fromKind, openFrom] of Object.entries(kinds)) {
      await using from = await openFrom();
      await fill(from, 1, 120);
      for (const [toKind, openTo] of Object.entries(kinds)) {
        await t.step(`from ${fromKind} to ${toKind}`, async () => {
          await using to = await openTo();
          const report = await copyEvents(from, to);
          await assertCopied(from, to);
          const { length } = await log(from);
          assert.deepEqual(report, {
            events: length,
            copied: length,
            fromPosition: await from.getLastPosition(),
            toPosition: await to.getLastPosition(),
          });
          assert.deepEqual(await copyEvents(from, to), { ...report, copied: 0 });
        });
      }
    }
  });
});

Deno.test("copyEvents() of an empty store leaves the target empty", async () => {
  await using from = new InMemoryEventStore();
  await using to = new InMemoryEventStore();
  assert.deepEqual(await copyEvents(from, to), {
    events: 0,
    copied: 0,
    fromPosition: undefined,
    toPosition: undefined,
  });
});

/** Runs the copier, kills it at its first word of new events, and returns what it said. */
async function copy(from: string, to: string, kill: boolean): Promise<string[]> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--unstable-kv", "--allow-all", COPIER, from, to],
    stdout: "piped",
  }).spawn();
  let output = "";
  let killed = false;
  for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (!kill || killed || !output.includes("copying")) continue;
    process.kill("SIGKILL");
    killed = true;
  }
  const { code } = await process.status;
  assert.equal(code !== 0, kill, output);
  return output.trimEnd().split("\n").map((line) => line.trimEnd());
}

for (const direction of ["from Deno KV to JetStream", "from JetStream to Deno KV", "between Deno KV files"]) {
  Deno.test(`copyEvents() ${direction}, killed again and again, goes on where it was`, async () => {
    await using folder = await kvFolder();
    await using server = await startNatsServer();
    const file = `${folder.path}/other.kv`;
    const [fromPlace, toPlace] = {
      "from Deno KV to JetStream": [folder.file, server.url],
      "from JetStream to Deno KV": [server.url, folder.file],
      "between Deno KV files": [folder.file, file],
    }[direction] as [string, string];
    const open = (place: string): Promise<EventStore> =>
      place === server.url ? JetStreamEventStore.open(place) : DenoKvEventStore.open(place);
    const actors = Array.from({ length: 500 }, (_, index) => `order-${index}`);
    {
      await using from = await open(fromPlace);
      await Promise.all(actors.map(async (actorId) => {
        for (let version = 0; version < 24; version += 2) {
          const events = [1, 2].map((part) => ({ eventType: "Happened", data: { version, part } }));
          await from.append(actorId, events, { expectedVersion: version });
        }
      }));
    }
    let reached = 0;
    for (let round = 0; round < 3; round++) {
      await copy(fromPlace, toPlace, true);
      await using from = await open(fromPlace);
      await using to = await open(toPlace);
      const copied = await log(to);
      assert(copied.length > reached, `${copied.length} after ${reached}`);
      assert.deepEqual(copied, (await log(from)).slice(0, copied.length));
      reached = copied.length;
    }
    const last = (await copy(fromPlace, toPlace, false)).at(-1);
    assert.equal(last, `done 12000 ${12_000 - reached}`);
    await using from = await open(fromPlace);
    await using to = await open(toPlace);
    await assertCopied(from, to);
  });
}

Deno.test("copyEvents() goes on when a server is killed and comes back", async () => {
  const { from } = await sourceAndTarget();
  await using server = await startNatsServer();
  await using to = await JetStreamEventStore.open(server.url);
  await using back = await JetStreamEventStore.open(server.url, { namespace: "back" });
  for (const [source, target] of [[from, to], [to, back]] as const) {
    let restarted: Promise<void> | undefined;
    const restart = async (): Promise<void> => {
      await server.kill();
      await server.restart();
    };
    const onProgress = ({ phase }: CopyProgress): void => {
      if (phase === "copying") restarted ??= restart();
    };
    for (;;) {
      try {
        await copyEvents(source, target, { onProgress });
        break;
      } catch (error) {
        if (!(error instanceof OutcomeUnknownError || error instanceof BackendError)) throw error;
      }
      await restarted;
    }
    assert(restarted);
    await restarted;
    await assertCopied(source, target);
  }
});

/** A source of 3,000 events in memory, and an empty target. */
async function sourceAndTarget(): Promise<{ from: InMemoryEventStore; to: InMemoryEventStore }> {
  const from = new InMemoryEventStore();
  for (let number = 0; number < 3_000; number++) {
    await from.append(`order-${number % 7}`, [{ eventType: "E", data: number }], { expectedVersion: "any" });
  }
  return { from, to: new InMemoryEventStore() };
}

for (const phase of ["copying", "verifying"] as const) {
  Deno.test(`copyEvents() does not finish when the source grows while it is ${phase}`, async () => {
    const { from, to } = await sourceAndTarget();
    let saved: Promise<unknown> | undefined;
    const onProgress = (progress: CopyProgress): void => {
      if (progress.phase !== phase) return;
      saved ??= from.append("late", [{ eventType: "E", data: null }], { expectedVersion: 0 });
    };
    await assert.rejects(copyEvents(from, to, { onProgress }), (error) => {
      assert(error instanceof CopyError && error.reason === "source-grew");
      assert.equal(error.events, 3_000);
      return true;
    });
    await saved;
    assert.equal((await copyEvents(from, to)).copied, 1);
    await assertCopied(from, to);
  });
}

Deno.test("copyEvents() refuses a target that holds something else", async (t) => {
  const event = (actorId: string, version: number, data: unknown): EventInput => ({
    id: `${actorId}-${version}`,
    actorId,
    version,
    eventType: "E",
    data,
    timestamp: "2026-01-31T12:00:00Z",
  });
  await using from = new InMemoryEventStore();
  const original = [event("a", 1, 1), event("b", 1, 2), event("a", 3, 3)];
  for (const one of original) await from.saveEvent(one);
  const [a1, b1, a3] = original as [EventInput, EventInput, EventInput];
  const cases: Record<
    string,
    { held: EventInput[]; events: number; found: string; expected: string | undefined }
  > = {
    "another actor": { held: [event("c", 1, 1)], events: 0, found: "c-1", expected: "a-1" },
    "other data": { held: [event("a", 1, 9)], events: 0, found: "a-1", expected: "a-1" },
    "another type": { held: [{ ...a1, eventType: "F" }], events: 0, found: "a-1", expected: "a-1" },
    "another time": { held: [{ ...a1, timestamp: new Date(0) }], events: 0, found: "a-1", expected: "a-1" },
    "other metadata": {
      held: [{ ...a1, metadata: { userId: "u" } }],
      events: 0,
      found: "a-1",
      expected: "a-1",
    },
    "another version": { held: [{ ...a1, version: 2 }], events: 0, found: "a-1", expected: "a-1" },
    "another order": { held: [b1], events: 0, found: "b-1", expected: "a-1" },
    "something after a part": { held: [a1, event("c", 1, 1)], events: 1, found: "c-1", expected: "b-1" },
    "more": { held: [a1, b1, a3, event("c", 1, 1)], events: 3, found: "c-1", expected: undefined },
  };
  for (const [name, { held, events, found, expected }] of Object.entries(cases)) {
    await t.step(name, async () => {
      await using to = new InMemoryEventStore();
      for (const one of held) await to.saveEvent(one);
      await assert.rejects(copyEvents(from, to), (error) => {
        assert(error instanceof CopyError && error.reason === "target-differs");
        assert.deepEqual([error.events, error.found?.id, error.expected?.id], [events, found, expected]);
        return true;
      });
      assert.equal((await log(to)).length, held.length);
    });
  }
});

Deno.test("copyEvents() notices what another writer puts into the target meanwhile", async () => {
  for (const phase of ["copying", "verifying"] as const) {
    const { from, to } = await sourceAndTarget();
    let saved: Promise<unknown> | undefined;
    const onProgress = (progress: CopyProgress): void => {
      if (progress.phase !== phase) return;
      saved ??= to.append("intruder", [{ eventType: "E", data: null }], { expectedVersion: 0 });
    };
    await assert.rejects(copyEvents(from, to, { onProgress }), {
      name: "CopyError",
      reason: "target-differs",
    });
    await saved;
    await assert.rejects(copyEvents(from, to), { name: "CopyError", reason: "target-differs" });
  }
});

Deno.test("copyEvents() does not write to an actor that has an owner in the target", async () => {
  const { from, to } = await sourceAndTarget();
  await to.takeOver("order-6", 5);
  await assert.rejects(copyEvents(from, to), FencedError);
});

Deno.test("copyEvents() twice at once is one copy", async () => {
  await using folder = await kvFolder();
  await using from = new InMemoryEventStore();
  await fill(from, 2, 300);
  const copies = [1, 2].map(async () => {
    await using to = await DenoKvEventStore.open(folder.file);
    return await copyEvents(from, to);
  });
  const reports = await Promise.all(copies);
  await using to = await DenoKvEventStore.open(folder.file);
  await assertCopied(from, to);
  assert.deepEqual(reports.map(({ toPosition }) => toPosition), Array(2).fill(await to.getLastPosition()));
});

Deno.test("copyEvents() stops at damage in the source, and copies the rest when the source is restored from a backup", async () => {
  await using folder = await kvFolder();
  {
    await using from = await DenoKvEventStore.open(folder.file);
    await fill(from, 3, 60);
  }
  await folder.backUp();
  {
    using kv = await Deno.openKv(folder.file);
    const prefix = ["aether", "default", "commit"];
    const { key, value } = (await Array.fromAsync(kv.list<Uint8Array>({ prefix })))[40]!;
    await kv.set(key, value.with(value.length >> 1, value[value.length >> 1]! ^ 1));
  }
  await using to = new InMemoryEventStore();
  {
    await using from = await DenoKvEventStore.open(folder.file);
    await assert.rejects(copyEvents(from, to), DamagedHistoryError);
  }
  const { length: copied } = await log(to);
  await folder.restore();
  await using from = await DenoKvEventStore.open(folder.file);
  const report = await copyEvents(from, to);
  await assertCopied(from, to);
  assert.equal(report.copied, (await log(to)).length - copied);
});

Deno.test("copyEvents() ends with the reason of its signal, and can be run again", async () => {
  const { from, to } = await sourceAndTarget();
  const controller = new AbortController();
  const reason = new Error("enough");
  const onProgress = (): void => controller.abort(reason);
  await assert.rejects(copyEvents(from, to, { onProgress, signal: controller.signal }), reason);
  const { length } = await log(to);
  assert(length >= 1_000 && length < 3_000);
  assert.equal((await copyEvents(from, to)).copied, 3_000 - length);
});

Deno.test("copyEvents() refuses to copy a store into itself", async () => {
  const { from } = await sourceAndTarget();
  await assert.rejects(copyEvents(from, from), InvalidArgumentError);
});

Deno.test("copyEvents() splits what is one commit here and too large there", async () => {
  await withStores(async (kinds) => {
    for (const open of Object.values(kinds)) {
      await using from = new InMemoryEventStore();
      for (let version = 1; version <= 40; version++) {
        // Three bytes a character: it is bytes that count.
        await from.saveEvent({ actorId: "a", version, eventType: "E", data: "\u20ac".repeat(15_000) });
      }
      await using to = await open();
      await copyEvents(from, to);
      await assertCopied(from, to);
    }
  });
});

Deno.test("copyEvents() names which event is too large for the target", async () => {
  await using server = await startNatsServer({ maxPayload: 400_000 });
  await using from = new InMemoryEventStore();
  await from.append("small", [{ eventType: "E", data: 1 }], { expectedVersion: 0 });
  await from.append("large", [{ eventType: "E", data: "x".repeat(450_000) }], { expectedVersion: 0 });
  await using to = await JetStreamEventStore.open(server.url);
  await assert.rejects(copyEvents(from, to), (error) => {
    assert(error instanceof EventTooLargeError);
    assert.equal(error.actorId, "large");
    return true;
  });
});

Deno.test("copyEvents() does not pass off the rest of a history as all of it", async () => {
  await using server = await startNatsServer();
  await using from = await JetStreamEventStore.open(server.url, { retention: LONG_RETENTION });
  await from.append("a", [{ eventType: "E", data: 1 }], { expectedVersion: 0 });
  await expire(server.url);
  await from.append("a", [{ eventType: "E", data: 2 }], { expectedVersion: "any" });
  await using to = new InMemoryEventStore();
  await assert.rejects(copyEvents(from, to), HistoryTruncatedError);
  assert.deepEqual(await log(to), []);
});

Deno.test("copyEvents() keeps the schema versions, and needs no schema", async () => {
  type Named = Event<"Named", { first: string; last: string }>;
  const events = {
    Named: {
      version: 2,
      upcast: [({ name }: { name: string }) => ({ first: name.split(" ")[0], last: name.split(" ")[1] })],
    },
  };
  await withStores(async (kinds) => {
    await using folder = await kvFolder();
    {
      await using old = await DenoKvEventStore.open(folder.file);
      await old.append("a", [{ eventType: "Named", data: { name: "Ada Lovelace" } }], { expectedVersion: 0 });
      await using present = await DenoKvEventStore.open<Named>(folder.file, { events });
      const data = { first: "Alan", last: "Turing" };
      await present.append("a", [{ eventType: "Named", data }], { expectedVersion: 1 });
    }
    await using from = await DenoKvEventStore.open(folder.file);
    for (const [kind, open] of Object.entries(kinds)) {
      if (kind === "Deno KV") continue;
      await using to = await open();
      assert.equal((await copyEvents(from, to)).copied, 2);
      assert.equal((await copyEvents(from, to)).copied, 0);
      await using back = await DenoKvEventStore.open<Named>(`${folder.path}/${kind}.kv`, { events });
      await copyEvents(to, back as unknown as EventStore);
      assert.deepEqual((await back.getEvents("a")).map(({ data }) => data), [
        { first: "Ada", last: "Lovelace" },
        { first: "Alan", last: "Turing" },
      ]);
    }
  });
});

Deno.test("copyEvents() announces nothing: the events are not new", async () => {
  await using bus = new LocalEventBus();
  await using announced = bus.subscribe(INTERNAL_NAMESPACE, {});
  const { from } = await sourceAndTarget();
  await using to = new InMemoryEventStore({ bus });
  await copyEvents(from, to);
  await to.append("new", [{ eventType: "E", data: null }], { expectedVersion: 0 });
  for await (const { actorId } of announced) {
    assert.equal(actorId, "new");
    break;
  }
});

Deno.test("copyEvents() works with any store that keeps the contract", async () => {
  const { from, to } = await sourceAndTarget();
  const plain = (store: InMemoryEventStore): EventStore =>
    ({
      limits: store.limits,
      readAll: (options) => store.readAll(options),
      saveEvents: (events, options) => store.saveEvents(events, options),
      verify: (options) => store.verify(options),
    }) as Pick<EventStore, "limits" | "readAll" | "saveEvents" | "verify"> as EventStore;
  assert.equal((await copyEvents(plain(from), plain(to))).copied, 3_000);
  await assertCopied(from, to);
});
