/**
 * Looking whether a projection has handled an event, and what its handler wanted appended is stored.
 *
 * @module
 */

import { EventSchemaError } from "../event/errors.ts";
import type { EventFilter } from "../event/types.ts";
import { type RawLog, rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import type { EventIdentity } from "./attempt.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { KeyOf } from "./compile.ts";
import { endOf, outcomeOf } from "./ends.ts";
import { heldByParked, notReached, type ProjectionId } from "./errors.ts";
import { keyIn } from "./progress.ts";
import type { ParkedEvent, ProjectionRecord } from "./record.ts";
import { recordsOf } from "./segment.ts";

/** Looks at what a projection has handled, again and again. */
export class Looks {
  readonly #store: EventStore;
  readonly #log: RawLog;
  readonly #checkpoints: Pick<CheckpointStore<unknown>, "load">;
  readonly #id: ProjectionId;
  readonly #position: string;
  readonly #reading: Reading;
  /** The segments that have handled it. */
  readonly #passed = new Set<string>();
  /** Whether the position is known to be one of the log. */
  isOfLog = false;
  #hasLooked = false;
  #reached: string | undefined;
  /** Why the last look has failed, if that may pass. */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    store: EventStore,
    checkpoints: Pick<CheckpointStore<unknown>, "load">,
    id: ProjectionId,
    position: string,
    reading: Reading,
  ) {
    this.#store = store;
    this.#log = rawLogOf(store);
    this.#checkpoints = checkpoints;
    this.#id = id;
    this.#position = position;
    this.#reading = reading;
  }

  /** Whether the projection has handled the event. */
  async look(): Promise<boolean> {
    try {
      const isHandled = await this.#isHandled();
      this.#hasLooked = true;
      this.#failure = undefined;
      return isHandled;
    } catch (error) {
      // What cannot be reached now may be in time.
      if (!mayPass(error)) throw outcomeOf(this.#id, error);
      this.#failure = { error };
      return false;
    }
  }

  /** What the wait ends with when its time is over. */
  tooLate(timeout: number): unknown {
    if (this.#failure) return outcomeOf(this.#id, this.#failure.error);
    return notReached(this.#id, this.#position, this.#hasLooked ? { at: this.#reached } : undefined, timeout);
  }

  async #isHandled(): Promise<boolean> {
    const id = this.#id;
    const position = this.#position;
    if (!this.isOfLog) await this.#log.checkPosition(position);
    this.isOfLog = true;
    const records = await recordsOf(id, this.#checkpoints, this.#passed);
    let isBehind = records.length === 0 && this.#passed.size === 0;
    this.#reached = records[0]?.position;
    for (const record of records) {
      if (!await isHandled(this.#store, { ...record, ...id }, position, this.#reading)) {
        isBehind = true;
        this.#reached = record.position;
        continue;
      }
      // A checkpoint of a lost part of the log is ahead of everything that came in its place.
      if (record.position !== position) await this.#log.checkPosition(record.position!);
      if (record.name !== id.name) this.#passed.add(record.name);
    }
    return !isBehind;
  }
}

/** How events are read. */
interface Reading {
  /** The key of an event, if the projection has a key of its own. */
  readonly keyOf: KeyOf | undefined;
  /** Fires when the wait is over. */
  readonly signal: AbortSignal;
}

/**
 * Whether a record shows that the event at a position was handled, and that what its handler wanted appended is stored.
 *
 * @throws {ProjectionBehindError} If it was parked, or waits behind a parked one.
 */
async function isHandled(
  store: EventStore,
  record: ProjectionRecord,
  position: string,
  reading: Reading,
): Promise<boolean> {
  if (record.position === undefined || record.position < position) return false;
  if (record.intent?.length && record.intendedFor?.position === position) return false;
  if (record.reactions?.some(({ event }) => event.position <= position)) return false;
  const { filter, parked } = record;
  const itself = parked.find((entry) => entry.position === position);
  if (itself) throw heldByParked(record, position, itself);
  const blocking = parked.filter((entry) => entry.blocksActor && entry.position < position);
  if (blocking.length === 0) return true;
  const event = await eventAt(store, filter, position, reading.signal);
  const before = event && blocking.find((entry) => waitsBehind(event, entry, reading.keyOf));
  if (before) throw heldByParked(record, position, before);
  return true;
}

/** Whether an event is a later one of a parked event's actor, or key, and waits for it. */
function waitsBehind(event: EventIdentity, { actorId, key }: ParkedEvent, keyOf: KeyOf | undefined): boolean {
  if (key === undefined) return event.actorId === actorId;
  return keyOf !== undefined && keyIn({ keyOf }, event) === key;
}

/** The event at a position, if it is one that the projection is of. */
async function eventAt(
  store: EventStore,
  filter: EventFilter,
  position: string,
  signal: AbortSignal,
): Promise<EventIdentity | undefined> {
  const at = { direction: "backward", after: "first-kept", until: position, limit: 1, signal } as const;
  try {
    for await (const event of store.readAll({ ...filter, ...at })) {
      if (event.position === position) return event;
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof EventSchemaError)) throw error;
    // What cannot be handed out waits too.
    return error.position === position ? { ...error, id: error.eventId } : undefined;
  }
}

function mayPass(error: unknown): boolean {
  const end = endOf(error);
  return end === "momentary" || end === "bounded" || end === "superseded";
}
