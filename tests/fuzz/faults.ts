/**
 * Plays faults of a log, and compares each answer with what may be answered after them.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  DamagedHistoryError,
  InMemoryCheckpoints,
  InvalidPositionError,
  LogReplacedError,
  projectOnce,
  replay,
  type SnapshotStore,
  type StoredEvent,
} from "@flowmade-one/aether";
import type { StoreUnderTest } from "@flowmade-one/aether/testing";
import { ReferenceStore } from "../../src/testing/cases/reference.ts";
import { all, wholeLog } from "../../src/testing/support.ts";
import { assertConsistent } from "../support/consistent_store.ts";
import type { Call } from "./call.ts";
import { CALLS } from "./calls.ts";
import type { Fault, FlushReport, FuzzedBackend, FuzzHarness } from "./fault_steps.ts";
import { uncounted } from "./observed.ts";

type Of<K extends Fault["kind"]> = Fault & { readonly kind: K };

const ACTORS = ["a", "b.c", "\u20ac"];

/** Plays a fault over a backend of its own; nothing if the backend cannot have it. */
export async function playFault(fault: Fault, harness: FuzzHarness): Promise<void> {
  if (fault.kind === "flushed") {
    const report = await harness.flush?.(fault.steps);
    return report && judgeFlush(report);
  }
  await using stage = new FaultStage(await harness.setUp());
  switch (fault.kind) {
    case "replaced":
      return await replaced(fault, stage);
    case "restored":
      return await restored(fault, stage);
    case "damaged":
      return await damaged(fault, stage);
  }
}

/** A backend, and the stores that were opened over it. */
class FaultStage implements AsyncDisposable {
  readonly backend: FuzzedBackend;
  readonly #stores: StoreUnderTest[] = [];

  constructor(backend: FuzzedBackend) {
    this.backend = backend;
  }

  async open(): Promise<StoreUnderTest> {
    const store = await this.backend.open({ onWarning(): void {} });
    this.#stores.push(store);
    return store;
  }

