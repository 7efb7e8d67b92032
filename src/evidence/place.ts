/**
 * Where a seal is kept.
 *
 * @module
 */

import type { LeaseStore } from "../cluster/lease.ts";

/**
 * A place for a seal: files by their paths, such as `tile/0/000`. {@linkcode SealFolder} and {@linkcode SealBucket} are
 * two; to keep seals elsewhere, write another.
 *
 * @example In memory, for a test
 * ```ts
 * import { generateSealKey, sealOnce, type SealPlace } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * const files = new Map<string, Uint8Array>();
 * const place: SealPlace = {
 *   read: (path) => Promise.resolve(files.get(path)),
 *   replace(path, bytes, expected) {
 *     const isExpected = files.get(path)?.toHex() === expected?.toHex();
 *     if (isExpected) files.set(path, bytes);
 *     return Promise.resolve(isExpected);
 *   },
 *   isEmpty: () => Promise.resolve(files.size === 0),
 * };
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const { privateKey } = generateSealKey("example.com/orders");
 * assert.equal((await sealOnce(store, place, { signer: { key: privateKey } })).size, 1);
 * assert(files.has("checkpoint"));
 * ```
 *
 * @category Evidence
 */
export interface SealPlace {
  /** Reads a file; `undefined` if there is none. Never a stale one. */
  read(path: string, signal?: AbortSignal): Promise<Uint8Array | undefined>;
  /**
   * Writes a file, if its present bytes are the expected ones; `undefined` if there must be none. When it resolves, the whole file
   * is durable; until then, none of it is visible.
   *
   * @returns Whether it was written.
   */
  replace(
    path: string,
    bytes: Uint8Array,
    expected: Uint8Array | undefined,
    signal?: AbortSignal,
  ): Promise<boolean>;
  /** Whether there is nothing at all. */
  isEmpty(signal?: AbortSignal): Promise<boolean>;
  /** Removes all files in a folder, of which some may be gone already. Without it, files that are no longer needed are kept. */
  removeFolder?(path: string, signal?: AbortSignal): Promise<void>;
  /** The leases of the sealers of this place; without it they do not wait for one another. */
  leases?(): Promise<LeaseStore>;
}
