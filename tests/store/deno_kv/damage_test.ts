import assert from "node:assert/strict";
import { DamagedHistoryError, DenoKvEventStore, type HistoryFault, type StoredEvent } from "../../../mod.ts";
import { incompressible } from "../../support/kv_forgery.ts";
import { kvFolder } from "../../support/kv_file.ts";

/** Damages what is stored of a namespace: the keys are found as an intruder would find them. */
async function damage(
  file: string,
  change: (kv: Deno.Kv, entries: readonly Deno.KvEntry<Uint8Array>[]) => Promise<unknown>,
  kind: "event" | "commit" | "chunk",
): Promise<void> {
  using kv = await Deno.openKv(file);
  const entries = await Array.fromAsync(kv.list<Uint8Array>({ prefix: ["aether", "default", kind] }));
  await change(kv, entries);
}

/** Flips a bit in the middle of a value. */
function flipped(value: Uint8Array): Uint8Array {
  const changed = value.slice();
  changed[changed.length >> 1]! ^= 1;
  return changed;
}

/** Three commits of one actor, and one of another, in a closed file. */
async function filled(file: string): Promise<void> {
  await using store = await DenoKvEventStore.open(file);
  for (const version of [0, 1, 2]) {
    await store.append("a", [{ eventType: "E", data: { version } }], { expectedVersion: version });
  }
  await store.append("b", [{ eventType: "E", data: null }], { expectedVersion: 0 });
}

async function versions(events: AsyncIterable<StoredEvent>): Promise<number[]> {
  return (await Array.fromAsync(events)).map(({ version }) => version);
}

Deno.test("a flipped bit in an actor's record is damage with actor, version and position", async () => {
  await using folder = await kvFolder();
  await filled(folder.file);
  await damage(folder.file, (kv, [, second]) => kv.set(second!.key, flipped(second!.value)), "event");
  await using store = await DenoKvEventStore.open(folder.file);
  await assert.rejects(store.getEvents("a"), (error) => {
    assert(error instanceof DamagedHistoryError);
    assert.equal(error.actorId, "a");
    assert.equal(error.version, 2);
    assert.match(error.reason, /checksum/);
    return true;
  });
  assert.deepEqual(await versions(store.readEvents("a", { toVersion: 1 })), [1]);
  const faults: HistoryFault[] = [];
  const onDamage = (fault: HistoryFault): void => void faults.push(fault);
  assert.deepEqual(await versions(store.readEvents("a", { onDamage })), [1, 3]);
  assert.equal(faults.length, 1);
  assert.deepEqual(await versions(store.readEvents("a", { onDamage, direction: "backward" })), [3, 1]);
  assert.equal(faults.length, 2);
  assert.equal((await store.verify()).ok, false);
});

Deno.test("a flipped bit in the last record stops saves, and other actors go on", async () => {
  await using folder = await kvFolder();
  await filled(folder.file);
  await damage(folder.file, (kv, entries) => kv.set(entries[2]!.key, flipped(entries[2]!.value)), "event");
  await using store = await DenoKvEventStore.open(folder.file);
  const event = { eventType: "E", data: 1 };
  await assert.rejects(store.append("a", [event], { expectedVersion: 3 }), DamagedHistoryError);
  await assert.rejects(store.getLatestVersion("a"), DamagedHistoryError);
  assert.equal((await store.append("b", [event], { expectedVersion: 1 })).length, 1);
});

Deno.test("a removed record in the middle is told apart from an allowed gap", async () => {
  await using folder = await kvFolder();
  await filled(folder.file);
  await damage(folder.file, (kv, [, second]) => kv.delete(second!.key), "event");
  await using store = await DenoKvEventStore.open(folder.file);
  const missing = (error: unknown): boolean => {
    assert(error instanceof DamagedHistoryError);
    assert.match(error.reason, /version 2 is missing/);
    return true;
  };
  await assert.rejects(store.getEvents("a"), missing);
  await assert.rejects(versions(store.readEvents("a", { direction: "backward" })), missing);
  const report = await store.verify();
  assert.equal(report.faults.length, 2, "the actor's chain, and the log's commit without a record");
});

Deno.test("a removed first record is damage", async () => {
  await using folder = await kvFolder();
  await filled(folder.file);
  await damage(folder.file, (kv, [first]) => kv.delete(first!.key), "event");
  await using store = await DenoKvEventStore.open(folder.file);
  await assert.rejects(store.getEvents("a"), /version 1 is missing/);
  await assert.rejects(versions(store.readEvents("a", { direction: "backward" })), /version 1 is missing/);
  assert.deepEqual((await store.getEvents("a", 2)).map(({ version }) => version), [2, 3]);
});

