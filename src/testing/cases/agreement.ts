/**
 * What a store answers, held against the model.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { StoredEvent } from "../../event/types.ts";
import { CommitTooLargeError, FencedError, VersionConflictError } from "../../store/errors.ts";
import type { ReferenceEvent, Verdict } from "./reference.ts";

/** Asserts that a store does what the model does. */
export async function agree(
  save: () => Promise<readonly StoredEvent[]>,
  { stored, refusals }: Verdict,
): Promise<void> {
  let events: readonly StoredEvent[];
  try {
    events = await save();
  } catch (error) {
    const allowed = refusals.some((refusal) => {
      switch (refusal.because) {
        case "conflict":
          return error instanceof VersionConflictError && error.actorId === refusal.actorId &&
            error.currentVersion === refusal.currentVersion;
        case "fenced":
          return error instanceof FencedError && error.actorId === refusal.actorId &&
            error.newestToken === refusal.newestToken;
        case "too large":
          return error instanceof CommitTooLargeError && error.unit === refusal.unit;
      }
    });
    if (!allowed) assert.fail(`${String(error)}, where the model has ${JSON.stringify(stored ?? refusals)}`);
    return;
  }
  assert(stored, `it is stored, where the model refuses it for ${JSON.stringify(refusals)}`);
  assertEvents(events, stored);
}

/** Asserts that events are those of the model; ids count where their user chose them. */
export function assertEvents(events: readonly StoredEvent[], expected: readonly ReferenceEvent[]): void {
  const seen = events.map(({ id, eventType, actorId, version, data }, index) => ({
    id: expected[index]?.id === undefined ? undefined : id,
    eventType,
    actorId,
    version,
    data,
  }));
  assert.deepEqual(seen, expected);
}
