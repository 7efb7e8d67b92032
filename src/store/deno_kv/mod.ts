/**
 * The event store in Deno KV: an embedded file on one machine, nothing to install; or the database of Deno Deploy.
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

import { InvalidArgumentError } from "../../errors.ts";
import { checkKnown, type OptionNames, readOptions } from "../../options.ts";
import { offerSide } from "../../side_storage.ts";
import { nameFault } from "../../text.ts";
import type { Event } from "../../event/types.ts";
import { BackedEventStore } from "../backed_event_store.ts";
import {
  checkAtLeast,
  checkDuration,
  type EventStoreOptions,
  setUpStore,
  STORE_OPTIONS,
} from "../store_options.ts";
import { openKvBackend } from "./open.ts";

export * from "../mod.ts";

/**
 * What a store in Deno KV can be opened with.
 *
 * @category Stores
 */
export interface DenoKvEventStoreOptions<E extends Event = Event> extends EventStoreOptions<E> {
  /**
   * The first part of every key, which keeps events apart from the application's own data. 1 to 64 UTF-8 bytes.
   *
   * @default {"aether"}
   */
  readonly prefix?: string;
  /**
   * How often subscriptions look for what other processes stored, in milliseconds; what this store saves wakes them at
   * once.
   *
   * @default {100}
   */
  readonly pollInterval?: number;
  /**
   * How long a save may take before it is given up, in milliseconds. While the database answers, the time behind other saves
   * of this store does not count.
   *
   * @default {30_000}
   */
  readonly saveTimeout?: number;
  /** How many actors' latest versions are kept in memory, at least 1,000. @default {100_000} */
  readonly cachedActors?: number;
}

const OPTIONS: OptionNames<DenoKvEventStoreOptions> = {
  ...STORE_OPTIONS,
  prefix: true,
  pollInterval: true,
  saveTimeout: true,
  cachedActors: true,
};

/** The most bytes of a prefix: keys have 2,048, of which an actor id takes 512. */
const MAX_PREFIX_BYTES = 64;
/** The fewest heads that are kept: a group commit works on a hundred actors at once. */
const MIN_CACHED_ACTORS = 1_000;

/**
 * An event store in Deno KV. It keeps the whole contract of {@linkcode EventStore}.
 *
 * A save that has resolved is on the disk: Deno KV flushes each atomic operation. Saves that wait while one is being
 * flushed share the next one. Several processes can open one file, and several stores one database.
 *
 * @typeParam E The union of the events it holds.
 *
 * @category Stores
 */
export class DenoKvEventStore<E extends Event = Event> extends BackedEventStore<E> {
  /**
   * Opens a store.
   *
   * @param pathOrKv The path of a database file, `":memory:"`, the URL of a KV Connect server, or a `Deno.Kv` that is
   * open and stays the caller's to close. Without it, the default database of the application.
   * @param options The namespace and the rest.
   * @throws {StoreOpenError} If Deno KV is not enabled, or the database cannot be opened.
   * @throws {InvalidArgumentError} If an option is out of range.
   *
   * @example In a database with the application's own data
   * ```ts
   * import { DenoKvEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * using kv = await Deno.openKv(":memory:");
   * await kv.set(["settings", "theme"], "dark");
   * await using store = await DenoKvEventStore.open(kv, { namespace: "tenant-7" });
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * assert.equal(await store.getLatestVersion("order-1"), 1);
   * ```
   */
  static async open<E extends Event = Event>(
    pathOrKv?: string | Deno.Kv,
    options?: DenoKvEventStoreOptions<E>,
  ): Promise<DenoKvEventStore<E>> {
    const { prefix = "aether", pollInterval = 100, saveTimeout = 30_000, cachedActors = 100_000 } =
      readOptions(options, ({ ...fields }) => {
        checkKnown<DenoKvEventStoreOptions>(fields, OPTIONS);
        return fields;
      });
    const fault = nameFault(prefix, MAX_PREFIX_BYTES);
    if (fault) throw new InvalidArgumentError("options.prefix", fault);
    checkDuration("pollInterval", pollInterval, 1);
    checkDuration("saveTimeout", saveTimeout, 1);
    checkAtLeast("cachedActors", cachedActors, MIN_CACHED_ACTORS);
    const setup = setUpStore(options);
    const settings = { prefix, pollInterval, saveTimeout, cachedActors };
    const backend = await openKvBackend(pathOrKv, setup, settings);
    const store = new DenoKvEventStore<E>(backend, setup);
    const storage = { type: "deno-kv", kv: backend.kv, base: [prefix, setup.namespace] } as const;
    offerSide(store, { now: setup.now, storage });
    return store;
  }
}
