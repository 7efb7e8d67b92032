/**
 * Events and other values as JSON.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import type { HistoryFault } from "../store/errors.ts";
import type { DamageRow, EventRow } from "./api/mod.ts";

/** The JSON of a value; numbers that JSON does not have become text, and other values that it does not have `null`. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // A function for each value costs more than all else, and is needed for upcasted events only.
    return JSON.stringify(value, (_, item) => typeof item === "bigint" ? `${item}n` : item) ?? "null";
  }
}

/** An answer in JSON, which is not kept. */
export function jsonResponse(value: unknown, status = 200): Response {
  return jsonTextResponse(jsonOf(value), status);
}

/** An answer of JSON that was made already. */
export function jsonTextResponse(text: string, status = 200): Response {
  return new Response(text, {
    status,
    headers: { "content-type": "application/json; charset=utf-8", "cache-control": "no-store" },
  });
}

/** An event as it is shown. */
export function eventRow(event: StoredEvent): EventRow {
  const { id, eventType, actorId, version, position, timestamp, data, metadata } = event;
  return {
    ...{ id, eventType, actorId, version, position, timestamp, data },
    ...(metadata && { metadata: metadata as Readonly<Record<string, string>> }),
  };
}

/** A damaged place as it is shown. */
export function damageRow(fault: Pick<Error, "message">): DamageRow {
  const { actorId, version, firstVersion, position, firstPosition } = fault as
    & Partial<
      Pick<HistoryFault & { version: number; position: string }, "actorId" | "version" | "position">
    >
    & { readonly firstVersion?: number; readonly firstPosition?: string };
  const shownVersion = version ?? firstVersion;
  const shownPosition = position ?? firstPosition;
  return {
    message: fault.message,
    ...(actorId !== undefined && { actorId }),
    ...(shownVersion !== undefined && { version: shownVersion }),
    ...(shownPosition !== undefined && { position: shownPosition }),
  };
}
