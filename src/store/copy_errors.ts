/**
 * What can come in the way of a copy.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";
import type { StoredEvent } from "../event/types.ts";

/** Which event of a store a copy came upon. */
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

/**
 * The source grew while it was copied: all that was copied is right, and it is not all. Stop the writers, and run the
 * copy again: it goes on where it ended.
 */
export class CopyIncompleteError extends AetherError {
  static {
    registerClass(this, "CopyIncompleteError");
  }

  /** How many events are in both stores. */
  readonly events: number;
  /** The position in the source of the last of them; nothing if there is none. */
  readonly position: string | undefined;

  /** Says how far the copy came. */
  constructor(events: number, position: string | undefined) {
    super(
      `The source grew while it was copied: ${events} events are in both stores, and it has more. Stop what writes to ` +
        "it, and run the copy again: it goes on where it ended",
    );
    this.events = events;
    this.position = position;
  }
}

/** The target's log is not the beginning of the source's: it holds something else, or lost what was copied. */
export class CopyTargetDiffersError extends AetherError {
  static {
    registerClass(this, "CopyTargetDiffersError");
  }

  /** How many events before this place are the same in both stores. */
  readonly events: number;
  /** The event that the target has here; nothing where its log ends. */
  readonly found: CopyPlace | undefined;
  /** The event that the source has here; nothing where its log ends. */
  readonly expected: CopyPlace | undefined;

  /** Names both events. */
  constructor(events: number, found: StoredEvent | undefined, expected: StoredEvent | undefined) {
    super(
      `After ${events} events that both stores have, the target has ${name(found)} and the source ${
        name(expected)
      }: ` +
        "copy into an empty namespace, to which nothing else writes",
    );
    this.events = events;
    this.found = place(found);
    this.expected = place(expected);
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
