/**
 * Trying a parked event again, and those of its key that wait behind it.
 *
 * @module
 */

import { EventSchemaError } from "../event/errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { partOf } from "../event/upcast.ts";
import type { EventStore } from "../store/types.ts";
import { type EventIdentity, referenceOf } from "./attempt.ts";
import type { CompiledProjection } from "./compile.ts";
import type { Draft } from "./draft.ts";
import { type ProjectionStoppedError, TransactionLostError } from "./errors.ts";
import { forgetFailing } from "./failing.ts";
import { keyIn } from "./progress.ts";
import { MAX_RESOLUTIONS, type ParkedEvent, type Resolution, shortError } from "./record.ts";
import type { Worker } from "./worker.ts";

/** A retry of a parked event, and of those of its actor that wait behind it. */
export class Retry<Tx> {
  readonly #worker: Worker<Tx>;
  readonly #entry: ParkedEvent;
  readonly #projection: CompiledProjection<Tx>;
  readonly #signal: AbortSignal;
  /** What is still parked. */
  #rest: ParkedEvent;

  constructor(
    worker: Worker<Tx>,
    entry: ParkedEvent,
    projection: CompiledProjection<Tx>,
    signal: AbortSignal,
  ) {
    this.#worker = worker;
    this.#signal = signal;
    this.#projection = projection;
    this.#entry = entry;
    this.#rest = entry;
  }

  /** Appends what the store had refused. */
  async repeatRefused(): Promise<void> {
    const { eventVersion, part } = this.#entry;
    // Of an event that is handed out as several the others come next.
    const next = part === undefined ? { eventVersion: eventVersion + 1 } : { part: part + 1 };
    this.#rest = { ...this.#entry, ...next, refused: undefined };
    await this.#worker.repeatRefused(this.#entry, this.#rest);
  }

  /** Handles the events of the key from the parked one on, as far as they wait behind it. */
  async handleWhile(isHeld: (position: string) => boolean, log: EventStore): Promise<void> {
    const { position, part: first = 0 } = this.#rest;
    try {
      for await (const event of eventsFrom(this.#rest, this.#projection, log, this.#signal)) {
        if (!isHeld(event.position)) return;
        const isDone = event.position === position && (partOf(event)?.index ?? 0) < first;
        if (!isDone) await this.#worker.handle(event, this.#advance);
      }
    } catch (error) {
      if (error instanceof EventSchemaError && !isHeld(error.position)) return;
      await this.#worker.refused(error, this.#advance);
      // The database has undone the attempt for a reason that is not the handler's.
      if (error instanceof TransactionLostError) return await this.handleWhile(isHeld, log);
    }
  }

  /** Notes each event as it is done, so that a failure behind it repeats nothing. */
  readonly #advance = (draft: Draft, event: EventIdentity): void => {
    const { position } = this.#rest;
    const { eventVersion, ...done } = referenceOf(event, this.#entry.key);
    const part = partOf(event);
    const next = part && !part.isLast
      ? { eventVersion, part: part.index + 1 }
      : { eventVersion: eventVersion + 1, part: undefined };
    const rest = { ...this.#entry, ...done, ...next, refused: undefined };
    draft.parked = draft.parked.map((other) => other.position === position ? rest : other);
    this.#rest = rest;
  };

  /** Parks the event that failed again. */
  async park({ event, cause }: ProjectionStoppedError): Promise<void> {
    const { position } = this.#entry;
    const attempts = this.#entry.attempts + 1;
    const failed = { ...this.#rest, ...event, error: shortError(cause), attempts };
    this.#worker.amend((draft) => {
      // What the store has refused is parked again already, with what it is.
      draft.parked = draft.parked.map((other) =>
        other.position === this.#rest.position && !other.refused ? failed : other
      );
      forgetFailing(draft, failed.position);
      draft.retry = undefined;
      if (failed.position !== position) draft.resolved = noted(draft.resolved, position, "retried");
    });
    await this.#worker.flush();
  }

  /** Removes the entry. */
  async resolve(): Promise<void> {
    this.#worker.amend((draft) => {
      draft.parked = draft.parked.filter((other) => other.position !== this.#rest.position);
      draft.resolved = noted(draft.resolved, this.#entry.position, "retried");
      draft.retry = undefined;
    });
    await this.#worker.flush();
  }
}

/** The events of the key of a parked one that its projection is of, from that one on. */
export async function* eventsFrom<Tx>(
  { actorId, eventVersion, position, key }: ParkedEvent,
  projection: CompiledProjection<Tx>,
  log: EventStore,
  signal: AbortSignal,
): AsyncIterable<StoredEvent> {
  const { chooses, keyOf, filter } = projection;
  const isOwnKey = key !== undefined && keyOf !== undefined;
  for await (const event of log.readEvents(actorId, { fromVersion: eventVersion, signal })) {
    if (isOwnKey && event.position > position) break;
    if (event.position >= position && chooses(event)) yield event;
  }
  if (!isOwnKey) return;
  for await (const event of log.readAll({ ...filter, after: position, signal })) {
    if (keyIn(projection, event) === key) yield event;
  }
}

/** Remembers what became of a parked event. */
export function noted(
  resolved: readonly Resolution[],
  position: string,
  action: Resolution["action"],
): readonly Resolution[] {
  return [...resolved, { position, action, at: new Date().toISOString() }].slice(-MAX_RESOLUTIONS);
}
