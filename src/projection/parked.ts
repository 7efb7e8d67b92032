/**
 * What projections have set aside: listing it, trying it again, dropping it.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";
import { EventSchemaError } from "../event/errors.ts";
import type { Event } from "../event/types.ts";
import { partOf } from "../event/upcast.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { backoff, sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import { type EventIdentity, type Guard, referenceOf } from "./attempt.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { ProjectionReference } from "./checkpoints.ts";
import { outcomeOf } from "./ends.ts";
import {
  CheckpointConflictError,
  DamagedCheckpointError,
  type ProjectionId,
  ProjectionStoppedError,
} from "./errors.ts";
import { RETRY_GRACE } from "./retry_claim.ts";
import { type CompiledProjection, compileProjection } from "./compile.ts";
import type { Projection } from "./projection.ts";
import { isPassed, type ParkedEvent, type ProjectionRecord } from "./record.ts";
import { loadHead } from "./head.ts";
import { eventsFrom, noted, Retry } from "./parked_retry.ts";
import { readNamed } from "./reference.ts";
import { generationsOf, recordsOf, seenRecord, type SeenRecords, segmentRecord } from "./segment.ts";
import { Worker } from "./worker.ts";

/**
 * How a parked event is dealt with.
 *
 * @category Projections
 */
export interface ParkedOptions {
  /** Ends the work with the signal's reason. */
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionNames<ParkedOptions> = { signal: true };

/** Returns the options as they were read. */
function checkParked({ ...options }: ParkedOptions): ParkedOptions {
  checkKnown<ParkedOptions>(options, OPTIONS);
  checkSignal(options.signal);
  return options;
}

/**
 * The events that a projection has set aside, oldest first.
 *
 * @param projection Its name, version and checkpoints; the projection itself can be given.
 * @throws {DamagedCheckpointError} If its checkpoint, or that of a segment, cannot be read.
 *
 * @example Look at what was set aside
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, listParked, type Projection, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * let printerWorks = false;
 * const receipts: Projection = {
 *   name: "receipts",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle() {
 *     if (!printerWorks) throw new Error("out of paper");
 *   },
 *   failure: { retries: 0, then: "park" },
 * };
 * await projectOnce(store, receipts);
 * for (const { actorId, error, attempts } of await listParked(receipts)) {
 *   assert.deepEqual([actorId, attempts], ["order-1", 1]);
 *   assert.match(error, /out of paper/);
 * }
 * ```
 *
 * @category Projections
 */
export async function listParked(
  projection: ProjectionReference,
  options?: ParkedOptions,
): Promise<readonly ParkedEvent[]> {
  const { id, checkpoints } = readNamed(projection);
  const { signal } = readOptions(options, checkParked);
  signal?.throwIfAborted();
  const records = await abortable(recordsOf(id, checkpoints), signal);
  const parked = records.flatMap((record) => record.parked);
  return records.length > 1 ? parked.sort((a, b) => a.position < b.position ? -1 : 1) : parked;
}

/**
 * Tries a parked event again, and, where later events of its actor wait behind it, those too, in order. What fails is parked
 * in its place. The handler is called once for each event, in this process: a worker that runs meanwhile, here or in another
 * process, waits until the retry has ended.
 *
 * @param store Where the events are.
 * @param projection The projection.
 * @param position The position of the parked event.
 * @throws {InvalidArgumentError} If no event is parked there.
 * @throws {ProjectionStoppedError} If a handler failed again. What was handled before is no longer parked.
 *
 * @example Correct the cause, and try again
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, listParked, type Projection, projectOnce, retryParked } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * let printerWorks = false;
 * const receipts: Projection = {
 *   name: "receipts",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle() {
 *     if (!printerWorks) throw new Error("out of paper");
 *   },
 *   failure: { retries: 0, then: "park" },
 * };
 * await projectOnce(store, receipts);
 * printerWorks = true;
 * for (const { position } of await listParked(receipts)) await retryParked(store, receipts, position);
 * assert.deepEqual(await listParked(receipts), []);
 * ```
 *
 * @category Projections
 */
export async function retryParked<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  position: string,
  options?: ParkedOptions,
): Promise<void> {
  const log: EventStore = store;
  const { signal = NEVER } = readOptions(options, checkParked);
  const once = compileProjection({ ...projection, failure: { ...projection.failure, retries: 0 } });
  const compiled = await parkedIn(once, position, signal);
  await exclusively(log, compiled, signal, position, async (worker) => {
    const entry = findParked(worker.record, position);
    const { record } = worker;
    const isHeld = (position: string): boolean =>
      entry.blocksActor ? isPassed(record, position) : position <= entry.position;
    const handled = new Retry(worker, entry, compiled, signal);
    try {
      // The handler of an append that was refused was called, and must not be again.
      if (entry.refused) await handled.repeatRefused();
      await handled.handleWhile(isHeld, log);
    } catch (error) {
      if (!(error instanceof ProjectionStoppedError)) throw error;
      await handled.park(error);
      throw error;
    }
    await handled.resolve();
  });
}

