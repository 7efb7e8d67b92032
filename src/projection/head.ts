/**
 * The record of a projection with segments: its layout, and the processes that work on it.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { LeaseStore } from "../cluster/lease.ts";
import { InvalidArgumentError } from "../errors.ts";
import { readOptions } from "../options.ts";
import { backoff, sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import { checkKey, firstRecord, otherSegments, replaced } from "./checkpointer.ts";
import { type CheckpointStore, checkUnderLease, leaseKeyOf } from "./checkpoints.ts";
import { checkSegments, type CompiledProjection } from "./compile.ts";
import { outcomeOf } from "./ends.ts";
import { CheckpointConflictError, type ProjectionId, ProjectionInUseError } from "./errors.ts";
import { generationsOf, stamped } from "./segment.ts";
import { parseRecord, type ProjectionRecord } from "./record.ts";
import { readNamed } from "./reference.ts";

/** Where the record is. */
interface Place {
  readonly id: ProjectionId;
  readonly checkpoints: Pick<CheckpointStore<unknown>, "load" | "save">;
}

/** Reads the record. */
export async function loadHead(
  { id, checkpoints }: {
    readonly id: ProjectionId;
    readonly checkpoints: Pick<CheckpointStore<unknown>, "load">;
  },
): Promise<{ readonly record: ProjectionRecord; readonly revision: string } | undefined> {
  const stored = await checkpoints.load(id);
  return stored && { record: parseRecord(id, stored), revision: stored.revision };
}

/** The bound of the random wait before another try, at first and later, in milliseconds. */
const FIRST_WAIT = 2;
const LONGEST_WAIT = 100;

/**
 * Changes the record, again if another process has changed it in between.
 *
 * @param signal Ends it before the record is changed.
 */
export async function changeHead(
  place: Place,
  change: (record: ProjectionRecord) => ProjectionRecord,
  signal?: AbortSignal,
): Promise<void> {
  for (let tries = 1;; tries++) {
    const head = await abortable(loadHead(place), signal);
    if (!head) return;
    const next = change(head.record);
    if (next === head.record) return;
    try {
      await place.checkpoints.save(place.id, JSON.stringify(stamped(next)), head.revision);
      return;
    } catch (error) {
      if (!(error instanceof CheckpointConflictError)) throw error;
    }
    await sleep(backoff(tries, FIRST_WAIT, LONGEST_WAIT), signal);
  }
}

/**
 * Reads the record, or makes that of a projection which begins: with the segments that it was declared with, and at the end of the log
 * as it is now if it is to begin there.
 *
 * @throws {InvalidArgumentError} If it is that of a projection without segments, or of one with another kind of key.
 */
export async function openHead<Tx>(
  projection: CompiledProjection<Tx>,
  store: Pick<EventStore, "getLastPosition">,
): Promise<ProjectionRecord> {
  const known = await loadHead(projection);
  if (known) {
    const { record } = known;
    if (!record.layout) throw otherSegments(projection.segments, 1);
    const hasOwnKey = projection.keyOf !== undefined;
    checkKey({ ...record, parked: [] }, hasOwnKey); // what is parked is in the records of the segments
    if (record.hasOwnKey !== undefined) return record;
    await changeHead(projection, (record) => ({ hasOwnKey, ...record }));
    return await openHead(projection, store);
  }
  const first = await firstRecord(projection);
  const position = projection.from === "end" ? await store.getLastPosition() : undefined;
  const isAtEnd = projection.from === "end" && first.position === undefined;
  const record = stamped({
    ...first,
    ...(isAtEnd && (position === undefined ? { isBegun: true } : { position })),
    layout: { generation: 1, count: projection.segments!, before: [] },
    hasOwnKey: projection.keyOf !== undefined,
  });
  try {
    await projection.checkpoints.save(projection.id, JSON.stringify(record), undefined);
  } catch (error) {
    if (!(error instanceof CheckpointConflictError)) throw error;
  }
  return await openHead(projection, store);
}

/**
 * How the number of segments is changed.
 *
 * @category Projections
 */
export interface ChangeSegmentsOptions {
  /** Where the leases of the projection's workers are kept, as in `runProjection`. @default {next to the checkpoints} */
  readonly leases?: LeaseStore;
  /** Ends the call with the signal's reason, before the number is changed. */
  readonly signal?: AbortSignal;
}

