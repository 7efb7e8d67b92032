/**
 * Evidence: what shows to others that a log is complete and unchanged, and what lets a person's data be forgotten without
 * changing it.
 *
 * @example Is everything as it was stored?
 * ```ts
 * import type { EventStore } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store: EventStore = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const { ok, events } = await store.verify();
 * assert.deepEqual([ok, events], [true, 1]);
 * ```
 *
 * @module
 */

export * from "../store/mod.ts";
export {
  generateSealKey,
  type SealKey,
  type SealKeyOptions,
  type Signer,
  type SignerSource,
} from "./signer.ts";
