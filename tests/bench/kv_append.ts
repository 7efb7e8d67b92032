/**
 * Appending to Deno KV: through the store, and bare.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DenoKvEventStore } from "../../mod.ts";
import { rate } from "./harness.ts";

const WRITERS = 64;
const encoder = new TextEncoder();

/** The data of an event of some 300 bytes as JSON. */
export function eventData(index: number): Record<string, unknown> {
  return {
    index,
    customer: "c-1234567",
    total: 1234.5,
    lines: [{ sku: "abc-123", quantity: 2 }, { sku: "def-456", quantity: 1 }],
    note: "x".repeat(60),
  };
}

/** An event as bytes, as a careful user of the bare backend would write it. */
export function rawEvent(actor: number, version: number): Uint8Array {
  return encoder.encode(JSON.stringify({
    id: crypto.randomUUID(),
    eventType: "OrderPlaced",
    actorId: `order-${actor}`,
    version,
    data: eventData(version),
    timestamp: "2026-01-31T12:00:00.000Z",
  }));
}

/** One atomic operation an event: the check of the next version, the event, the log. */
export function rawAppend(kv: Deno.Kv, actor: number, version: number): Promise<unknown> {
  const key = ["raw", "event", `order-${actor}`, version];
  const log = ["raw", "commit", kv.commitVersionstamp()] as readonly unknown[] as Deno.KvKey;
  const bytes = rawEvent(actor, version);
  return kv.atomic().check({ key, versionstamp: null }).set(key, bytes).set(log, bytes).commit();
}

/** Appends from 64 actors at once through the bare backend, one atomic operation an event; events a second. */
export async function rawConcurrentRate(path: string, perActor: number): Promise<number> {
  using kv = await Deno.openKv(path);
  return await rate(
    WRITERS * perActor,
    () =>
      Promise.all(Array.from({ length: WRITERS }, async (_, actor) => {
        for (let version = 1; version <= perActor; version++) await rawAppend(kv, actor, version);
      })),
  );
}

/** The same through the store. */
export async function storeConcurrentRate(path: string, perActor: number): Promise<number> {
  await using store = await DenoKvEventStore.open(path);
  const result = await rate(
    WRITERS * perActor,
    () =>
      Promise.all(Array.from({ length: WRITERS }, async (_, actor) => {
        for (let version = 0; version < perActor; version++) {
          const event = { eventType: "OrderPlaced", data: eventData(version) };
          await store.append(`order-${actor}`, [event], { expectedVersion: version });
        }
      })),
  );
  assert.equal((await store.getEvents("order-0")).length, perActor);
  return result;
}