Deno.test("a removed tail is found by a store that was open, by a position and by verify", async () => {
  await using folder = await kvFolder();
  await filled(folder.file);
  await using store = await DenoKvEventStore.open(folder.file);
  assert.equal(await store.getLatestVersion("a"), 3);
  const expectedPosition = await store.getLastPosition();
  await damage(folder.file, (kv, entries) => kv.delete(entries[2]!.key), "event");
  await assert.rejects(store.getEvents("a"), /ends at version 2, and this store has seen version 3/);
  await assert.rejects(versions(store.readEvents("a", { direction: "backward" })), /ends at version 2/);
  await assert.rejects(store.getLatestVersion("a"), DamagedHistoryError);
  assert.equal((await store.verify()).faults.length, 1);
  await damage(folder.file, (kv, entries) => kv.delete(entries.at(-1)!.key), "commit");
  const report = await store.verify({ expectedPosition: expectedPosition! });
  assert(report.faults.some(({ message }) => message.includes("before the expected position")));
});

Deno.test("a flipped bit in the log is damage for readAll, subscribe and verify", async () => {
  await using folder = await kvFolder();
  await filled(folder.file);
  await damage(folder.file, (kv, [, second]) => kv.set(second!.key, flipped(second!.value)), "commit");
  await using store = await DenoKvEventStore.open(folder.file);
  await assert.rejects(Array.fromAsync(store.readAll()), DamagedHistoryError);
  await assert.rejects(Array.fromAsync(store.subscribe()), DamagedHistoryError);
  const faults: HistoryFault[] = [];
  const read = Array.fromAsync(store.readAll({ onDamage: (fault) => faults.push(fault) }));
  assert.equal((await read).length, 3);
  const [fault] = faults;
  assert(fault instanceof DamagedHistoryError);
  assert(fault.position! > (await read)[0]!.position);
  assert.equal((await store.verify()).ok, false);
  assert.equal((await store.getEvents("a")).length, 3, "the actors' own records are whole");
});

Deno.test("a record removed from the log is found by the chain of its actor", async () => {
  await using folder = await kvFolder();
  await filled(folder.file);
  await damage(folder.file, (kv, [, second]) => kv.delete(second!.key), "commit");
  await using store = await DenoKvEventStore.open(folder.file);
  await assert.rejects(Array.fromAsync(store.readAll()), /version 2 is missing/);
  const report = await store.verify();
  assert(report.faults.some(({ message }) => message.includes("a commit is missing from the log")));
});

Deno.test("a missing chunk of a large event is damage", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open(folder.file);
    await store.append("a", [{ eventType: "E", data: incompressible(200_000) }], { expectedVersion: 0 });
    assert.equal((await store.getEvents("a")).length, 1);
    assert.equal((await Array.fromAsync(store.readAll())).length, 1);
  }
  await damage(folder.file, (kv, [, chunk]) => kv.delete(chunk!.key), "chunk");
  await using store = await DenoKvEventStore.open(folder.file);
  await assert.rejects(store.getEvents("a"), /a chunk of it is missing/);
  await assert.rejects(Array.fromAsync(store.readAll()), /a chunk of it is missing/);
});

Deno.test("other data of the application is neither changed nor read as events", async () => {
  await using folder = await kvFolder();
  {
    using kv = await Deno.openKv(folder.file);
    await kv.set(["users", "alice"], { name: "Alice" });
    await kv.set(["aether-notes"], 1);
  }
  await filled(folder.file);
  await using store = await DenoKvEventStore.open(folder.file);
  assert.equal((await store.verify()).ok, true);
  using kv = await Deno.openKv(folder.file);
  const foreign = await Array.fromAsync(kv.list({ prefix: [] }));
  assert.equal(foreign.filter(({ key }) => key[0] !== "aether").length, 2);
});

Deno.test("what onDamage throws ends a read, and is the caller's own error", async () => {
  await using folder = await kvFolder();
  await filled(folder.file);
  await damage(folder.file, (kv, [, second]) => kv.delete(second!.key), "event");
  await damage(folder.file, (kv, [, second]) => kv.set(second!.key, flipped(second!.value)), "commit");
  await using store = await DenoKvEventStore.open(folder.file);
  const own = new Error("my own");
  const onDamage = (): never => {
    throw own;
  };
  for (
    const read of [
      store.readEvents("a", { onDamage }),
      store.readEvents("a", { onDamage, direction: "backward" }),
      store.readAll({ onDamage }),
    ]
  ) await assert.rejects(Array.fromAsync<StoredEvent>(read), (error) => error === own);
});