/**
 * Splits or merges the segments of a projection while it runs: 8 segments are made of 4 by dividing each, and 4 of 8 by joining two
 * each. No event is lost or handled twice, and the events of a key keep their order. Processes that run the projection go over by
 * themselves; then declare the new number for those that are started. Their number must be a multiple of the present one, or
 * the present one a multiple of it.
 *
 * A projection without segments becomes one of segments while no process runs it.
 *
 * @param projection Its name, version and checkpoints; the projection itself can be given.
 * @param segments How many it is to have.
 * @param options Where its leases are kept.
 * @throws {ProjectionInUseError} If a process runs it without segments, or another version has replaced it.
 * @throws {InvalidArgumentError} If the number is out of range, or neither a multiple nor a part of the present one, or the
 * projection was not run yet, or is being built to replace another version, or another one is being built to replace it.
 *
 * @example Twice as many segments
 * ```ts
 * import { changeSegments, InMemoryCheckpoints, InMemoryEventStore, runProjection } from "@flowmade-one/aether";
 *
 * await using store = new InMemoryEventStore();
 * const projection = { name: "totals", checkpoints: new InMemoryCheckpoints(), segments: 4, handle: () => {} };
 * await using run = runProjection(store, projection);
 * const [placed] = await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * await run.waitFor(placed!.position);
 * await changeSegments(projection, 8); // the run goes over
 * ```
 *
 * @category Projections
 */
export async function changeSegments(
  projection: {
    readonly name: string;
    readonly version?: number;
    readonly checkpoints: Pick<CheckpointStore<unknown>, "load" | "save" | "list" | "leases">;
  },
  segments: number,
  options?: ChangeSegmentsOptions,
): Promise<void> {
  const { id, checkpoints } = readNamed(projection);
  const { leases: given, signal } = readOptions(options, checkUnderLease);
  if (segments === undefined) throw new InvalidArgumentError("segments", "is missing");
  checkSegments("segments", segments);
  let isKnown = false;
  signal?.throwIfAborted();
  try {
    const record = (await abortable(loadHead({ id, checkpoints }), signal))?.record;
    if (record?.rebuild) await abortable(assertBuilt({ id, checkpoints }, record.rebuild.replaces), signal);
    const isWhole = !record?.layout;
    if (record && isWhole && !record.replacedBy) await abortable(assertServes({ id, checkpoints }), signal);
    const leases = isWhole
      ? given ?? await abortable(Promise.resolve(checkpoints.leases?.()), signal)
      : undefined;
    await using lease = await leases?.tryAcquire(leaseKeyOf(id), { ...(signal && { signal }) });
    if (leases && !lease) throw new ProjectionInUseError(id, "running", "close every run of it first");
    await changeHead({ id, checkpoints }, (record) => {
      signal?.throwIfAborted();
      isKnown = true;
      if (record.replacedBy) throw replaced(id, record.replacedBy.version);
      const { layout } = record;
      const count = layout?.count ?? 1;
      if (count === segments) return record;
      if (count % segments !== 0 && segments % count !== 0) {
        throw new InvalidArgumentError(
          "segments",
          `is ${segments}, and the projection has ${count}: give a multiple of that, such as ${
            count * 2
          }, or a part of it`,
        );
      }
      const before = layout ? generationsOf(layout) : [];
      return { ...record, layout: { generation: (layout?.generation ?? 0) + 1, count: segments, before } };
    }, signal);
  } catch (error) {
    throw outcomeOf(id, error);
  }
  if (!isKnown) {
    throw new InvalidArgumentError("projection", "has no checkpoint yet: declare segments and run it");
  }
}

/** Checks that no version is being built to replace this one: it could not take over from segments. */
async function assertServes(
  { id, checkpoints }: {
    readonly id: ProjectionId;
    readonly checkpoints: Pick<CheckpointStore<unknown>, "list">;
  },
): Promise<void> {
  for (const stored of await checkpoints.list()) {
    const { id: other } = stored;
    if (other?.name !== id.name || other.version === id.version) continue;
    if (parseRecord(other, stored).rebuild?.replaces !== id.version) continue;
    throw new InvalidArgumentError(
      "segments",
      `cannot be changed while version ${other.version} is being built to replace version ${id.version}: wait until ` +
        "it has taken over, or delete its checkpoint",
    );
  }
}

/** Checks that a version has taken over from the one before. */
async function assertBuilt({ id, checkpoints }: Place, replaces: number): Promise<void> {
  const before = await loadHead({ id: { ...id, version: replaces }, checkpoints });
  if (before?.record.replacedBy?.version === id.version) return;
  throw new InvalidArgumentError(
    "segments",
    `cannot be changed while version ${id.version} is being built: wait until it has taken over from version ${replaces}`,
  );
}
