/**
 * One attempt at one event: the limits of the right to it, and telling whose failure a failure is.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { partOf } from "../event/upcast.ts";
import { InvalidArgumentError } from "../errors.ts";
import { isOfHistory, knownEnd } from "./ends.ts";
import type { FailedEvent } from "./errors.ts";
import type { HandlerTurn } from "./handler_context.ts";
import type { HandlerResult } from "./projection.ts";
import type { Warn } from "../warning.ts";

/** The limits of a worker's right to work. */
export interface Guard {
  /** Throws where the right to work is over. */
  check(): void;
  /** Whether the work is to end behind the event in hand. */
  isOver(): boolean;
  /** Fires when the right to work is over, or the run is aborted. */
  readonly signal: AbortSignal;
  /** Waits before a further attempt. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Called whenever a commit has moved the checkpoint. */
  onCommit?(): void;
  /** Takes warnings. */
  readonly warn: Warn;
}

/** Marks what the handler, and not the machinery around it, has failed with. */
export class HandlerFailure extends Error {
  /** Keeps the cause. */
  constructor(cause: unknown) {
    super("", { cause });
  }
}

/** Separates a handler's failure from that of the machinery around it, which is not the handler's. */
export function blame<Tx>(turn: HandlerTurn<Tx>, cause: unknown, guard: Guard): unknown {
  guard.check();
  if (turn.broken) return turn.broken.error;
  if (turn.hasAskedInVain && isMissing(cause)) return noTransaction(cause);
  const isMachinery = knownEnd(cause) !== undefined && !isOfHistory(cause);
  return isMachinery && turn.hasReturned ? cause : new HandlerFailure(cause);
}

/** Whether an error is that of a program that uses `undefined` as something else. */
function isMissing(cause: unknown): boolean {
  return cause instanceof TypeError && /undefined|not a function/.test(cause.message);
}

function noTransaction(cause: unknown): InvalidArgumentError {
  return new InvalidArgumentError(
    "projection.checkpoints",
    "have no transaction, and the handler writes with one: use checkpoints in the database of the read model, such as " +
      "DenoKvCheckpoints or SqliteCheckpoints",
    { cause },
  );
}

/** Whether a handler's answer must be waited for. */
export function isPending(
  result: HandlerResult | PromiseLike<HandlerResult>,
): result is PromiseLike<HandlerResult> {
  return typeof (result as PromiseLike<HandlerResult> | undefined)?.then === "function";
}

/** What names an event, also one that cannot be handed out. */
export type EventIdentity = Pick<StoredEvent, "position" | "id" | "eventType" | "actorId" | "version">;

/**
 * Names an event.
 *
 * @param key Its key, if the projection has a key of its own.
 */
export function referenceOf(event: EventIdentity, key?: string): FailedEvent {
  const { position, id: eventId, eventType, actorId, version: eventVersion } = event;
  const part = partOf(event)?.index;
  return {
    ...{ position, eventId, eventType, actorId, eventVersion },
    ...(part !== undefined && { part }),
    ...(key !== undefined && { key }),
  };
}
