/**
 * Routes about projections, and what they have set aside.
 *
 * @module
 */

import { discardWithoutHandler } from "../cli/projections.ts";
import type { CheckpointStore, StoredCheckpoint } from "../projection/checkpoints.ts";
import { ProjectionStoppedError } from "../projection/errors.ts";
import { discardParked, listParked, retryParked } from "../projection/parked.ts";
import { checkNamed } from "../projection/reference.ts";
import { type FailingEvent, type ParkedEvent, parseRecord } from "../projection/record.ts";
import { segmentOf } from "../projection/layout.ts";
import type { SegmentStatus } from "../projection/segment_status.ts";
import { type ProjectionStatus, projectionStatuses } from "../projection/status.ts";
import type {
  FailingRow,
  LagRow,
  ParkedCommand,
  ParkedPage,
  ParkedResult,
  ParkedRow,
  ProjectionList,
  ProjectionRow,
  SegmentRow,
} from "./api/mod.ts";
import { type Call, recently, streamOf } from "./call.ts";
import { pause } from "./event_stream.ts";
import { ApiFailure, failureOf } from "./failure.ts";
import { jsonOf, jsonResponse } from "./json.ts";
import type { AnyProjection } from "./parts.ts";

/** The most events that are counted for a lag. */
const COUNT_LIMIT = 1_000;
/** How old a status may be, and how often a page gets it, in milliseconds. */
const MAX_AGE = 1_000;
const INTERVAL = 2_000;
/** The most bytes of a command. */
const MAX_BODY = 64 * 1024;

const NONE = "No place of checkpoints is known to this studio.";

/** GET `api/projections`. */
export async function showProjections(call: Call): Promise<Response> {
  return jsonResponse(await statuses(call));
}

/** Stream `api/projections/live`. */
export function followProjections(call: Call): Response {
  if (!call.parts.checkpoints) throw new ApiFailure("not-found", NONE);
  void call.query.limit; // a wrong one is refused before the stream opens
  return streamOf(call, async (output) => {
    let before = "";
    for (; !output.signal.aborted; await pause(INTERVAL, output.signal)) {
      const list = await statuses(call).catch((error) => {
        if (failureOf(error).code !== "unavailable") throw error;
      });
      if (!list) continue;
      const json = jsonOf(list);
      await output.hasRoom();
      if (json !== before) output.sendJson("projections", json);
      before = json;
    }
  });
}

async function statuses(call: Call): Promise<ProjectionList> {
  const { parts, query, state } = call;
  const { limit } = query;
  const after = query.text("after") ?? "";
  return await recently(state, `projections ${limit} ${after}`, MAX_AGE, async () => {
    const lists: (readonly StoredCheckpoint[])[] = [];
    for (const checkpoints of await placesOf(call)) lists.push(await checkpoints.list());
    const behind = new Set(lists.flat().map(nameOf).filter((name) => name > after));
    const names = [...behind].sort();
    // Only what is shown costs a count of events.
    const shown = new Set(names.slice(0, limit));
    const rows: ProjectionRow[] = [];
    for (const list of lists) {
      const page = list.filter((stored) => shown.has(nameOf(stored)));
      const options = { countLimit: COUNT_LIMIT, signal: parts.signal };
      for (
        const status of await projectionStatuses(parts.store, { list: () => Promise.resolve(page) }, options)
      ) rows.push(projectionRow(status, known(parts.projections, status) !== undefined));
    }
    return {
      projections: rows.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version),
      next: names.length > limit ? names[limit - 1]! : null,
    };
  });
}

/** The name of the projection that a checkpoint is of, also of one of its segments. */
function nameOf(stored: StoredCheckpoint): string {
  return segmentOf(stored.id ?? parseRecord(undefined, stored)).id.name;
}

async function placesOf({ parts: { checkpoints } }: Call): Promise<readonly CheckpointStore<unknown>[]> {
  if (!checkpoints) throw new ApiFailure("not-found", NONE);
  return await checkpoints();
}

interface Named {
  readonly name: string;
  readonly version: number;
}

function known(projections: readonly AnyProjection[], { name, version }: Named): AnyProjection | undefined {
  return projections.find((projection) => projection.name === name && (projection.version ?? 1) === version);
}

function projectionRow(status: ProjectionStatus, canRetry: boolean): ProjectionRow {
  const { name, version, position, handled, rate, savedAt, lag, problem, failing, parked, segments } = status;
  const { rebuild, replacedBy } = status;
  return {
    ...{ name, version, state: stateOf(status), position: position ?? null, handled, rate, savedAt },
    ...{ lag: lag ?? null, problem: problem?.message ?? null, failing: failing ? failingRow(failing) : null },
    ...{ parked: parked.length, segments: (segments ?? []).map(segmentRow) },
    rebuild: rebuild
      ? { replaces: rebuild.replaces, share: rebuild.share, timeLeft: rebuild.timeLeft ?? null }
      : null,
    ...{ replacedBy: replacedBy ?? null, canRetry },
  };
}

function stateOf(status: ProjectionStatus): ProjectionRow["state"] {
  if (status.replacedBy !== undefined) return "replaced";
  if (status.problem) return "problem";
  const state = progressOf(status);
  return status.rebuild && (state === "behind" || state === "up-to-date") ? "rebuilding" : state;
}