Deno.test("a record removed from the log is missed by a read that begins behind a position", async () => {
  await using folder = await kvFolder();
  let after: string;
  {
    await using store = await DenoKvEventStore.open(folder.file);
    await store.append("a", [{ eventType: "E", data: 1 }], { expectedVersion: 0 });
    await store.takeOver("a", 1); // it is in no record of the log
    const unfenced = { unfenced: true };
    [{ position: after }] = await store.append("b", [{ eventType: "E", data: 1 }], {
      expectedVersion: 0,
    }) as [
      StoredEvent,
    ];
    await store.append("a", [{ eventType: "E", data: 2 }], { expectedVersion: 1, ...unfenced });
    await store.takeOver("a", 2);
    await store.append("a", [{ eventType: "E", data: 3 }], { expectedVersion: 2, ...unfenced });
    assert.deepEqual(await versions(store.readAll({ after })), [2, 3]);
  }
  {
    await using store = await DenoKvEventStore.open(folder.file); // heads are read anew
    await store.append("a", [{ eventType: "E", data: 4 }], { expectedVersion: 3, unfenced: true });
    assert.deepEqual(await versions(store.readAll({ after })), [2, 3, 4]);
  }
  await damage(folder.file, (kv, [, , third]) => kv.delete(third!.key), "commit");
  await using store = await DenoKvEventStore.open(folder.file);
  await assert.rejects(Array.fromAsync(store.readAll({ after })), /version 2 is missing/);
  await assert.rejects(Array.fromAsync(store.readAll({ after, actorId: "a" })), /version 2 is missing/);
  await assert.rejects(
    Array.fromAsync(store.readAll({ after, direction: "backward" })),
    /version 2 is missing/,
  );
  assert.deepEqual(await versions(store.readAll({ direction: "backward", limit: 1 })), [4]);
  await using subscription = store.subscribe({ after });
  await assert.rejects(Array.fromAsync(subscription), /version 2 is missing/);
  const faults: HistoryFault[] = [];
  const onDamage = (fault: HistoryFault): void => void faults.push(fault);
  assert.deepEqual(await versions(store.readAll({ after, onDamage })), [3, 4]);
  assert.equal(faults.length, 1);
});

Deno.test("verify() finds that the log has lost its end, or all of it, if the actors' records are stored", async () => {
  for (const lost of [1, 4]) {
    await using folder = await kvFolder();
    await filled(folder.file);
    await damage(folder.file, async (kv, commits) => {
      for (const { key } of commits.slice(-lost)) await kv.delete(key);
    }, "commit");
    await using store = await DenoKvEventStore.open(folder.file);
    const { ok, faults, events } = await store.verify();
    assert.deepEqual([ok, faults.length, events], [false, lost, 4 - lost]);
    for (const { message } of faults) assert.match(message, /a commit is missing from the log/);
    assert.equal(faults.at(-1)!.actorId, "b");
  }
});

Deno.test("deleted snapshots leave nothing in the file, damaged ones neither", async () => {
  await using folder = await kvFolder();
  using kv = await Deno.openKv(folder.file);
  await using store = await DenoKvEventStore.open(kv);
  const large = "x".repeat(200_000);
  for (const actorId of ["a", "b", "c"]) {
    await store.append(actorId, [{ eventType: "Happened", data: null }], { expectedVersion: 0 });
    for (const kind of ["state", "kept"]) {
      await store.saveSnapshot({ actorId, kind, schemaVersion: 1, version: 1, state: large });
    }
  }
  const keys = async (part: string): Promise<Deno.KvKey[]> =>
    await Array.fromAsync(kv.list({ prefix: ["aether", "default", part] }), ({ key }) => key);
  const before = (await keys("piece")).length;
  assert.ok(before > 6);
  await kv.set(["aether", "default", "snapshot", "a", "state"], new Uint8Array([1, 2, 3]));
  await kv.set(["aether", "default", "snapshot", "b", "state"], "no snapshot");
  assert.equal(await store.deleteSnapshots("state"), 3);
  assert.equal((await keys("piece")).length, before / 2);
  assert.deepEqual(
    (await keys("snapshot")).map((key) => key.slice(-2)),
    ["a", "b", "c"].map((id) => [id, "kept"]),
  );
  assert.equal((await store.getLatestSnapshot("a", "kept"))?.state, large);
});
