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
export { JetStreamEventStore, type JetStreamEventStoreOptions } from "./src/store/jetstream/mod.ts";
export { DenoKvEventStore, type DenoKvEventStoreOptions } from "./src/store/deno_kv/mod.ts";
