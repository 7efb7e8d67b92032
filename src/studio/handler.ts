/**
 * Answers the studio's requests: the page, its files, and the API.
 *
 * @module
 */

import { ActorLists } from "./actor_list.ts";
import { listActors, showDifference, showGiven, showHistory, showState } from "./actor_routes.ts";
import type { Session } from "./api/mod.ts";
import { fileResponse, pageResponse } from "./assets.ts";
import type { Call, Route, StudioState } from "./call.ts";
import { followCluster, showCluster } from "./cluster_routes.ts";
import { HEARTBEAT, LAST } from "./event_stream.ts";
import { ApiFailure, failureOf } from "./failure.ts";
import { listFaults, showHealth, verify } from "./health_routes.ts";
import { jsonResponse } from "./json.ts";
import { followLog } from "./live_log.ts";
import { showActivity, showEvent, showLinks, showLog } from "./log_routes.ts";
import type { StudioParts } from "./parts.ts";
import { secured } from "./policy.ts";
import { discard, followProjections, listParkedEvents, retry, showProjections } from "./projection_routes.ts";
import { answerWithin, Pulse } from "./pulse.ts";
import { MAX_LIMIT, Query } from "./query.ts";

/** How long an answer may take, in milliseconds; a retry calls a handler of the user's, and may take longer. */
const PATIENCE = 15_000;
const RETRY_PATIENCE = 120_000;

/** GET `api/session`. */
function showSession({ parts }: Call): Response {
  const { target, backend, write, folds, checkpoints, cluster, seal } = parts;
  return jsonResponse(
    {
      ...{ target, backend, canWrite: write, deciders: [...folds.keys()] },
      ...{ hasProjections: checkpoints !== undefined, hasCluster: cluster !== undefined },
      ...{ hasSeal: seal !== undefined, maxLimit: MAX_LIMIT, heartbeat: HEARTBEAT },
      now: new Date().toISOString(),
    } satisfies Session,
  );
}

const ANSWERS: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["session", showSession],
  ["actors", listActors],
  ["actor", showHistory],
  ["actor/state", showState],
  ["actor/diff", showDifference],
  ["actor/given", showGiven],
  ["event", showEvent],
  ["event/links", showLinks],
  ["log", showLog],
  ["log/activity", showActivity],
  ["projections", showProjections],
  ["parked", listParkedEvents],
  ["cluster", showCluster],
  ["health", showHealth],
  ["faults", listFaults],
]);

const STREAMS: ReadonlyMap<string, Route> = new Map([
  ["log/live", followLog],
  ["projections/live", followProjections],
  ["cluster/live", followCluster],
  ["verify", verify],
]);

const CHANGES: ReadonlyMap<string, Route> = new Map([
  ["parked/retry", retry],
  ["parked/discard", discard],
]);

/**
 * Makes the function that answers requests.
 *
 * @param path The path of the page, without a slash at its end.
 */
export function handlerOf(parts: StudioParts, path: string): (request: Request) => Promise<Response> {
  const { store, signal } = parts;
  const state: StudioState = {
    actorLists: new ActorLists(store, signal),
    pulse: new Pulse(store),
    streams: { open: 0 },
    recent: new Map(),
    isVerifying: false,
    faults: [],
  };
  return async (request) => secured(await answer(request, parts, state, path));
}

async function answer(
  request: Request,
  parts: StudioParts,
  state: StudioState,
  path: string,
): Promise<Response> {
  const url = new URL(request.url);
  const { pathname } = url;
  try {
    if (pathname === path) return redirect(`${path}/${url.search}`);
    if (!pathname.startsWith(`${path}/`)) throw notFound(pathname);
    const [folder, ...rest] = pathname.slice(path.length + 1).split("/");
    const name = rest.join("/");
    if (folder === "api") return await answerApi(request, parts, state, name, new Query(url.searchParams));
    if (request.method !== "GET" && request.method !== "HEAD") throw wrongMethod("GET");
    if (folder === "" && rest.length === 0) return await pageResponse(request);
    const file = folder === "client" ? await fileResponse(request, name) : undefined;
    if (file) return file;
    throw notFound(pathname);
  } catch (error) {
    const failure = failureOf(error);
    return jsonResponse(failure.body, failure.status);
  }
}

function redirect(location: string): Response {
  return new Response(null, { status: 308, headers: { location } });
}

function notFound(pathname: string): ApiFailure {
  return new ApiFailure("not-found", `There is nothing at ${pathname}.`);
}

function wrongMethod(method: string): ApiFailure {
  return new ApiFailure("method", `Use ${method}.`);
}

async function answerApi(
  request: Request,
  parts: StudioParts,
  state: StudioState,
  name: string,
  query: Query,
): Promise<Response> {
  const change = CHANGES.get(name);
  const route = change ?? STREAMS.get(name) ?? ANSWERS.get(name);
  if (!route) throw notFound(`api/${name}`);
  const method = change ? "POST" : "GET";
  if (request.method !== method) throw wrongMethod(method);
  checkOrigin(request, change !== undefined);
  if (change && !parts.write) {
    throw new ApiFailure(
      "read-only",
      "This studio only reads. Start it with --write, or with { write: true }.",
    );
  }
  const call: Call = { parts, state, query, request, signal: parts.signal };
  if (STREAMS.has(name)) {
    // A browser that comes back to a stream that was over does not come back again.
    if (request.headers.get("last-event-id") === LAST) return new Response(null, { status: 204 });
    return await route(call);
  }
  const patience = change ? RETRY_PATIENCE : PATIENCE;
  const answering = answerWithin(patience, async (signal) => await route({ ...call, signal }), parts.signal);
  return await state.pulse.unless(answering);
}

/** Refuses what another site's page asks for. What changes something must come from a page of this origin. */
function checkOrigin(request: Request, isChange: boolean): void {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const isSame = site === null
    ? origin === null
      ? !isChange
      : hostOf(origin) === (request.headers.get("host") ?? new URL(request.url).host)
    : site === "same-origin" || site === "none" && !isChange;
  if (!isSame) {
    throw new ApiFailure(
      "forbidden",
      "This request comes from another site's page. Use the studio's own page.",
    );
  }
  const type = request.headers.get("content-type") ?? "";
  if (isChange && !/^application\/json\b/i.test(type)) {
    throw new ApiFailure("invalid", "The body must be sent as application/json.");
  }
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
