/**
 * The event store in memory: for tests and prototypes, and the model that the others are compared with.
 *
 * @example Save and read
 * ```ts
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-123", [{ eventType: "OrderPlaced", data: { total: 99.99 } }], { expectedVersion: 0 });
 * const [placed] = await store.getEvents("order-123");
 * assert.equal(placed?.version, 1);
 * ```
 *
 * @module
 */

import type { Event } from "../../event/types.ts";
import { InvalidArgumentError } from "../../errors.ts";
import { checkKnown, type OptionNames, readOptions } from "../../options.ts";
import { offerSide } from "../../side_storage.ts";
import { BackedEventStore } from "../backed_event_store.ts";
import { type EventStoreOptions, setUpStore, STORE_OPTIONS } from "../store_options.ts";
import { InMemoryStorage, logOf, MemoryBackend } from "./backend.ts";
import { describe } from "../../text.ts";

export * from "../mod.ts";
export { InMemoryStorage } from "./backend.ts";

/**
 * What an in-memory store can be made with.
 *
 * @category Stores
 */
export interface InMemoryEventStoreOptions<E extends Event = Event> extends EventStoreOptions<E> {
  /** Where the events are stored. @default {a storage of its own} */
  readonly storage?: InMemoryStorage;
}

const OPTIONS: OptionNames<InMemoryEventStoreOptions> = { ...STORE_OPTIONS, storage: true };

/**
 * An event store in memory. It keeps the whole contract of {@linkcode EventStore}, and nothing when the process ends.
 *
 * @typeParam E The union of the events it holds.
 *
 * @example Two stores on the same events, as two processes would be
 * ```ts
 * import { type Event, InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type OrderEvent = Event<"OrderPlaced", { total: number }>;
 *
 * const storage = new InMemoryStorage();
 * await using first = new InMemoryEventStore<OrderEvent>({ storage });
 * await using second = new InMemoryEventStore<OrderEvent>({ storage, now: () => new Date("2026-01-01") });
 * await second.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const [placed] = await first.getEvents("order-1");
 * assert.equal(placed?.timestamp, "2026-01-01T00:00:00.000Z");
 * ```
 *
 * @category Stores
 */
export class InMemoryEventStore<E extends Event = Event> extends BackedEventStore<E> {
  /**
   * Makes a store.
   *
   * @throws {InvalidArgumentError} If an option is out of range.
   */
  constructor(options?: InMemoryEventStoreOptions<E>) {
    const storage = readOptions(options, (given) => {
      checkKnown<InMemoryEventStoreOptions>(given, OPTIONS);
      const { storage = new InMemoryStorage() } = given;
      if (storage instanceof InMemoryStorage) return storage;
      throw new InvalidArgumentError(
        "options.storage",
        `must be an InMemoryStorage, and is ${describe(storage)}`,
      );
    });
    const setup = setUpStore(options);
    const log = logOf(storage, setup.namespace);
    super(new MemoryBackend(log), setup);
    offerSide(this, { now: setup.now, storage: { type: "memory", owner: log } });
  }
}
