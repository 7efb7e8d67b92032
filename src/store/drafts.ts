/**
 * The events of one save: drafted together, and divided by actor.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { type Draft, type DraftContext, draftEvent } from "../event/draft.ts";
import { InvalidEventError } from "../event/errors.ts";
import { schemaVersionOf } from "../event/registry.ts";
import type { StoredEvent } from "../event/types.ts";
import type { CommitPart } from "./commit.ts";

/**
 * Validates and copies the events of one save.
 *
 * @param actorId The actor that `append` was called with; without one each event carries its own, and a version.
 * @throws {InvalidEventError | EventTooLargeError} If one of them cannot be stored, or an id stands twice among them.
 */
export function draftAll(
  events: readonly unknown[],
  actorId: string | undefined,
  context: DraftContext,
): Draft[] {
  if (!Array.isArray(events)) throw new InvalidArgumentError("events", "must be an array");
  // Array.from visits holes too, which `map` would hand on.
  const drafts = Array.from(events, (event) => draftEvent(event, actorId, context));
  if (drafts.length > 1) {
    const ids = new Set<string>();
    for (const { event: { id, actorId } } of drafts) {
      if (ids.has(id)) throw new InvalidEventError("id", `"${id}" stands twice in one batch`, { actorId });
      ids.add(id);
    }
  }
  return drafts;
}

/** Drafts events of another store: their schema versions are those that they were stored under there. */
export function draftStored(events: readonly StoredEvent[], context: DraftContext): Draft[] {
  return draftAll(events, undefined, context)
    .map((draft, index) => ({ ...draft, schemaVersion: schemaVersionOf(events[index]!) }));
}

/**
 * Divides events that carry their versions by actor, actors in order of first appearance.
 *
 * @throws {InvalidEventError} If an actor's versions do not rise.
 */
export function divideByActor(drafts: readonly Draft[]): CommitPart[] {
  const byActor = new Map<string, Draft[]>();
  for (const draft of drafts) {
    const { givenVersion: version, event: { actorId } } = draft;
    const own = byActor.get(actorId);
    const previous = own?.at(-1)?.givenVersion ?? 0;
    if (version! <= previous) {
      const message = `does not rise inside the batch: it follows version ${previous}`;
      throw new InvalidEventError("version", message, { actorId, version });
    }
    if (own) own.push(draft);
    else byActor.set(actorId, [draft]);
  }
  return Array.from(byActor, ([actorId, own]) => ({ actorId, drafts: own, expected: "given" }));
}

/** `append` accepts versions where they are those that it will stamp. */
export function checkGivenVersions(drafts: readonly Draft[], expected: number): void {
  drafts.forEach(({ event: { actorId }, givenVersion }, index) => {
    const version = expected + 1 + index;
    if (givenVersion === undefined || givenVersion === version) return;
    const message = `is ${givenVersion}, and append gives it ${version}: leave it out`;
    throw new InvalidEventError("version", message, { actorId, version: givenVersion });
  });
}
