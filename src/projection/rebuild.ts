/**
 * Building a read model again with the next version of a projection, next to the one that serves, until it takes over.
 *
 * **The argument.** The next version takes over with one write: a mark in the checkpoint of the version before, by compare-and-set
 * over a revision whose position the next version has reached. From then on every write of the version before is refused: it ends
 * at that position, and what it had not committed is not part of its read model. A process that is killed before the write
 * goes on at its checkpoint, and one that is killed after it finds the mark.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { InvalidArgumentError } from "../errors.ts";
import { isVersion } from "../event/draft.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { readOptions } from "../options.ts";
import { sleep } from "../sleep.ts";
import type { EventStore, ReadAllOptions } from "../store/types.ts";
import { describe } from "../text.ts";
import { type CompiledProjection, compileProjection } from "./compile.ts";
import { endOf } from "./ends.ts";
import { CheckpointConflictError } from "./errors.ts";
import type { Projection } from "./projection.ts";
import { parseRecord, type ProjectionRecord } from "./record.ts";
import { checkRun, type ProjectionRun, type RunOptions } from "./projection_run.ts";
import { Run } from "./run.ts";

/**
 * How a read model is built again.
 *
 * @category Projections
 */
export interface RebuildOptions extends RunOptions {
  /** The version that serves until then. @default {the one before} */
  readonly replaces?: number;
  /** The most events a second that are read until it has come to the end of the log. @default {as many as it can handle} */
  readonly maxRate?: number;
}

/**
 * A version of a projection that is being built, and runs on when it has taken over.
 *
 * @category Projections
 */
export interface ProjectionRebuild extends ProjectionRun {
  /**
   * Resolves with the position at which it has taken over: the version before has ended there, and this one has handled everything up
   * to it. Rejects with the error of `finished`, or with an `AbortError` if the run is closed before.
   */
  readonly takenOver: Promise<string | undefined>;
}

/**
 * Runs the next version of a projection next to the one that serves, and lets it take over when it has come to the end of the log.
 * The version before ends there with a `ProjectionInUseError` whose reason is `replaced`, in any process, at its next
 * commit. Until then it may call handlers for events whose effects are not committed. If this process ends, call it again:
 * it continues.
 *
 * Readers read the version that is not replaced: `projectionStatuses` shows which, and how far the next one is. Use `lanes` to build
 * faster.
 *
 * @param store Where the events are.
 * @param projection The next version.
 * @param options How it is run.
 * @throws {InvalidArgumentError} If something is out of range.
 *
 * @example The next version takes over
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, projectOnce, rebuildProjection } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const checkpoints = new InMemoryCheckpoints();
 * await projectOnce(store, { name: "orders", checkpoints, handle: () => {} });
 *
 * const turnover = new Map<string, number>();
 * await using rebuild = rebuildProjection(store, {
 *   name: "orders",
 *   version: 2,
 *   checkpoints,
 *   lanes: 32,
 *   handle: ({ actorId, data }) => void turnover.set(actorId, (data as { total: number }).total),
 * });
 * await rebuild.takenOver;
 * assert.equal(turnover.get("order-1"), 5);
 * ```
 *
 * @category Projections
 */
export function rebuildProjection<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  options?: RebuildOptions,
): ProjectionRebuild {
  const compiled = compileProjection(projection);
  const { replaces = compiled.id.version - 1, maxRate, ...rest } = readOptions(
    options,
    (given) => checkRebuild(given, compiled.id.version),
  );
  if (compiled.segments !== undefined) {
    throw new InvalidArgumentError(
      "projection.segments",
      "cannot be declared for a rebuild: call changeSegments() when the version has taken over and its runs are closed",
    );
  }
  if (replaces < 1) {
    throw new InvalidArgumentError(
      "projection.version",
      "must be at least 2: version 1 replaces no other one",
    );
  }
  return new Rebuild(store, compiled, { ...rest, replaces, maxRate });
}

function checkRebuild({ replaces, maxRate, ...rest }: RebuildOptions, version: number): RebuildOptions {
  if (replaces !== undefined && !(isVersion(replaces) && replaces < version)) {
    throw new InvalidArgumentError(
      "options.replaces",
      `must be a version before ${version}, and is ${describe(replaces)}`,
    );
  }
  if (maxRate !== undefined && !(typeof maxRate === "number" && maxRate > 0)) {
    throw new InvalidArgumentError(
      "options.maxRate",
      `must be a number of events a second above 0, and is ${describe(maxRate)}`,
    );
  }
  return {
    ...checkRun(rest),
    ...(replaces !== undefined && { replaces }),
    ...(maxRate !== undefined && { maxRate }),
  };
}

