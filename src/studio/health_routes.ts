/**
 * Routes about the health of the log: what weakens it, its limits, its seal, and a verification.
 *
 * @module
 */

import type { SealPlace } from "../evidence/place.ts";
import type { Finding, StoreLimits } from "../store/types.ts";
import type { FaultPage, Health, VerifyLive } from "./api/mod.ts";
import { type Call, streamOf } from "./call.ts";
import { LAST } from "./event_stream.ts";
import { ApiFailure } from "./failure.ts";
import { damageRow, jsonResponse } from "./json.ts";
const SEVERITIES: readonly Finding["severity"][] = ["critical", "warning", "info"];

/** GET `api/health`. */
export async function showHealth({ parts: { store, seal }, signal }: Call): Promise<Response> {
  const [findings, last, lastSeal] = await Promise.all([
    store.diagnose(),
    store.getLastPosition(),
    seal ? readSeal(seal, signal) : null,
  ]);
  const rows = findings.map(({ code, severity, message, advice }) => ({ code, severity, message, advice }));
  rows.sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  return jsonResponse(
    { findings: rows, limits: limitsOf(store.limits), last: last ?? null, seal: lastSeal } satisfies Health,
  );
}

function limitsOf(
  { actorsPerCommit, eventsPerCommit, bytesPerCommit, bytesPerEvent }: StoreLimits,
): Health["limits"] {
  const shown = (limit: number): number | null => Number.isFinite(limit) ? limit : null;
  return {
    actorsPerCommit: shown(actorsPerCommit),
    eventsPerCommit: shown(eventsPerCommit),
    bytesPerCommit: shown(bytesPerCommit),
    bytesPerEvent: shown(bytesPerEvent),
  };
}

async function readSeal(place: SealPlace, signal: AbortSignal): Promise<Health["seal"]> {
  const [{ readCheckpoint, readLeaf }, { parseCheckpoint }] = await Promise.all([
    import("../evidence/sealed_tree.ts"),
    import("../evidence/note.ts"),
  ]);
  const bytes = await readCheckpoint(place, signal);
  if (!bytes) return null;
  const { origin, size, root, time } = parseCheckpoint(bytes);
  const last = size === 0 ? undefined : await readLeaf(place, size, size - 1, signal);
  return {
    ...{ origin, size, sealedAt: time ?? null, root: root.toBase64() },
    ...{ position: last?.position ?? null, timestamp: last?.timestamp ?? null },
  };
}

/** How many damaged places are kept to be listed. */
const MAX_FAULTS = 10_000;
/** Between two messages about the progress, in milliseconds. */
const PROGRESS_INTERVAL = 200;

/** Stream `api/verify`. */
export function verify(call: Call): Response {
  const { parts: { store }, state } = call;
  return streamOf(call, async (output) => {
    if (state.isVerifying) {
      throw new ApiFailure(
        "busy",
        "A verification runs already. Wait for it, or close the page that has begun it.",
      );
    }
    state.isVerifying = true;
    try {
      let shown = -Infinity;
      const onProgress = ({ commits, events }: VerifyLive["progress"]): void => {
        if (performance.now() - shown < PROGRESS_INTERVAL || output.isFull) return;
        shown = performance.now();
        output.send("progress", { commits, events });
      };
      const { signal } = output;
      const { ok, commits, events, actors, lastPosition, faults } = await store.verify({
        onProgress,
        signal,
      });
      state.faults = faults.slice(0, MAX_FAULTS).map(damageRow);
      const report: VerifyLive["report"] = {
        ...{ ok, commits, events, actors, lastPosition: lastPosition ?? null, faultCount: faults.length },
      };
      output.send("report", report, LAST);
    } finally {
      state.isVerifying = false;
    }
  });
}

/** GET `api/faults`: the list is that of the last verification, and `after` a number of places in it. */
export function listFaults({ state: { faults }, query }: Call): Response {
  const { limit } = query;
  const end = (query.number("after") ?? 0) + limit;
  const page = faults.slice(end - limit, end);
  return jsonResponse({ faults: page, next: end < faults.length ? String(end) : null } satisfies FaultPage);
}
