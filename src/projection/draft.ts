/**
 * A record that is being worked on, and how it moves past events.
 *
 * @module
 */

import { partOf } from "../event/upcast.ts";
import type { EventIdentity } from "./attempt.ts";
import type { ProjectionRecord } from "./record.ts";

/** A record that is being worked on. */
export type Draft = { -readonly [K in keyof ProjectionRecord]: ProjectionRecord[K] };

/** Notes in the record that an event is done with. */
export type Advance = (draft: Draft, event: EventIdentity) => void;

/** The way of a worker through the log, one event after the other. */
export function moveOn(draft: Draft, event: EventIdentity): void {
  if (!isWhole(draft, event)) return;
  reach(draft, event.position);
}

/** Notes that everything up to a position is done. */
export function reach(draft: Draft, position: string): void {
  draft.position = position;
  if (draft.done?.length && draft.done[0]!.to <= position) {
    const rest = draft.done.filter(({ to }) => to > position);
    draft.done = rest.length > 0 ? rest : undefined;
  }
}

/** Notes that an event is done with; returns whether the stored event is, which may be handed out as several. */
export function isWhole(draft: Draft, event: EventIdentity): boolean {
  const part = partOf(event);
  if (!part && !draft.parts) return true;
  const { position } = event;
  const others = draft.parts?.filter((other) => other.position !== position) ?? [];
  const isLast = part?.isLast ?? true;
  const parts = isLast ? others : [...others, { position, handled: part!.index + 1 }];
  draft.parts = parts.length > 0 ? parts : undefined;
  return isLast;
}
