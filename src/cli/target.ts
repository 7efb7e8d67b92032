/**
 * What a command works on.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import type { CheckpointStore } from "../projection/checkpoints.ts";
import type { EventStore } from "../store/types.ts";
import { printable } from "./output.ts";

/** How a target is reached. */
export interface Access {
  /** The namespace of the log. */
  readonly namespace: string;
  /** The prefix that the store was opened with. */
  readonly prefix: string;
  /** A file with NATS credentials. */
  readonly credentials?: string | undefined;
  /** The JetStream domain. */
  readonly domain?: string | undefined;
}

/** The histories of actors. */
export type Histories = Pick<EventStore, "getLatestVersion" | "readEvents">;

/** What a command works on, until it is disposed of. */
export interface Target extends AsyncDisposable {
  /** Opens the log. */
  store(): Promise<EventStore<Event>>;
  /** Opens the log for a look, with as little as that needs. */
  look(): Promise<EventStore<Event>>;
  /** Opens the histories of actors, with as little as that needs. */
  histories(): Promise<Histories>;
  /** Opens the log, or makes it. */
  storeToWrite(): Promise<EventStore<Event>>;
  /** Opens the checkpoints of projections; `undefined` if there are none. */
  checkpoints(): Promise<CheckpointStore<unknown> | undefined>;
  /** Whether the log has an index of timers. */
  hasTimers(store: EventStore<Event>): Promise<boolean>;
}

/** The most names that a message lists. */
export const MAX_NAMES = 20;

/** The sentence about the namespaces that exist. */
export function otherNamespaces(names: readonly string[]): string {
  if (names.length === 0) return "It has none at all with this prefix: check --prefix and the target.";
  return `Choose one of its namespaces with --namespace: ${printable(names.slice(0, MAX_NAMES).join(", "))}.`;
}
