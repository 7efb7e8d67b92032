/**
 * The options that every store takes.
 *
 * @module
 */

import { newEventId } from "../event/id.ts";
import { validateUserNamespace } from "../event/namespace.ts";
import { type EventDefinitions, EventRegistry } from "../event/registry.ts";
import type { Event } from "../event/types.ts";
import { type Warn, warner, type Warning } from "../warning.ts";

/** What every event store can be opened with. */
export interface EventStoreOptions<E extends Event = Event> {
  /** The namespace that the events lie in: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`. @default {"default"} */
  readonly namespace?: string;
  /** Schema versions, validators and upcasters of event types. */
  readonly events?: EventDefinitions<E>;
  /** Tells the time of events that carry no timestamp. @default {the machine's clock} */
  readonly now?: () => Date;
  /** Makes the ids of events that carry none. @default {UUIDv7} */
  readonly newId?: () => string;
  /** Takes what is counted instead of thrown. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/** The options with every default filled in. */
export interface StoreSetup {
  /** The namespace. */
  readonly namespace: string;
  /** The registered event types. */
  readonly registry: EventRegistry;
  /** Tells the time, where the user wants to. */
  readonly now: (() => Date) | undefined;
  /** Makes ids. */
  readonly newId: () => string;
  /** Passes warnings on. */
  readonly warn: Warn;
}

/**
 * Fills in the defaults.
 *
 * @throws {InvalidArgumentError} If an option is out of range.
 */
export function setUpStore<E extends Event>(options: EventStoreOptions<E>): StoreSetup {
  return {
    namespace: validateUserNamespace(options.namespace ?? "default"),
    registry: new EventRegistry(options.events),
    now: options.now,
    newId: options.newId ?? newEventId,
    warn: warner(options.onWarning),
  };
}
