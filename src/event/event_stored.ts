/**
 * The library's own event about events: one was stored.
 *
 * It lies here, and neither with the stores that publish it nor with the buses that carry it, for neither knows the
 * other.
 *
 * @module
 */

import type { Event } from "./types.ts";

/** The namespace that the library publishes its own events to. Anybody may subscribe; only the library publishes. */
export const INTERNAL_NAMESPACE = "__internal__" as const;

/** What {@linkcode EventStored} says about the event that was stored. */
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
  /** The namespace of the store that it lies in. */
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
 */
export type EventStored = Event<"EventStored", EventStoredData>;

/** What a store needs of a bus. */
export interface EventPublisher {
  /** Publishes an event to a namespace. */
  publish(namespace: string, event: Event): Promise<void>;
}

/**
 * The door through which the library publishes to its own namespaces. It is a symbol that no entry of the package
 * exports: `publish` refuses those names, and nobody comes here by accident.
 */
export const publishInternally: unique symbol = Symbol.for("@flowmade-one/aether/publish-internally/1");

/** A bus with the library's own door. */
export interface InternalPublisher {
  /**
   * Publishes an event to one of the system's namespaces.
   *
   * @param namespace The namespace.
   * @param source What the event is about.
   * @param make Makes the event of it: a deeply frozen one, of JSON data, which nobody checks again. It is not called
   * where nobody would see the event.
   * @returns Nothing where it is done, else what is still under way.
   * @throws What went wrong.
   */
  [publishInternally]<T>(namespace: string, source: T, make: (source: T) => Event): Promise<void> | void;
}

/** Whether a bus has the library's own door. */
export function isInternalPublisher(bus: object): bus is InternalPublisher {
  return typeof (bus as Partial<InternalPublisher>)[publishInternally] === "function";
}
