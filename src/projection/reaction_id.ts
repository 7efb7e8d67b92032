/**
 * The ids of what a projection stores because of an event.
 *
 * @module
 */

import type { Event } from "../event/types.ts";

/**
 * Gives ids to the places of one handler's result: the same ones for the same projection and event, in any version of the
 * projection, over any place for checkpoints, and in a copy of the store. Places are counted for each target, so that a new
 * target among the others changes nothing for them.
 *
 * @param projection The projection's name.
 * @param cause The event that is handled.
 * @returns Gives the next id for a target.
 */
export function placeIds(
  projection: string,
  cause: Event,
): (actorId: string, kind?: "event" | "command") => Promise<string> {
  const places = new Map<string, number>();
  const { actorId: causeActor, version, id } = cause;
  return async (actorId, kind = "event") => {
    const counted = `${kind} ${actorId}`;
    const place = places.get(counted) ?? 0;
    places.set(counted, place + 1);
    // The id alone does not name an event: callers may choose the same one for events of two actors.
    const text = JSON.stringify([projection, causeActor, version, id, kind, actorId, place]);
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return uuid(new Uint8Array(digest, 0, 16));
  };
}

/** A UUIDv8 (RFC 9562): the version for ids that an application derives in its own way. */
function uuid(bytes: Uint8Array): string {
  bytes[6] = bytes[6]! & 0x0f | 0x80;
  bytes[8] = bytes[8]! & 0x3f | 0x80;
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
