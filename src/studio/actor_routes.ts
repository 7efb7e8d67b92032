/**
 * Routes about one actor, and the list of actors.
 *
 * @module
 */

import { changesBetween, givenLine, givenOf } from "../cli/history.ts";
import type { StoredEvent } from "../event/types.ts";
import type { EventStore } from "../store/types.ts";
import type { ActorState, Change, Difference, Given } from "./api/mod.ts";
import type { Call } from "./call.ts";
import { ApiFailure } from "./failure.ts";
import { eventRow, jsonOf, jsonResponse, jsonTextResponse } from "./json.ts";
import { Rows } from "./page.ts";
import { MAX_LIMIT } from "./query.ts";

/** The most characters of the JSON of a state. */
const MAX_STATE = 4 * 1024 * 1024;
/** The most events and characters of a history as a test takes it. */
const MAX_GIVEN = 2_000;
const MAX_GIVEN_TEXT = 1024 * 1024;

/** GET `api/actors`. */
export async function listActors({ state, query, signal }: Call): Promise<Response> {
  const prefix = query.text("prefix") ?? "";
  return jsonResponse(await state.actorLists.page(prefix, query.text("after"), query.limit, signal));
}

/** GET `api/actor`. */
export async function showHistory({ parts: { store }, query, signal }: Call): Promise<Response> {
  const actorId = query.required("actor");
  const { limit } = query;
  const latestVersion = await latestOf(store, actorId);
  const isForward = query.text("direction") === "forward";
  const rows = new Rows(limit);
  const read = store.readEvents(actorId, {
    fromVersion: query.number("from") ?? 0,
    toVersion: query.number("to") || latestVersion,
    direction: isForward ? "forward" : "backward",
    limit: limit + 1,
    onDamage: rows.addDamage,
    signal,
  });
  let next: number | null = null;
  for await (const event of read) {
    if (rows.isFull) {
      next = event.version;
      break;
    }
    rows.add(event);
  }
  return jsonTextResponse(
    `{"actorId":${jsonOf(actorId)},"latestVersion":${latestVersion},"next":${next},${rows.json(false)}}`,
  );
}

async function latestOf(store: EventStore, actorId: string): Promise<number> {
  const version = await store.getLatestVersion(actorId);
  if (version > 0) return version;
  throw new ApiFailure("not-found", `There is no actor "${actorId}".`);
}

/** The latest event up to a version. */
async function eventAt(
  store: EventStore,
  actorId: string,
  toVersion: number,
  signal: AbortSignal,
): Promise<StoredEvent | undefined> {
  if (toVersion === 0) return undefined;
  for await (
    const event of store.readEvents(actorId, { toVersion, direction: "backward", limit: 1, signal })
  ) {
    return event;
  }
  return undefined;
}

/** GET `api/actor/state`. */
export async function showState(call: Call): Promise<Response> {
  const { parts: { store }, query, signal } = call;
  const actorId = query.required("actor");
  const latest = await latestOf(store, actorId);
  const version = versionOf(call, "version", latest) ?? latest;
  const decider = query.text("decider");
  const [event, states] = await Promise.all([
    eventAt(store, actorId, version, signal),
    decider === undefined ? undefined : statesOf(call, actorId, decider, [version]),
  ]);
  return jsonResponse(
    {
      ...{ actorId, version, event: event ? eventRow(event) : null },
      ...{ decider: decider ?? null, state: states?.[0] ?? null },
    } satisfies ActorState,
  );
}

function versionOf({ query }: Call, name: string, latest: number): number | undefined {
  const version = query.number(name);
  if (version === undefined || version <= latest) return version;
  throw new ApiFailure("invalid", `The actor has come to version ${latest}, and not to ${version}.`);
}

/** The states at some versions, in the order of those. They are what JSON carries of them. */
async function statesOf(
  { parts: { folds }, signal }: Call,
  actorId: string,
  decider: string,
  versions: readonly number[],
): Promise<unknown[]> {
  const fold = folds.get(decider);
  if (!fold) throw new ApiFailure("invalid", `There is no decider "${decider}".`);
  const folded = await fold(actorId, versions, signal);
  return versions.map((version) => {
    const state = folded.find((state) => state.version === version)?.state;
    let json: string;
    try {
      json = jsonOf(state);
    } catch (cause) {
      throw new ApiFailure("decider-failed", "The state cannot be shown, because JSON does not have it.", {
        cause,
      });
    }
    if (json.length <= MAX_STATE) return JSON.parse(json);
    throw new ApiFailure("decider-failed", `The state is too large to be shown: ${json.length} characters.`);
  });
}

/** GET `api/actor/diff`. */
export async function showDifference(call: Call): Promise<Response> {
  const { parts: { store }, query, signal } = call;
  const actorId = query.required("actor");
  const latest = await latestOf(store, actorId);
  const [a, b] = ["a", "b"].map((name) => versionOf(call, name, latest));
  if (a === undefined || b === undefined) throw new ApiFailure("invalid", '"a" and "b" must be versions.');
  const decider = query.text("decider");
  const [before, after] = decider === undefined
    ? await Promise.all([a, b].map(async (version) => (await eventAt(store, actorId, version, signal))?.data))
    : await statesOf(call, actorId, decider, [a, b]);
  const changes: readonly Change[] = await changesBetween(before, after);
  return jsonResponse(
    {
      ...{ actorId, a, b, decider: decider ?? null },
      ...{ changes: changes.slice(0, MAX_LIMIT), isCut: changes.length > MAX_LIMIT },
    } satisfies Difference,
  );
}

/** GET `api/actor/given`. */
export async function showGiven(call: Call): Promise<Response> {
  const { parts: { store }, query, signal } = call;
  const actorId = query.required("actor");
  const latest = await latestOf(store, actorId);
  const toVersion = versionOf(call, "to", latest) ?? latest;
  const lines: string[] = [];
  let characters = 0;
  let isCut = false;
  if (toVersion > 0) {
    for await (const event of store.readEvents(actorId, { toVersion, limit: MAX_GIVEN + 1, signal })) {
      isCut = lines.length === MAX_GIVEN || characters > MAX_GIVEN_TEXT;
      if (isCut) break;
      const line = givenLine(event);
      characters += line.length;
      lines.push(line);
    }
  }
  return jsonResponse({ text: givenOf(lines), events: lines.length, isCut } satisfies Given);
}
