/**
 * Why a copy is not complete.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";
import type { StoredEvent } from "../event/types.ts";

/** An event of one of the stores of a copy. */
export interface CopyPlace {
  /** The event's id. */
  readonly id: string;
  /** Its actor. */
  readonly actorId: string;
  /** Its version. */
  readonly version: number;
  /** Its place in the global log of its store. */
  readonly position: string;
}

/** How far a copy has come, and what differs there. */
interface CopyState {
  /** How many events are in both stores. */
  readonly events: number;
  /** The position in the source of the last of them. */
  readonly position?: string | undefined;
  /** The event that the target has next. */
  readonly found?: StoredEvent | undefined;
  /** The event that the source has next. */
  readonly expected?: StoredEvent | undefined;
}

const MESSAGES = {
  "source-grew": ({ events }: CopyState): string =>
    `The source grew while it was copied: ${events} events are in both stores, and it has more. Stop what writes to ` +
    "it, and run the copy again: it continues where it ended.",
  "target-differs": ({ events, found, expected }: CopyState): string =>
    `After ${events} events that both stores have, the target has ${name(found)} and the source ${
      name(expected)
    }. ` +
    "Copy into an empty namespace, to which nothing else writes.",
};

/**
 * The target is not a copy of the whole source. All that both stores have is right.
 *
 * @example Run the copy again if the source grew
 * ```ts
 * import { CopyError, copyEvents, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using from = new InMemoryEventStore();
 * await using to = new InMemoryEventStore();
 * await to.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * const error = await copyEvents(from, to).catch((error: unknown) => error);
 * assert(error instanceof CopyError && error.reason === "target-differs"); // "source-grew": stop its writers, repeat
 * ```
 *
 * @category Stores
 */
export class CopyError extends AetherError {
  static {
    registerClass(this, "CopyError");
  }

  /**
   * `source-grew`: the source has more than was copied; stop what writes to it, and run the copy again.
   * `target-differs`: the target's log is not the beginning of the source's.
   */
  readonly reason: "source-grew" | "target-differs";
  /** How many events are the same in both stores. */
  readonly events: number;
  /** The position in the source of the last of them; `undefined` if there is none, or the target differs. */
  readonly position: string | undefined;
  /** The event that the target has next; `undefined` at the end of its log. */
  readonly found: CopyPlace | undefined;
  /** The event that the source has next; `undefined` at the end of its log. */
  readonly expected: CopyPlace | undefined;

  /** Creates the error from how far the copy has come. */
  constructor(reason: "source-grew" | "target-differs", state: CopyState) {
    super(MESSAGES[reason](state));
    this.reason = reason;
    this.events = state.events;
    this.position = state.position;
    this.found = place(state.found);
    this.expected = place(state.expected);
  }
}

function place(event: StoredEvent | undefined): CopyPlace | undefined {
  if (!event) return undefined;
  const { id, actorId, version, position } = event;
  return { id, actorId, version, position };
}

function name(event: StoredEvent | undefined): string {
  if (!event) return "no event";
  return `event ${event.version} of actor ${JSON.stringify(event.actorId)} (id ${JSON.stringify(event.id)})`;
}