/** How often the two checkpoints are compared, in milliseconds. */
const LOOK_INTERVAL = 50;

class Rebuild<Tx> extends Run<Tx> implements ProjectionRebuild {
  readonly takenOver: Promise<string | undefined>;

  constructor(
    store: EventStore,
    projection: CompiledProjection<Tx>,
    { replaces, maxRate, ...options }: RunOptions & {
      readonly replaces: number;
      readonly maxRate: number | undefined;
    },
  ) {
    super(maxRate === undefined ? store : paced(store, maxRate), projection, options, (draft) => {
      draft.rebuild = { replaces, since: new Date().toISOString(), handled: draft.handled };
    });
    this.takenOver = this.#takeOver(store, projection, replaces);
    this.takenOver.catch((error) => this.fail(error)); // a version that cannot take over does not run on
  }

  async #takeOver(
    store: EventStore,
    projection: CompiledProjection<Tx>,
    replaces: number,
  ): Promise<string | undefined> {
    const ending = new AbortController();
    const ended = (error?: unknown): void => ending.abort(error);
    this.finished.then(() => ended(), ended);
    let end: string | undefined;
    for (;;) {
      try {
        end ??= await abortable(store.getLastPosition(), ending.signal);
        const outcome = await takeOverAt(projection, replaces, end, ending.signal);
        if (outcome.isDone) return outcome.position;
        end = outcome.position ?? end;
      } catch (error) {
        const mayPass = ["superseded", "momentary", "bounded"].includes(endOf(error));
        if (!mayPass && !ending.signal.aborted) throw error;
      }
      await sleep(LOOK_INTERVAL, ending.signal);
    }
  }
}

/** Lets a version take over if it has come to a position and to that of the version before. */
async function takeOverAt<Tx>(
  { id, filter, checkpoints }: CompiledProjection<Tx>,
  replaces: number,
  end: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly isDone: boolean; readonly position: string | undefined }> {
  const before = { name: id.name, version: replaces };
  const own = await abortable(checkpoints.load(id), signal);
  const stored = await abortable(checkpoints.load(before), signal);
  const old = stored && parseRecord(before, stored);
  if (old?.layout) {
    throw new InvalidArgumentError(
      "projection.segments",
      `version ${replaces} has segments, and cannot be replaced: close its runs, and run the new version by itself`,
    );
  }
  if (old?.replacedBy?.version === id.version) return { isDone: true, position: old.replacedBy.position };
  const record = own && parseRecord(id, own);
  const target = old?.position !== undefined && old.position > (end ?? "") ? old.position : end;
  const isThere = record !== undefined && (target === undefined || (record.position ?? "") >= target);
  if (!isThere || isUnsettled(record)) return { isDone: false, position: target };
  const position = old?.position ?? end;
  const mark: ProjectionRecord = {
    ...(old ?? {
      ...{ format: 1, ...before, filter, handled: 0, stopped: false, parked: [], resolved: [] },
      ...(end !== undefined && { position: end }),
    }),
    replacedBy: { version: id.version, ...(position !== undefined && { position }) },
    savedAt: new Date().toISOString(),
    writeId: crypto.randomUUID(),
  };
  try {
    await checkpoints.save(before, JSON.stringify(mark), stored?.revision);
    return { isDone: true, position };
  } catch (error) {
    // The version before has moved on, or the answer was lost: both checkpoints are read again.
    if (!(error instanceof CheckpointConflictError)) throw error;
    return { isDone: false, position: target };
  }
}

/** Whether it still has to append what handlers wanted appended. */
function isUnsettled({ intent, reactions }: ProjectionRecord): boolean {
  return (intent?.length ?? 0) > 0 || (reactions?.length ?? 0) > 0;
}

/** A store whose history is read at no more than a rate. */
function paced(store: EventStore, maxRate: number): EventStore {
  const readAll = (options?: ReadAllOptions): AsyncIterableIterator<StoredEvent> =>
    atRate(store.readAll(options), maxRate);
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "readAll") return readAll;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

async function* atRate(
  events: AsyncIterable<StoredEvent>,
  maxRate: number,
): AsyncIterableIterator<StoredEvent> {
  const begun = performance.now();
  let count = 0;
  for await (const event of events) {
    yield event;
    const ahead = ++count / maxRate * 1_000 - (performance.now() - begun);
    if (ahead > 1) await sleep(Math.min(ahead, LONGEST_PAUSE));
  }
}

/** The longest wait for the rate, in milliseconds: the run may be closed meanwhile. */
const LONGEST_PAUSE = 250;
