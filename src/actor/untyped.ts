/**
 * Actors of any kind: a host and a client know many kinds, whose types differ. Only here the types of a definition are
 * given up and given back.
 *
 * @module
 */

import type { Event, NewEvent, StoredEvent } from "../event/types.ts";
import type { Decider } from "../store/decider.ts";
import type { EventStore, LogSubscription, SnapshotStore } from "../store/types.ts";
import type { AnyActor } from "./definition.ts";

/** The decider of any kind of actors. */
export type AnyDecider = Decider<unknown, unknown, Event>;

/** A query of any kind of actors. */
export type AnyQuery = (state: unknown) => unknown;

/** A store of any events. */
export type AnyStore = EventStore & Partial<SnapshotStore>;

/** The decider of a definition. */
export function deciderOf({ decider }: AnyActor): AnyDecider {
  return decider;
}

/** A query of a definition; `undefined` if it has none of that name. */
export function queryOf({ queries }: AnyActor, name: string): AnyQuery | undefined {
  const named = queries as Readonly<Record<string, AnyQuery>>;
  return Object.hasOwn(named, name) ? named[name] : undefined;
}

/** The events of one actor: of its definition's types, as no other writer has that id. */
export function typedEvents<E extends Event>(
  events: LogSubscription<StoredEvent>,
): LogSubscription<StoredEvent<E>> {
  return events as LogSubscription<StoredEvent<E>>;
}

/** A decided event as it will be stored. */
export function asStored(
  event: NewEvent<Event>,
  stored: { readonly actorId: string; readonly version: number },
): Event {
  return { ...event, ...stored } as Event;
}
