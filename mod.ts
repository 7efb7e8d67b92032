/**
 * Aether: event sourcing primitives for Deno.
 *
 * @module
 */

export * from "./src/store/mod.ts";
export {
  InMemoryEventStore,
  type InMemoryEventStoreOptions,
  InMemoryStorage,
} from "./src/store/memory/mod.ts";
