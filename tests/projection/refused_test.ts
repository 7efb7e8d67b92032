/** Stored events that this program cannot hand out: refused by a schema or an upcaster, or newer than the program. */

import assert from "node:assert/strict";
import {
  DenoKvCheckpoints,
  DenoKvEventStore,
  discardParked,
  type EventDefinitions,
  EventSchemaError,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryStorage,
  JetStreamCheckpoints,
  JetStreamEventStore,
  listParked,
  type Projection,
  projectionStatuses,
  ProjectionStoppedError,
  projectOnce,
  retryParked,
  runProjection,
  SchemaVersionError,
  type StoredEvent,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { patient, until } from "./support.ts";

/** A log that programs of different versions open. */
interface Place extends AsyncDisposable {
  open(events: EventDefinitions): Promise<EventStore>;
  readonly checkpoints: Projection["checkpoints"];
}

const PLACES: Readonly<Record<string, () => Promise<Place>>> = {
  memory: () => {
    const storage = new InMemoryStorage();
    return Promise.resolve({
      open: (events) => Promise.resolve(new InMemoryEventStore({ storage, events })),
      checkpoints: new InMemoryCheckpoints(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  },
  "Deno KV": async () => {
    const folder = await kvFolder();
    const kv = await Deno.openKv(folder.file);
    const checkpoints = await DenoKvCheckpoints.open(kv);
    return {
      open: (events) => DenoKvEventStore.open(kv, { events, pollInterval: 5 }),
      checkpoints: checkpoints as unknown as Projection["checkpoints"],
      async [Symbol.asyncDispose](): Promise<void> {
        await checkpoints.close();
        kv.close();
        await folder[Symbol.asyncDispose]();
      },
    };
  },
  JetStream: async () => {
    const server = await startNatsServer();
    const checkpoints = await JetStreamCheckpoints.open(server.url);
    return {
      open: (events) => JetStreamEventStore.open(server.url, { events }),
      checkpoints,
      async [Symbol.asyncDispose](): Promise<void> {
        await checkpoints.close();
        await server[Symbol.asyncDispose]();
      },
    };
  },
};

const UPCAST: EventDefinitions = {
  Placed: { version: 2, upcast: [(data: { n: number | null }) => ({ n: data.n!.toFixed(2) })] },
};

const place = (
  n: number | null,
): { readonly eventType: "Placed"; readonly data: { readonly n: number | null } } => (
  { eventType: "Placed", data: { n } }
);

for (const [name, begin] of Object.entries(PLACES)) {
  Deno.test(`${name}: an event that its upcaster refuses is parked, retried, discarded and counted as any other`, async () => {
    await using opened = await begin();
    const { open, checkpoints } = opened;
    await using old = await open({});
    await old.append("good", [place(1)], { expectedVersion: 0 });
    const [bad] = await old.append("bad", [place(null), place(2)], { expectedVersion: 0 });
    await old.append("good", [place(3)], { expectedVersion: 1 });
    await using store = await open(UPCAST);
    const seen: string[] = [];
    const projection: Projection = {
      name: "p",
      checkpoints,
      failure: { retries: 1, firstDelay: 1, then: "park" },
      handle: ({ actorId, version }) => void seen.push(`${actorId}${version}`),
    };
    const warnings: string[] = [];
    await using run = runProjection(store, projection, { onWarning: ({ code }) => void warnings.push(code) });
    await run.waitFor((await store.getLastPosition())!);
    assert.deepEqual(seen, ["good1", "good2"]);
    assert.deepEqual(warnings, ["projection-parked"]);
    const [entry] = await listParked(projection);
    assert.deepEqual([entry!.position, entry!.eventId, entry!.attempts], [bad!.position, bad!.id, 2]);
    assert.match(entry!.error, /EventSchemaError/);

    // Live: another one of another actor.
    await old.append("worse", [place(null)], { expectedVersion: 0 });
    await old.append("good", [place(4)], { expectedVersion: 2 });
    await until("it goes on", () => seen.includes("good3"));
    await until("it is parked", async () => (await listParked(projection)).length === 2);
    await run.close();
    const [status] = await projectionStatuses(store, checkpoints);
    assert.deepEqual([status!.lag?.events, status!.stopped, status!.parked.length], [0, false, 2]);

    await assert.rejects(retryParked(store, projection, bad!.position), (error) => {
      assert.ok(error instanceof ProjectionStoppedError && error.cause instanceof EventSchemaError);
      return true;
    });
    assert.equal((await listParked(projection)).find(({ actorId }) => actorId === "bad")!.attempts, 3);
    // A program whose upcaster is correct.
    await using corrected = await open({
      Placed: { version: 2, upcast: [(data: { n: number | null }) => ({ n: data.n ?? 0 })] },
    });
    await retryParked(corrected, projection, bad!.position);
    assert.deepEqual(seen.slice(3), ["bad1", "bad2"]);
    await discardParked(store, projection, (await listParked(projection))[0]!.position);
    assert.deepEqual(await listParked(projection), []);
  });

  Deno.test(`${name}: an event that its upcaster refuses stops a projection that is to stop, and its lag is known`, async () => {
    await using opened = await begin();
    const { open, checkpoints } = opened;
    await using old = await open({});
    for (const n of [1, 2, null, 3]) await old.append(`a${n}`, [place(n)], { expectedVersion: 0 });
    await using store = await open(UPCAST);
    let mails = 0;
    const projection: Projection = {
      name: "p",
      checkpoints,
      failure: { retries: 0 },
      handle: () => void mails++,
    };
    for (let start = 0; start < 3; start++) {
      await assert.rejects(projectOnce(store, projection, patient), ProjectionStoppedError);
      const run = runProjection(store, projection, { onWarning: () => {} });
      await assert.rejects(run.finished, ProjectionStoppedError);
    }
    assert.equal(mails, 2);
    const [status] = await projectionStatuses(store, checkpoints);
    assert.deepEqual([status!.lag?.events, status!.stopped, status!.failing?.actorId], [2, true, "anull"]);
  });

  Deno.test(`${name}: an event that is newer than the program ends it, and what was handled is not handled again`, async () => {
    await using opened = await begin();
    const { open, checkpoints } = opened;
    await using newer = await open({ Placed: { version: 2, upcast: [(data) => data] } });
    for (let index = 0; index < 20; index++) {
      await newer.append(`a${index}`, [{ eventType: "Mailed", data: 1 }], { expectedVersion: 0 });
    }
    await newer.append("new", [place(1)], { expectedVersion: 0 });
    await using old = await open({});
    const mails: StoredEvent[] = [];
    const projection: Projection = {
      name: "p",
      checkpoints,
      failure: { then: "park" },
      handle: (event) => void mails.push(event),
    };
    for (let start = 0; start < 3; start++) {
      const warnings: string[] = [];
      const run = runProjection(old, projection, { onWarning: ({ code }) => void warnings.push(code) });
      await assert.rejects(run.finished, SchemaVersionError);
      assert.equal(run.state, "stopped");
      assert.deepEqual(warnings, ["projection-stopped"]);
      await assert.rejects(projectOnce(old, projection, patient), SchemaVersionError);
    }
    assert.equal(mails.length, 20);
    const [status] = await projectionStatuses(old, checkpoints);
    assert.ok(status!.problem instanceof SchemaVersionError);
    await projectOnce(newer, projection, patient);
    assert.equal(mails.length, 21);
  });
}