  async close(): Promise<void> {
    for (const store of this.#stores.splice(0)) await store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await this.backend.dispose?.();
  }
}

/** Appends so many events, to one actor after the other. */
async function grow(store: StoreUnderTest, count: number, data: string): Promise<StoredEvent[]> {
  const stored: StoredEvent[] = [];
  for (let index = 0; index < count; index++) {
    const actorId = ACTORS[index % ACTORS.length]!;
    const event = { eventType: "Happened", data: `${data} ${index}` };
    stored.push(...await store.append(actorId, [event], { expectedVersion: "any" }));
  }
  return stored;
}

/** A store whose log was replaced gives no answer of the new one, and leaves nothing in it. */
async function replaced({ before, after, calls }: Of<"replaced">, stage: FaultStage): Promise<void> {
  const { backend } = stage;
  if (!backend.deleteLog) return;
  const old = await stage.open();
  const lost = await grow(old, before, "old");
  const reference = new ReferenceStore(old.limits);
  for (const event of lost) reference.append(event.actorId, [event], "any", undefined);
  await backend.deleteLog();
  const fresh = await stage.open();
  await grow(fresh, after, "new");
  const log = await wholeLog(fresh);
  assert.equal(log.length, after);
  for (const [index, method] of calls.entries()) {
    const call: Call = CALLS[method];
    // More events than there are: a subscription waits for them until it is refused.
    const expected = backend.keepsReplacedLogs ? 0 : before + 1;
    const args = { ...call.sound(reference, "a", 9_000_000 + 10 * index), expected };
    const outcome = await call.run(old, args).then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
    if (backend.keepsReplacedLogs) continue; // it answers for its own log
    assert("error" in outcome, `${method} of a log that was replaced is answered`);
    assert(outcome.error instanceof LogReplacedError, `${method}: ${outcome.error}`);
  }
  assert.deepEqual(await wholeLog(fresh), log, "something is stored in the new log");
  for (const actorId of ACTORS) {
    const own = log.filter((event) => event.actorId === actorId);
    assert.deepEqual(await fresh.getEvents(actorId), own);
    assert.equal(await fresh.getLatestSnapshot?.(actorId, "fuzz"), undefined);
    await fresh.append(actorId, [{ eventType: "Happened", data: 1 }], { expectedVersion: own.length });
  }
  assert.equal((await fresh.verify()).ok, true);
  for (const { position } of lost) await assertPositionRefused(fresh, position);
}

async function assertPositionRefused(store: StoreUnderTest, position: string): Promise<void> {
  const isRefused = (error: unknown): boolean => error instanceof InvalidPositionError;
  await assert.rejects(all(() => store.readAll({ after: position })), isRefused, "readAll");
  await assert.rejects(all(() => store.readAll({ after: position, actorId: "a" })), isRefused, "readAll");
  await using subscription = store.subscribe({ after: position });
  await assert.rejects(subscription.ready, isRefused, "subscribe");
  const verified = await store.verify({ expectedPosition: position }).catch((error: unknown) => error);
  const { ok } = verified as { readonly ok?: boolean };
  assert(isRefused(verified) || ok === false, `verify: ${Deno.inspect(verified)}`);
}

const counter = {
  initialState: (): number => 0,
  evolve: (count: number): number => count + 1,
  snapshot: { kind: "fuzz", schemaVersion: 1 },
};

/** After a restore no position, snapshot or checkpoint of the lost part is taken, however far the log has grown. */
async function restored({ kept, lost, regrown }: Of<"restored">, stage: FaultStage): Promise<void> {
  const { backend } = stage;
  if (!backend.backUp || !backend.restore) return;
  const begun = await stage.open();
  const keptEvents = await grow(begun, kept, "kept");
  await stage.close();
  await backend.backUp();
  const before = await stage.open();
  const lostEvents = await grow(before, lost, "lost");
  const checkpoints = new InMemoryCheckpoints();
  const projection = { name: "p", checkpoints, handle: (): void => {} };
  await projectOnce(uncounted(before), projection, { budgetMs: 10_000 });
  const version = await before.getLatestVersion("a");
  const taken = version > 0 && before.saveSnapshot && before.getLatestSnapshot
    ? await before.saveSnapshot({ actorId: "a", kind: "fuzz", schemaVersion: 1, version, state: version })
      .then(() => before.getLatestSnapshot!("a", "fuzz"))
    : undefined;
  await stage.close();
  await backend.restore();
  const store = await stage.open();
  const expected = [...keptEvents];
  for (let index = 0; index <= regrown; index++) {
    const log = await wholeLog(store);
    assert.deepEqual(log, expected);
    for (const { position } of lostEvents) await assertPositionRefused(store, position);
    for (const [index, { position }] of keptEvents.entries()) {
      assert.deepEqual(await all(() => store.readAll({ after: position })), log.slice(index + 1));
    }
    if (index < regrown) expected.push(...await grow(store, 1, `regrown ${index}`));
  }
  const isLost = lostEvents.length > 0;
  const projecting = projectOnce(uncounted(store), projection, { budgetMs: 10_000 });
  if (isLost) await assert.rejects(projecting, InvalidPositionError, "the checkpoint");
  else assert.equal((await projecting).handled, regrown);
  if (!taken) return;
  // Snapshots may be kept elsewhere than the log, and are not restored with it then.
  const elsewhere = {
    readEvents: store.readEvents.bind(store),
    getLatestVersion: store.getLatestVersion.bind(store),
    saveSnapshot: store.saveSnapshot!.bind(store),
    getLatestSnapshot: () => Promise.resolve(taken),
  } as unknown as StoreUnderTest & SnapshotStore;
  const replaying = replay(elsewhere, "a", counter, { onWarning(): void {} });
  if (lostEvents.some(({ actorId }) => actorId === "a")) {
    await assert.rejects(replaying, DamagedHistoryError, "the snapshot");
  } else assert.equal((await replaying).version, await store.getLatestVersion("a"));
}

/** What another program has stored in the log is damage, or changes no answer; each call ends. */
async function damaged({ events, plants }: Of<"damaged">, stage: FaultStage): Promise<void> {
  const { backend } = stage;
  if (!backend.plant) return;
  const warm = await stage.open();
  const stored = await grow(warm, events, "sound");
  await warm.saveSnapshot?.({ actorId: "a", kind: "k", schemaVersion: 1, version: 1, state: 1 });
  for (const plant of plants) await backend.plant(plant);
  const cold = await stage.open();
  const known = new Set(stored.map(({ id }) => id));
  for (const store of [cold, warm]) {
    const read = await all(() => store.readAll({ onDamage(): void {} }));
    const found = read.filter(({ id }) => known.has(id));
    for (const event of found) {
      const original = stored.find(({ id }) => id === event.id)!;
      if (event.position === original.position) assert.equal(event.actorId, original.actorId);
    }
  }
  await assertConsistent(cold, ACTORS);
  await assertConsistent(await stage.open(), ACTORS);
}

/** What was acknowledged is stored, what was refused is not, and all of it once. */
export function judgeFlush({ answers, stored, isWhole }: FlushReport): void {
  assert(isWhole, "the log is damaged");
  assert.equal(new Set(stored).size, stored.length, "an event is stored twice");
  const outcomes = new Map(answers.map(({ id, outcome }) => [id, outcome]));
  for (const id of stored) assert(outcomes.has(id), `${id} was never appended`);
  for (const { id, outcome } of answers) {
    if (outcome === "stored") assert(stored.includes(id), `${id} was acknowledged and is lost`);
    else if (outcome !== "OutcomeUnknownError") {
      assert(!stored.includes(id), `${id} was refused with ${outcome} and is stored`);
    }
  }
}
