/** What another program may write in the place of a checkpoint: a typed error that names it, or sound work; no hang. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  AetherError,
  type CheckpointStore,
  DamagedCheckpointError,
  deleteCheckpoint,
  DenoKvCheckpoints,
  discardParked,
  type Event,
  InMemoryCheckpoints,
  InMemoryEventStore,
  JetStreamCheckpoints,
  listParked,
  type Projection,
  projectionStatuses,
  projectOnce,
  retryParked,
  runProjection,
  SqliteCheckpoints,
  type StoredEvent,
  waitFor,
} from "../../mod.ts";
import { connectTo } from "../../src/nats/connect.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { Random } from "../support/random.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
type Path = readonly (string | number)[];

const SEED = Number(Deno.env.get("AETHER_CHAOS_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const ID = { name: "p", version: 1 };
const LONG = "x".repeat(100_000);
const HOSTILE: readonly (Json | undefined)[] = [
  undefined,
  null,
  true,
  -1,
  0,
  1.5,
  2 ** 53,
  1e308,
  "",
  "x",
  "\ud800",
  LONG,
  [],
  [null],
  {},
  { position: 1 },
];

interface Scene {
  readonly store: InMemoryEventStore;
  readonly events: readonly [StoredEvent, StoredEvent, ...StoredEvent[]];
}

async function sixEvents(): Promise<Scene> {
  const store = new InMemoryEventStore();
  const events: StoredEvent[] = [];
  for (let version = 1; version <= 6; version++) {
    const stored = await store.append("a", [{ eventType: "Happened", data: version }], {
      expectedVersion: "any",
    });
    events.push(...stored);
  }
  return { store, events: events as unknown as Scene["events"] };
}

/** A record with every field but that of a retry, which others wait for. */
function soundRecord(events: readonly StoredEvent[]): { readonly [name: string]: Json } {
  const eventAt = (index: number): { readonly [name: string]: Json } => {
    const { position, id: eventId, eventType, actorId, version: eventVersion } = events[index]!;
    return { position, eventId, eventType, actorId, eventVersion };
  };
  const at = "2026-01-31T12:00:00.000Z";
  const intent = [{
    actorId: "b",
    events: [{ id: "intended-1", eventType: "Followed", data: null, timestamp: at }],
    hasChosenIds: false,
    unfenced: true,
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  }];
  const parkedAt = { error: "Error: x", attempts: 1, parkedAt: at, blocksActor: false };
  return {
    format: 1,
    ...ID,
    filter: { eventTypes: ["Followed", "Happened"], actorPrefix: "a" },
    position: events[3]!.position,
    isBegun: true,
    parts: [{ position: events[4]!.position, handled: 0 }],
    done: [{ after: events[5]!.position, to: events[5]!.position }],
    alsoFailing: [],
    reactions: [],
    rebuild: { replaces: 1, since: at, handled: 0 },
    handled: 4,
    savedAt: at,
    writeId: "write",
    owner: { id: "worker", fencingToken: 0 },
    stopped: false,
    failing: { ...eventAt(4), error: "Error: y", attempts: 1, inHandSince: at },
    running: "process",
    parked: [{ ...eventAt(1), ...parkedAt }, { ...eventAt(2), ...parkedAt, part: 0, refused: intent }],
    resolved: [{ position: events[0]!.position, action: "retried", at }],
    intent,
    intendedFor: eventAt(3),
  };
}

/** Every place in a value, itself not included. */
function pathsOf(value: Json, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, item]) => {
    const inner = [...path, Array.isArray(value) ? Number(name) : name];
    return [inner, ...pathsOf(item as Json, inner)];
  });
}

function replaced(value: Json, [name, ...rest]: Path, by: Json | undefined): Json {
  if (name === undefined) return by as Json;
  const copy = structuredClone(value) as Record<string | number, Json>;
  copy[name] = replaced(copy[name]!, rest, by);
  return copy;
}

function projectionOf(checkpoints: CheckpointStore<unknown>): Projection<Event, unknown> {
  return {
    ...ID,
    checkpoints,
    filter: { eventTypes: ["Followed", "Happened"], actorPrefix: "a" },
    handle: () => {},
    failure: { retries: 0, then: "park", laterEvents: "go-on" },
    handlerTimeout: 100,
  };
}

const QUIET = { onWarning: (): void => {} };

/** Every call that reads a checkpoint. */
function callsOf(
  store: InMemoryEventStore,
  checkpoints: CheckpointStore<unknown>,
  [{ position: first }, { position }]: Scene["events"],
): Readonly<Record<string, () => Promise<unknown>>> {
  const projection = projectionOf(checkpoints);
  return {
    parked: () => listParked(projection),
    // It rejects for none of them, so that the others are shown.
    projectionStatuses: async () => {
      const [status] = await projectionStatuses(store, checkpoints);
      if (status?.problem instanceof DamagedCheckpointError) throw status.problem;
    },
    waitFor: () => waitFor(store, projection, first, { timeout: 0 }),
    projectOnce: () => projectOnce(store, projection, { budgetMs: 300, ...QUIET }),
    retryParked: () => retryParked(store, projection, position),
    discardParked: () => discardParked(store, projection, position),
  };
}

