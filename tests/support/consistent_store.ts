/**
 * A store over data that other programs have damaged: its answers agree with one another.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DamagedHistoryError, InvalidEventError, replay, type SnapshotStore } from "@flowmade-one/aether";
import type { StoreUnderTest } from "@flowmade-one/aether/testing";

const sumOf = {
  initialState: (): number => 0,
  evolve: (count: number): number => count + 1,
  snapshot: { kind: "k", schemaVersion: 1 },
};

/** Each call gives an answer or damage; answers agree with one another. */
export async function assertConsistent(
  store: StoreUnderTest,
  actorIds: readonly string[],
): Promise<void> {
  const orDamage = async <T>(call: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await call();
    } catch (error) {
      // No version follows the last one.
      if (error instanceof DamagedHistoryError || error instanceof InvalidEventError) return undefined;
      throw error;
    }
  };
  const around = { onDamage(): void {} };
  const log = await Array.fromAsync(store.readAll(around));
  for (const [index, { position, version }] of log.entries()) {
    assert.match(position, /^[0-9a-f]{12}-[0-9a-f]+$/);
    assert(Number.isSafeInteger(version) && version > 0);
    assert(index === 0 || position > log[index - 1]!.position, "positions do not rise");
    const rest = await Array.fromAsync(store.readAll({ ...around, after: position }));
    assert.deepEqual(rest, log.slice(index + 1));
  }
  assert.deepEqual(
    await Array.fromAsync(store.readAll({ ...around, direction: "backward" })),
    log.toReversed(),
  );
  const whole = await orDamage(() => Array.fromAsync(store.readAll()));
  if (whole) assert.deepEqual(whole, log);
  else assert.equal((await store.verify()).ok, false);
  await store.verify();
  await orDamage(() => store.getLastPosition());
  await orDamage(() => store.subscribe({ after: "end" }).ready);
  for (const actorId of actorIds) await store.getLatestSnapshot?.(actorId, "k");
  await orDamage(() => Array.fromAsync(store.listActors()));
  for (const actorId of actorIds) {
    await orDamage(() =>
      replay(store as SnapshotStore & StoreUnderTest, actorId, sumOf, { onWarning(): void {} })
    );
    for (const direction of ["forward", "backward"] as const) {
      await Array.fromAsync(store.readEvents(actorId, { ...around, direction }));
      await Array.fromAsync(
        store.readEvents(actorId, { ...around, direction, fromVersion: 2, toVersion: 3 }),
      );
    }
    const history = await orDamage(() => store.getEvents(actorId));
    const latest = await orDamage(() => store.getLatestVersion(actorId));
    if (history && latest !== undefined) assert.equal(history.at(-1)?.version ?? 0, latest);
    const options = { expectedVersion: "any", unfenced: true } as const;
    const saved = await orDamage(() =>
      store.append(actorId, [{ eventType: "Happened", data: "more" }], options)
    );
    if (!saved) continue;
    assert.equal(saved[0]!.version, latest! + 1);
    assert.equal(await store.getLatestVersion(actorId), latest! + 1);
    await store.saveSnapshot?.({ actorId, kind: "k", schemaVersion: 2, version: latest! + 1, state: 1 });
  }
}

/** Fails if something takes longer, in milliseconds. */
export async function within(timeout: number, running: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it has not ended in ${timeout} ms`)), timeout);
  try {
    await Promise.race([running, promise]);
  } finally {
    clearTimeout(timer);
  }
}
