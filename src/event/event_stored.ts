/**
 * The library's own event about events: one was stored.
 *
 * It is defined here because the stores that publish it and the buses that carry it do not import each other.
 *
 * @module
 */

import type { Event } from "./types.ts";

/**
 * The namespace that the library publishes its own events to. All may subscribe; only the library publishes.
 *
 * @category Bus
 */
export const INTERNAL_NAMESPACE = "__internal__" as const;

/**
 * What {@linkcode EventStored} reports about the stored event.
 *
 * @category Bus
 */
export interface EventStoredData {
  /** The stored event's id. */
  readonly eventId: string;
  /** The stored event's actor. */
  readonly actorId: string;
  /** The stored event's version. */
  readonly version: number;
  /** The stored event's timestamp. */
  readonly timestamp: string;
  /** The stored event's type. */
  readonly eventType: string;
  /** The namespace of the store that holds it. */
  readonly namespace: string;
  /** The stored event's place in the global log. Compare positions to order what several processes stored. */
  readonly position: string;
}

/**
 * An event was stored. A store that is given a bus publishes it to {@linkcode INTERNAL_NAMESPACE} once a save has
 * succeeded, one an event, at most once.
 *
 * Its `actorId` and `version` are the stored event's, its `id` is the stored event's position, its `timestamp` is the
 * time of the publication, and of the metadata it carries `traceparent` and `correlationId` on.
 *
 * @category Bus
 */
export type EventStored = Event<"EventStored", EventStoredData>;

/**
 * What a store needs of a bus.
 *
 * @category Bus
 */
export interface EventPublisher {
  /** Publishes an event to a namespace. */
  publish(namespace: string, event: Event): Promise<void>;
}

/**
 * The method with which the library publishes to its own namespaces. It is a symbol that no entry of the package
 * exports, so that no application calls it by accident: `publish` refuses those names.
 */
export const publishInternally: unique symbol = Symbol.for("@flowmade-one/aether/publish-internally/1");

/** A bus that the library can publish its own events to. */
export interface InternalPublisher {
  /**
   * Publishes an event to one of the system's namespaces.
   *
   * @param namespace The namespace.
   * @param source What the event is about.
   * @param make Makes the event of it: a deeply frozen one, of JSON data, which is not checked again. It is not called
   * if no subscriber would receive the event.
   * @returns `undefined` if it is done, else a promise of the rest.
   * @throws If the event cannot be published.
   */
  [publishInternally]<T>(namespace: string, source: T, make: (source: T) => Event): Promise<void> | void;
}

/** Whether the library can publish its own events to a bus. */
export function isInternalPublisher(bus: object): bus is InternalPublisher {
  return typeof (bus as Partial<InternalPublisher>)[publishInternally] === "function";
}
