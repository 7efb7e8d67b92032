/**
 * All parts on Deno KV, an embedded file on one machine or the database of Deno Deploy: the event store, checkpoints of
 * projections, and leases. And what every program needs: events, errors, `replay` and `execute`.
 *
 * Deno KV is enabled by `"unstable": ["kv"]` in `deno.json`, or by `--unstable-kv`. A program that keeps its events in
 * `orders.kv` needs `--allow-read=orders.kv --allow-write=orders.kv`, and no other permission.
 *
 * @example Save, close, open again
 * ```ts
 * import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * {
 *   await using store = await DenoKvEventStore.open(`${folder}/events.kv`);
 *   await store.append("order-123", [{ eventType: "OrderPlaced", data: { total: 99.99 } }], { expectedVersion: 0 });
 * }
 * {
 *   await using store = await DenoKvEventStore.open(`${folder}/events.kv`);
 *   assert.equal(await store.getLatestVersion("order-123"), 1);
 * }
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @module
 */

export * from "../store/deno_kv/mod.ts";
export { DenoKvLeases, type DenoKvLeasesOptions } from "../cluster/deno_kv_leases.ts";
export { DenoKvCheckpoints, type DenoKvCheckpointsOptions } from "../projection/deno_kv_checkpoints.ts";