/** Fails if a call hangs, or rejects with anything but a typed error. */
async function judged(what: string, call: () => Promise<unknown>): Promise<unknown> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what}: hangs`)), 20_000);
  try {
    await Promise.race([call(), late]);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof AetherError, `${what}: ${error instanceof Error ? error.stack : error}`);
    if (error instanceof DamagedCheckpointError) {
      assert.match(error.message, /projection ".*" version \d+.*delete/);
    }
    return error;
  } finally {
    clearTimeout(timer);
  }
}

async function judgeAll(
  { store, events }: Scene,
  value: string,
  what: string,
): Promise<unknown[]> {
  const errors: unknown[] = [];
  for (const name of Object.keys(callsOf(store, new InMemoryCheckpoints(), events))) {
    const checkpoints = new InMemoryCheckpoints();
    await checkpoints.save(ID, value, undefined);
    const call = callsOf(store, checkpoints, events)[name]!;
    const error = await judged(`${name}: ${what}`, call);
    errors.push(error);
    if (error instanceof DamagedCheckpointError) {
      assert.deepEqual((await checkpoints.load(ID))!.value, value, `${name}: ${what}: it stays`);
    }
    await checkpoints.close();
  }
  return errors;
}

Deno.test("every field of a checkpoint with a hostile value leads to a typed error or to sound work", async () => {
  const scene = await sixEvents();
  await using _ = scene.store;
  const record = soundRecord(scene.events);
  const retry = { id: "retry", ttl: 1e15 };
  // A claim of a retry is waited for no longer than a retry may take.
  const waits = new InMemoryCheckpoints();
  await waits.save(ID, JSON.stringify({ ...record, retry }), undefined);
  const waited = judged(
    "a retry without an end",
    () =>
      projectOnce(scene.store, projectionOf(waits), { budgetMs: 18_000, ...QUIET }).then(({ caughtUp }) =>
        assert.ok(caughtUp)
      ),
  );
  assert.deepEqual(await judgeAll(scene, JSON.stringify(record), "the sound one"), Array(6).fill(undefined));
  let damaged = 0;
  for (const path of pathsOf(record)) {
    for (const value of HOSTILE) {
      const text = JSON.stringify(replaced(record, path, value));
      const what = `${path.join(".")}: ${(JSON.stringify(value) ?? "undefined").slice(0, 40)}`;
      const errors = await judgeAll(scene, text, what);
      if (errors[0] instanceof DamagedCheckpointError) damaged++;
      // A checkpoint that one call refuses as damaged is refused by all.
      const kinds = new Set(errors.map((error) => error instanceof DamagedCheckpointError));
      assert.equal(kinds.size, 1, what);
    }
  }
  for (const bad of HOSTILE.slice(1)) {
    const text = JSON.stringify({ ...record, retry: bad! });
    for (const error of await judgeAll(scene, text, "retry")) {
      assert.ok(error instanceof DamagedCheckpointError);
    }
  }
  assert.ok(damaged > 500, `${damaged}`);
  assert.equal(await waited, undefined);
  await waits.close();
});

Deno.test(`a checkpoint with random changes leads to a typed error or to sound work (seed ${SEED})`, async () => {
  const scene = await sixEvents();
  await using _ = scene.store;
  const random = new Random(SEED);
  const sound = JSON.stringify(soundRecord(scene.events));
  const parts = [
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "9",
    "-",
    "e",
    "\\",
    "\ud83d",
    "\u0000",
    "null",
    "true",
  ];
  for (let round = 0; round < 300; round++) {
    let text = sound;
    for (let change = Math.floor(random.between(1, 4)); change > 0; change--) {
      const at = Math.floor(random.between(0, text.length));
      const removed = random.pick([0, 1, 5]);
      text = text.slice(0, at) + random.pick([...parts, ""]) + text.slice(at + removed);
    }
    await judgeAll(scene, text, `round ${round}: ${text}`);
  }
});

/** A checkpoint of each kind, and a way to write anything in its place. */
interface Backend extends AsyncDisposable {
  readonly checkpoints: CheckpointStore<unknown>;
  readonly writes: readonly (() => unknown)[];
}

const BACKENDS: Readonly<Record<string, (sound: string) => Promise<Backend>>> = {
  "Deno KV": async (sound) => {
    const kv = await Deno.openKv(":memory:");
    const checkpoints = await DenoKvCheckpoints.open(kv);
    const key = ["aether", "default", "projection", "p", 1];
    const text = new TextEncoder().encode(sound);
    const values = [
      null,
      "text",
      5n,
      new Uint8Array(3),
      {},
      { pieces: 0 },
      { pieces: 0, text: "text" },
      { pieces: -1, text },
      { pieces: 1.5, text },
      { pieces: 1, text },
      { pieces: 1e9, text },
      { pieces: Infinity, text },
      { pieces: "1", text },
      { pieces: 0, text: new Uint8Array([0xff, 0xfe, 0xff]) },
      { pieces: 0, text: text.slice(0, 100) },
      new Map([["pieces", 0]]),
      new Deno.KvU64(7n),
    ];
    return {
      checkpoints,
      writes: [
        ...values.map((value) => () => kv.set(key, value)),
        async () => {
          await kv.set(["aether", "default", "projection piece", "p", 1, 1], "text");
          await kv.set(key, { pieces: 1, text });
        },
      ],
      [Symbol.asyncDispose]: async () => {
        await checkpoints.close();
        kv.close();
      },
    };
  },
  SQLite: (sound) => {
    const database = new DatabaseSync(":memory:");
    const checkpoints = new SqliteCheckpoints(database) as unknown as CheckpointStore<unknown>;
    const write = (value: string, revision = 1n) => (): void => {
      database.exec("DELETE FROM aether_projection");
      database.prepare("INSERT INTO aether_projection (name, version, revision, value) VALUES ('p', 1, ?, ?)")
        .run(revision, value);
    };
    return Promise.resolve({
      checkpoints,
      writes: [
        write(""),
        write("\0"),
        write("{"),
        write(sound.slice(1)),
        write(sound, 2n ** 53n),
        write(sound, 2n ** 63n - 1n),
        write(sound, -(2n ** 63n)),
        () =>
          database.exec(
            "DROP TABLE aether_projection; CREATE TABLE aether_projection (name, version, revision, value); " +
              "INSERT INTO aether_projection VALUES ('p', 1, 1, x'ff00')",
          ),
      ],
      [Symbol.asyncDispose]: () => Promise.resolve(database.close()),
    });
  },
  JetStream: async (sound) => {
    const stack = new AsyncDisposableStack();
    const server = stack.use(await startNatsServer());
    const checkpoints = stack.use(await JetStreamCheckpoints.open(server.url));
    await checkpoints.save(ID, sound, undefined);
    const connection = await connectTo(server.url);
    stack.defer(() => connection.close());
    const info = await connection.request("$JS.API.STREAM.INFO.KV_aether_projections", "", {
      timeout: 60_000,
    });
    const subject = (JSON.parse(new TextDecoder().decode(info.data)) as { config: { subjects: string[] } })
      .config.subjects[0]!.replace(">", "checkpoint.p.1");
    const write = (value: string | Uint8Array) => async (): Promise<void> => {
      const { data } = await connection.request(subject, value, { timeout: 60_000 });
      assert.match(new TextDecoder().decode(data), /"seq"/);
    };
    const values = ["", "\0", "{", sound.slice(1), new Uint8Array([0xff, 0xfe]), "[]", "7"];
    return { checkpoints, writes: values.map(write), [Symbol.asyncDispose]: () => stack.disposeAsync() };
  },
};

for (const [name, open] of Object.entries(BACKENDS)) {
  Deno.test(`${name}: what is no checkpoint, or has a bad field, is refused by every call that reads it, and can be deleted`, async () => {
    const { store, events } = await sixEvents();
    await using _ = store;
    const record = soundRecord(events);
    await using backend = await open(JSON.stringify(record));
    const { checkpoints } = backend;
    const saved = Object.keys(record).filter((field) => field !== "position").map((field) => async () => {
      const stored = await checkpoints.load(ID).catch(() => undefined);
      const value = JSON.stringify({ ...record, [field]: 1.5 });
      if (!stored) await deleteCheckpoint({ ...ID, checkpoints });
      await checkpoints.save(ID, value, stored?.revision);
    });
    for (const [index, write] of [...saved, ...backend.writes].entries()) {
      await write();
      const calls = callsOf(store, checkpoints, events);
      for (const [call, run] of Object.entries(calls)) {
        const error = await judged(`${index}: ${call}`, run);
        assert.ok(error instanceof DamagedCheckpointError, `${index}: ${call}: ${error}`);
        assert.deepEqual(error.projection, ID, `${index}: ${call}`);
      }
      await using run = runProjection(store, projectionOf(checkpoints), QUIET);
      const error = await judged(`${index}: runProjection`, () => run.finished);
      assert.ok(error instanceof DamagedCheckpointError, `${index}: runProjection: ${error}`);
    }
    assert.equal(await deleteCheckpoint({ ...ID, checkpoints }), true);
    await projectOnce(store, projectionOf(checkpoints), QUIET);
    assert.equal((await projectionStatuses(store, checkpoints))[0]!.handled, 6);
  });
}