/**
 * Drops a parked event. Later events of its actor that wait behind it are handled then, as by {@linkcode retryParked}.
 *
 * @param store Where the events are.
 * @param projection The projection.
 * @param position The position of the parked event.
 * @throws {InvalidArgumentError} If no event is parked there.
 * @throws {ProjectionStoppedError} If a handler failed on a later event, which is then parked in its place.
 *
 * @example Give an event up
 * ```ts
 * import { discardParked, InMemoryCheckpoints, InMemoryEventStore, listParked, type Projection, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * let printerWorks = false;
 * const receipts: Projection = {
 *   name: "receipts",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle() {
 *     if (!printerWorks) throw new Error("out of paper");
 *   },
 *   failure: { retries: 0, then: "park" },
 * };
 * await projectOnce(store, receipts);
 * for (const { position } of await listParked(receipts)) await discardParked(store, receipts, position);
 * assert.deepEqual(await listParked(receipts), []);
 * ```
 *
 * @category Projections
 */
export async function discardParked<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  position: string,
  options?: ParkedOptions,
): Promise<void> {
  const log: EventStore = store;
  const { signal = NEVER } = readOptions(options, checkParked);
  const compiled = await parkedIn(compileProjection(projection), position, signal);
  let following: ParkedEvent | undefined;
  await repeated(log, compiled, guardOf(signal), async (worker) => {
    const entry = findParked(worker.record, position);
    following = await followingOf(entry, worker.record, log, compiled, signal);
    worker.amend((draft) => {
      draft.parked = draft.parked.flatMap((other) =>
        other.position !== position ? [other] : following ? [following] : []
      );
      draft.resolved = noted(draft.resolved, position, "discarded");
    });
    await worker.flush();
  });
  if (following) await retryParked(store, projection, following.position, options);
}

/** The next event of its key that waits behind a parked one, as a parked one. */
async function followingOf<Tx>(
  entry: ParkedEvent,
  record: ProjectionRecord,
  log: EventStore,
  projection: CompiledProjection<Tx>,
  signal: AbortSignal,
): Promise<ParkedEvent | undefined> {
  const { blocksActor, position, part, key } = entry;
  if (!blocksActor && part === undefined) return undefined;
  const parkedAs = (event: EventIdentity): ParkedEvent => (
    {
      ...{ ...entry, part: undefined, ...referenceOf(event, key) },
      ...{ refused: undefined, error: "waited", attempts: 0 },
    }
  );
  try {
    for await (const event of eventsFrom(entry, projection, log, signal)) {
      const isSame = event.position === position;
      if (isSame && (partOf(event)?.index ?? 0) <= (part ?? 0)) continue;
      if (!isSame && (!blocksActor || !isPassed(record, event.position))) break;
      return parkedAs(event);
    }
  } catch (error) {
    if (!(error instanceof EventSchemaError)) throw error;
    if (error.position !== position && isPassed(record, error.position)) {
      return parkedAs({ ...error, id: error.eventId });
    }
  }
  return undefined;
}

/** How long a worker has to close a segment that others are made of, in milliseconds. */
const CLOSING_TIME = 5_000;

/**
 * The segment that has parked an event, or the projection itself if it has none.
 *
 * @throws {DamagedCheckpointError} If none that can be read has, and one cannot be read.
 */
