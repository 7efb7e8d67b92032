/**
 * The options that every store takes.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { EventPublisher } from "../event/event_stored.ts";
import { validateUserNamespace } from "../event/namespace.ts";
import { EventRegistry } from "../event/registry.ts";
import type { EventDefinitions } from "../event/definitions.ts";
import { describe } from "../text.ts";
import type { Event } from "../event/types.ts";
import { checkFunction, type OptionNames, readOptions } from "../options.ts";
import { MAX_TIMER_MS } from "../sleep.ts";
import { telemetry, type TelemetrySource } from "../telemetry.ts";
import { warner, type Warning } from "../warning.ts";
import { Announcer } from "./announcer.ts";
import type { PersonalVault } from "./personal_vault.ts";

/**
 * What every event store can be opened with.
 *
 * @category Stores
 */
export interface EventStoreOptions<E extends Event = Event> {
  /** The namespace that the events are in: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`. @default {"default"} */
  readonly namespace?: string;
  /**
   * Where to announce what was stored: a bus, such as `LocalEventBus` or `NatsEventBus`. `EventStored` is published to
   * `INTERNAL_NAMESPACE` for each event, at most once; a bus that fails neither fails nor delays a save. The bus stays
   * the caller's to close.
   *
   * @default {nothing is announced}
   */
  readonly bus?: EventPublisher;
  /** Schema versions, validators and upcasters of event types. */
  readonly events?: EventDefinitions<E>;
  /**
   * The keys of persons, with which the personal fields of `events` are encrypted: a `Vault`. It stays the caller's to close.
   *
   * @default {no field can be personal}
   */
  readonly vault?: PersonalVault;
  /** Gives the time of events that carry no timestamp. @default {the machine's clock} */
  readonly now?: () => Date;
  /** Makes the ids of events that carry none. @default {crypto.randomUUID} */
  readonly newId?: () => string;
  /** Takes what is counted instead of thrown. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/** The names of {@linkcode EventStoreOptions}. */
export const STORE_OPTIONS: OptionNames<EventStoreOptions> = {
  namespace: true,
  bus: true,
  events: true,
  vault: true,
  now: true,
  newId: true,
  onWarning: true,
};

/** The checked options of a store, with their defaults. Only `setUpStore` makes it. */
export interface StoreSetup {
  /** The namespace. */
  readonly namespace: string;
  /** Reads the time, if the user gave a function for it. */
  readonly now: (() => Date) | undefined;
  /** Makes ids. */
  readonly newId: () => string;
  /** Passes warnings on. */
  readonly warn: (warning: Warning) => void;
}

/** The same with what only `BackedEventStore` uses. */
export interface FullStoreSetup extends StoreSetup {
  /** Announces what was stored. */
  readonly announcer: Announcer | undefined;
  /** Returns the telemetry. */
  readonly telemetry: TelemetrySource;
  /** The registered event types. */
  readonly registry: EventRegistry;
  /** The keys of persons. */
  readonly vault: PersonalVault | undefined;
}

/**
 * Checks the options that every store has, and fills in their defaults.
 *
 * @throws {InvalidArgumentError} If an option is out of range.
 */
export function setUpStore<E extends Event>(options: EventStoreOptions<E> | undefined): StoreSetup {
  return readOptions(
    options,
    ({ namespace = "default", bus, events, vault, now, newId = () => crypto.randomUUID(), onWarning }) => {
      validateUserNamespace(namespace);
      if (bus !== undefined && typeof bus?.publish !== "function") {
        throw new InvalidArgumentError(
          "options.bus",
          `must be a bus: an object with a publish method, and is ${describe(bus)}`,
        );
      }
      const registry = new EventRegistry(events);
      checkVault(vault, registry);
      const warn = warner(checkFunction("options.onWarning", onWarning));
      return {
        namespace,
        announcer: bus && new Announcer(bus, namespace, warn),
        telemetry,
        registry,
        vault,
        now: checkFunction("options.now", now),
        newId: checkFunction("options.newId", newId),
        warn,
      } satisfies FullStoreSetup;
    },
  );
}

/**
 * Refuses what is no vault, and personal fields without one.
 *
 * @throws {InvalidArgumentError} If it is.
 */
function checkVault(vault: unknown, { personal }: EventRegistry): void {
  if (vault === undefined) {
    const [eventType] = personal.keys();
    if (eventType === undefined) return;
    throw new InvalidArgumentError(
      "options.vault",
      `is needed: events.${eventType} has personal fields, which are encrypted with the keys of a vault`,
    );
  }
  if (typeof (vault as Partial<PersonalVault> | null)?.cipherFor === "function") return;
  throw new InvalidArgumentError("options.vault", `must be a Vault, and is ${describe(vault)}`);
}

/**
 * Refuses a duration that is no number, too short, or longer than a timer takes.
 *
 * @throws {InvalidArgumentError} If it is; the error names the option.
 */
export function checkDuration(option: string, value: unknown, least: number): void {
  checkAtLeast(option, value, least);
  if (value as number <= MAX_TIMER_MS) return;
  throw new InvalidArgumentError(
    `options.${option}`,
    `must be at most ${MAX_TIMER_MS} milliseconds, and is ${describe(value)}`,
  );
}

/**
 * Refuses an option that is no number, or too small.
 *
 * @throws {InvalidArgumentError} If it is; the error names the option.
 */
export function checkAtLeast(option: string, value: unknown, least: number): void {
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return;
  throw new InvalidArgumentError(
    `options.${option}`,
    `must be a number of at least ${least}, and is ${describe(value)}`,
  );
}