function progressOf(
  { stopped, failing, lag }: {
    readonly stopped: boolean;
    readonly failing: FailingEvent | undefined;
    readonly lag: LagRow | undefined;
  },
): SegmentRow["state"] {
  if (stopped) return "stopped";
  if (failing) return "failing";
  return lag?.events === 0 ? "up-to-date" : "behind";
}

function segmentRow(segment: SegmentStatus): SegmentRow {
  const { index, handled, rate, lag, problem, failing, parked } = segment;
  return {
    ...{ index, state: problem ? "problem" : progressOf(segment), handled, rate, lag: lag ?? null },
    ...{ failing: failing ? failingRow(failing) : null, parked: parked.length },
  };
}

function failingRow(
  { position, actorId, eventVersion, eventType, error, attempts }: FailingEvent,
): FailingRow {
  return { position, actorId, eventVersion, eventType, error, attempts };
}

function parkedRow(parked: ParkedEvent): ParkedRow {
  const { parkedAt, blocksActor } = parked;
  return { ...failingRow(parked), parkedAt, blocksActor };
}

/** The place that has the checkpoint of a projection. */
async function placeOf(call: Call, id: Named): Promise<CheckpointStore<unknown>> {
  const own = known(call.parts.projections, id)?.checkpoints as CheckpointStore<unknown> | undefined;
  if (own && await own.load(id)) return own;
  for (const checkpoints of await placesOf(call)) {
    checkNamed({ ...id, checkpoints });
    if (await checkpoints.load(id)) return checkpoints;
  }
  throw new ApiFailure(
    "not-found",
    `There is no checkpoint of a projection "${id.name}" of version ${id.version}.`,
  );
}

/** GET `api/parked`. */
export async function listParkedEvents(call: Call): Promise<Response> {
  const { query } = call;
  const id = { name: query.required("projection"), version: query.number("version") ?? 1 };
  const after = query.text("after") ?? "";
  const parked = await parkedOf(call, id);
  const behind = parked.filter(({ position }) => position > after);
  const page = behind.slice(0, query.limit);
  const next = page.length < behind.length ? page.at(-1)!.position : null;
  return jsonResponse(
    { projection: id.name, version: id.version, parked: page.map(parkedRow), next } satisfies ParkedPage,
  );
}

async function parkedOf(call: Call, id: Named): Promise<readonly ParkedEvent[]> {
  const parked = await listParked({ ...id, checkpoints: await placeOf(call, id) });
  return parked.toSorted((a, b) => a.position < b.position ? -1 : a.position > b.position ? 1 : 0);
}

/** POST `api/parked/retry`. */
export async function retry(call: Call): Promise<Response> {
  const { id, position } = await commandOf(call);
  const { parts: { store, projections }, signal } = call;
  const projection = known(projections, id);
  if (!projection) {
    throw new ApiFailure(
      "invalid",
      `The handler of "${id.name}" of version ${id.version} is not known to this studio, so that it can only discard: ` +
        "the projection has to be given to it.",
    );
  }
  await parkedWith(call, id, position);
  await retryParked(store, projection, position, { signal });
  return result(call, await parkedOf(call, id), null);
}

/** POST `api/parked/discard`. What waited behind the event is handled if the handler is known. */
export async function discard(call: Call): Promise<Response> {
  const { id, position } = await commandOf(call);
  const { parts: { store, projections }, signal } = call;
  const checkpoints = await placeOf(call, id);
  const before = new Set((await parkedWith(call, id, position)).map((parked) => parked.position));
  const projection = known(projections, id);
  try {
    if (projection) await discardParked(store, projection, position, { signal });
    else await discardWithoutHandler(store, checkpoints, { ...id, position }, signal);
  } catch (error) {
    if (!(error instanceof ProjectionStoppedError)) throw error;
  }
  const left = await parkedOf(call, id);
  return result(call, left, left.find((parked) => !before.has(parked.position)) ?? null);
}

/** What is parked, the event at this position among it. */
async function parkedWith(call: Call, id: Named, position: string): Promise<readonly ParkedEvent[]> {
  const parked = await parkedOf(call, id);
  if (parked.some((event) => event.position === position)) return parked;
  throw new ApiFailure(
    "not-found",
    `No event is parked at ${position}: it may have been dealt with meanwhile.`,
  );
}

function result({ state }: Call, left: readonly ParkedEvent[], next: ParkedEvent | null): Response {
  state.recent.clear();
  return jsonResponse({ parked: left.length, next: next ? parkedRow(next) : null } satisfies ParkedResult);
}

async function commandOf({ request }: Call): Promise<{ readonly id: Named; readonly position: string }> {
  const body = await bodyOf(request) as Partial<ParkedCommand> | null;
  const { projection, version = 1, position } = body ?? {};
  const isSound = typeof projection === "string" && projection !== "" && Number.isSafeInteger(version) &&
    typeof position === "string" && position !== "";
  if (isSound) return { id: { name: projection, version }, position };
  throw new ApiFailure(
    "invalid",
    'The body must be JSON with "projection", "position" and, if it is not 1, "version".',
  );
}

/** The JSON of a body that is not too long; else `null`. */
async function bodyOf(request: Request): Promise<unknown> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of request.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > MAX_BODY) return null;
  }
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