async function parkedIn<Tx>(
  projection: CompiledProjection<Tx>,
  position: string,
  signal: AbortSignal,
): Promise<CompiledProjection<Tx>> {
  signal.throwIfAborted();
  const { id, checkpoints } = projection;
  const head = await abortable(loadHead(projection), signal);
  const layout = head?.record.layout;
  if (!layout) return projection;
  const { generation, count } = layout;
  const records = { id, checkpoints, generations: generationsOf(layout), patience: CLOSING_TIME, signal };
  const seen: SeenRecords = new Map();
  let damage: DamagedCheckpointError | undefined;
  for (let index = 0; index < count; index++) {
    try {
      const { parked } = await abortable(seenRecord(records, head.record, index, seen), signal);
      if (!parked.some((entry) => entry.position === position)) continue;
    } catch (error) {
      if (!(error instanceof DamagedCheckpointError)) throw error;
      damage ??= error;
      continue;
    }
    await abortable(segmentRecord(records, head.record, index), signal);
    return { ...projection, segment: { generation, count, index } };
  }
  throw damage ?? notParked(id, position);
}

/** The signal of a call that has none. */
const NEVER = new AbortController().signal;

/** The bound of the random wait before another try to write, at first and later, in milliseconds. */
const FIRST_WAIT = 2;
const LONGEST_WAIT = 100;

function guardOf(signal: AbortSignal): Guard {
  return {
    signal,
    check: () => signal.throwIfAborted(),
    isOver: () => false,
    sleep: (milliseconds) => sleep(milliseconds, signal),
    warn: () => {}, // a retry that fails rejects
  };
}

/**
 * Does something while no other process writes to the record: the claim is written first, and a worker that meets it
 * waits. So the handler of a retry is called once, however busy the worker is.
 */
async function exclusively<Tx>(
  store: EventStore,
  compiled: CompiledProjection<Tx>,
  signal: AbortSignal,
  position: string,
  work: (worker: Worker<Tx>) => Promise<void>,
): Promise<void> {
  const guard = guardOf(signal);
  const claim = { id: crypto.randomUUID(), ttl: compiled.handlerTimeout + RETRY_GRACE };
  try {
    const claimed = await repeated(store, compiled, guard, async (worker) => {
      findParked(worker.record, position);
      worker.amend((draft) => draft.retry = claim);
      await worker.flush();
      return worker;
    });
    try {
      await work(claimed);
    } finally {
      claimed.discard();
      if (claimed.record.retry) await release(compiled, claim.id);
    }
  } catch (error) {
    throw outcomeOf(compiled.id, error);
  }
}

/** Removes the claim of a retry that was interrupted; if that fails too, its time ends it. */
async function release<Tx>(compiled: CompiledProjection<Tx>, id: string): Promise<void> {
  try {
    const checkpointer = await Checkpointer.load(compiled);
    const { record } = checkpointer;
    if (record.retry?.id === id) await checkpointer.commit({ ...record, retry: undefined });
  } catch {
    // the caller gets the failure that came first
  }
}

/** Does something to the record, again if another process wrote in between. It must call no handler. */
async function repeated<Tx, R>(
  store: EventStore,
  compiled: CompiledProjection<Tx>,
  guard: Guard,
  work: (worker: Worker<Tx>) => Promise<R>,
): Promise<R> {
  for (let attempt = 1;; attempt++) {
    const worker = await abortable(Worker.load(store, compiled, guard), guard.signal);
    try {
      await worker.finishIntent();
      return await work(worker);
    } catch (error) {
      worker.discard();
      if (!(error instanceof CheckpointConflictError)) throw error;
    }
    await guard.sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
  }
}

function notParked({ name, version }: ProjectionId, position: string): InvalidArgumentError {
  return new InvalidArgumentError(
    "position",
    `${
      describe(position)
    } is that of no parked event of projection "${name}" version ${version}: list them with listParked()`,
  );
}

function findParked({ name, version, parked }: ProjectionRecord, position: string): ParkedEvent {
  const entry = parked.find((other) => other.position === position);
  if (!entry) throw notParked({ name, version }, position);
  return entry;
}
