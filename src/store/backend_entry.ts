/**
 * What an event store over another database is built from: implement {@linkcode StorageBackend}, and hand it to
 * {@linkcode BackedEventStore}, which adds all that is the same for every store (validation, idempotence, schema
 * versions, filters, subscriptions, announcements). Prove it with `testEventStore` of `@flowmade-one/aether/testing`.
 *
 * `examples/own_store.ts` in the repository is a whole store over a `Map`, and a test runs the conformance suite on it.
 *
 * @example Count the commits of a store, with a backend around that of another one
 * ```ts
 * import { BackedEventStore, type Commit, setUpStore, type StorageBackend } from "@flowmade-one/aether/backend";
 * import type { StoredEvent } from "@flowmade-one/aether";
 *
 * function countingStore(backend: StorageBackend, onCommit: (commit: Commit) => void): BackedEventStore {
 *   const counting: StorageBackend = Object.create(backend, {
 *     commit: {
 *       value(commit: Commit): readonly StoredEvent[] | Promise<readonly StoredEvent[]> {
 *         onCommit(commit);
 *         return backend.commit(commit);
 *       },
 *     },
 *   });
 *   return new BackedEventStore(counting, setUpStore({ namespace: "orders" }));
 * }
 * ```
 *
 * @module
 */

export * from "./mod.ts";
export { BackedEventStore } from "./backed_event_store.ts";
export type {
  ActorToken,
  BackwardLogRead,
  HistoryRead,
  LogBatch,
  LogFollow,
  LogPart,
  LogRead,
  StorageBackend,
  Verified,
} from "./backend.ts";
export {
  type ActorHead,
  checkCondition,
  checkFence,
  checkSizes,
  Commit,
  CommitPart,
  NEW_ACTOR,
  numberPart,
} from "./commit.ts";
export { type FollowedLog, followLog, Wakeups } from "./follow.ts";
export { LogPositions, newLogId, NO_PROOF } from "./position.ts";
export { setUpStore, type StoreSetup } from "./store_options.ts";
export { supersedes } from "./snapshot.ts";
export { Draft, type DraftEvent } from "../event/draft.ts";
export { noteSchemaVersion } from "../event/registry.ts";
