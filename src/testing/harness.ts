/**
 * What the conformance suite needs of the store that it is to test.
 *
 * @module
 */

import type { EventStoreOptions } from "../store/store_options.ts";
import type { EventStore, SnapshotStore } from "../store/types.ts";

/** A store under test. Snapshots are tested where it has all of their methods. */
export type StoreUnderTest = EventStore & Partial<SnapshotStore>;

/**
 * Something that a store may be unable to do, by its nature. Cases that need it are then ignored, visibly.
 *
 * - `"sharing"`: several store objects over one backend at once;
 * - `"reopening"`: events outlive the last open store object;
 * - `"snapshots"`: it is a `SnapshotStore` too;
 * - `"vault"`: its option `vault` encrypts personal data;
 * - `"conditions"`: its commits take conditions on actors that they do not write to;
 * - `"restoring"`: its backend can be put back to an earlier state;
 * - `"replacing"`: its log can be deleted and made again while a store is open.
 */
export type Capability =
  | "sharing"
  | "reopening"
  | "snapshots"
  | "vault"
  | "conditions"
  | "restoring"
  | "replacing";

/** One backend, empty at first, over which stores are opened. */
export interface BackendUnderTest {
  /**
   * Opens a store over the backend. The suite closes what it opened.
   *
   * @param options To be passed on to the store.
   */
  open(options: EventStoreOptions): StoreUnderTest | Promise<StoreUnderTest>;
  /** Copies what the backend holds, for `restore()`. No store is open. Needed unless the store lacks `"restoring"`. */
  backUp?(): void | Promise<void>;
  /** Puts the backend back to what `backUp()` has copied, by the backend's own means. No store is open. */
  restore?(): void | Promise<void>;
  /**
   * Deletes the log of the default namespace while stores are open on it: the next `open()` makes a new one. Needed unless
   * the store lacks `"replacing"`.
   */
  deleteLog?(): void | Promise<void>;
  /** Removes the backend, after every store over it was closed. @default {nothing is to be removed} */
  dispose?(): void | Promise<void>;
}

/** How the suite comes by stores. */
export interface EventStoreHarness {
  /** Sets up a backend without events. Each case asks for one of its own, some for two. */
  setUp(): BackendUnderTest | Promise<BackendUnderTest>;
  /** What the store cannot do. @default {nothing} */
  readonly lacks?: readonly Capability[];
}

/** How thorough the suite is, and how patient. */
export interface ConformanceOptions {
  /** Leaves out the cases that take long: races, random histories, large commits. @default {false} */
  readonly quick?: boolean;
  /** How long to wait for what must happen, in milliseconds, before the case fails. @default {20_000} */
  readonly patience?: number;
  /** Random histories a model case. @default {40} */
  readonly numRuns?: number;
  /** The seed of the random histories, to repeat a failure. @default {a new one each time; a failure prints it} */
  readonly seed?: number;
  /** Scales the number of events that races and long reads use; below 1 for a slow backend. @default {1} */
  readonly load?: number;
}

/** A case of the suite. */
export interface ConformanceCase {
  /** What it shows, as a sentence about a store; unique in the suite. */
  readonly name: string;
  /** What it is about, such as `"versions"` or `"replaced log"`. */
  readonly topic: string;
  /** What the store must be able to do for it, and cannot: the case is to be ignored. */
  readonly lacking: Capability | undefined;
  /**
   * Runs it over a backend of its own.
   *
   * @throws What it finds wrong; an `AssertionError` for the most part.
   */
  run(): Promise<void>;
}
