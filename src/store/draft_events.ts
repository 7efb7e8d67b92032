/**
 * The events of one save: drafted together, and divided by actor.
 *
 * @module
 */

import { AetherError, InvalidArgumentError } from "../errors.ts";
import { Draft, type DraftContext, draftEvent } from "../event/draft.ts";
import { InvalidEventError } from "../event/errors.ts";
import { schemaVersionOf } from "../event/registry.ts";
import type { StoredEvent } from "../event/types.ts";
import { isArray } from "./check_options.ts";
import { listOf } from "../short_lived.ts";
import { CommitPart } from "./commit.ts";
import { CommitTooLargeError } from "./errors.ts";
import type { StoreLimits } from "./types.ts";
import { describe } from "../text.ts";

/**
 * Validates and copies the events of one save.
 *
 * @param actorId The actor that `append` was called with; without one each event carries its own, and a version.
 * @throws {InvalidEventError | EventTooLargeError} If one of them cannot be stored, or an id is twice among them.
 * @throws {CommitTooLargeError} If there are more than the store takes: then none is looked at.
 */
export function draftAll(
  events: readonly unknown[],
  actorId: string | undefined,
  context: DraftContext,
  { eventsPerCommit }: StoreLimits,
): Draft[] {
  if (!isArray(events)) {
    throw new InvalidArgumentError("events", `must be an array, and is ${describe(events)}`);
  }
  const drafts = listOf<Draft>();
  try {
    const { length } = events;
    if (length > eventsPerCommit) throw new CommitTooLargeError("events", length, eventsPerCommit);
    // By index, holes too: an iterator of the list's own is not asked.
    for (let index = 0; index < length; index++) drafts.push(draftEvent(events[index], actorId, context));
  } catch (error) {
    if (error instanceof AetherError) throw error;
    throw new InvalidArgumentError("events", "could not be read", { cause: error });
  }
  if (drafts.length > 1) {
    const ids = new Set<string>();
    for (const { event: { id, actorId } } of drafts) {
      if (ids.has(id)) throw new InvalidEventError("id", `"${id}" is twice in one batch`, { actorId });
      ids.add(id);
    }
  }
  return drafts;
}

/** Drafts events of another store: their schema versions are those that they were stored under there. */
export function draftStored(
  events: readonly StoredEvent[],
  context: DraftContext,
  limits: StoreLimits,
): Draft[] {
  return draftAll(events, undefined, context, limits)
    .map(({ event, givenVersion, givenId, most }, index) =>
      new Draft(event, givenVersion, givenId, schemaVersionOf(events[index]!), most)
    );
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
    else byActor.set(actorId, listOf(draft));
  }
  return Array.from(byActor, ([actorId, own]) => new CommitPart(actorId, own, "given"));
}

/** `append` accepts versions if they are those that it will stamp. */
export function checkGivenVersions(drafts: readonly Draft[], expected: number): void {
  let version = expected;
  for (const { event: { actorId }, givenVersion } of drafts) {
    version++;
    if (givenVersion === undefined || givenVersion === version) continue;
    const message = `is ${givenVersion}, and append gives it ${version}: leave it out`;
    throw new InvalidEventError("version", message, { actorId, version: givenVersion });
  }
}
