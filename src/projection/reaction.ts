/**
 * Reactions: events that a handler wants appended to other actors, stored once whatever happens.
 *
 * What is to be appended is recorded with the checkpoint before the first attempt: actors, expected versions, ids, data. Whoever
 * goes on after a crash repeats exactly that append, which the store recognises by its ids. On a conflict the events are looked
 * for from the expected version on; only a look that did not find them moves the expected version, to the last version it
 * saw, and that is recorded before the next attempt.
 *
 * @module
 */

import { actorIdFault, type Draft, draftEvent } from "../event/draft.ts";
import { EventTooLargeError, InvalidEventError } from "../event/errors.ts";
import { newEventId } from "../event/id.ts";
import type { NewEvent, StoredEvent } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { backoff } from "../sleep.ts";
import { checkCounts, checkSizes, CommitPart } from "../store/commit.ts";
import {
  CommitTooLargeError,
  FencedError,
  OutcomeUnknownError,
  VersionConflictError,
} from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";
import type { Reaction } from "./projection.ts";
import type { IntendedAppend } from "./record.ts";

/** What reactions need of a store. */
export type ReactionStore = Pick<EventStore, "append" | "getLatestVersion" | "readEvents" | "limits">;

/** What settling an append needs. */
interface Patience {
  check(): void;
  sleep(milliseconds: number): Promise<void>;
}

const FIRST_WAIT = 50;
const LONGEST_WAIT = 2000;

/**
 * Makes up what is to be appended: ids, causes, expected versions.
 *
 * @throws {InvalidEventError | EventTooLargeError | CommitTooLargeError} If the events could not be stored as they are.
 */
export async function intend(
  store: ReactionStore,
  cause: StoredEvent,
  reactions: readonly Reaction[],
): Promise<readonly IntendedAppend[]> {
  if (!Array.isArray(reactions)) {
    throw new InvalidArgumentError("handle", "must return nothing, or an array of { actorId, events }");
  }
  const byActor = new Map<string, Draft[]>();
  const causes = { causationId: cause.id, correlationId: cause.metadata?.correlationId ?? cause.id };
  for (const { actorId, events } of reactions) {
    const fault = actorIdFault(actorId);
    if (fault) throw new InvalidEventError("actorId", fault);
    for (const event of events) {
      const metadata = { ...causes, ...event.metadata };
      const draft = draftEvent({ ...event, metadata }, actorId, {
        newId: newEventId,
        now: undefined,
        bytesPerEvent: store.limits.bytesPerEvent,
        schemaVersionOf: () => 1,
      });
      const own = byActor.get(actorId);
      if (own) own.push(draft);
      else byActor.set(actorId, [draft]);
    }
  }
  for (const [actorId, drafts] of byActor) {
    const parts = [new CommitPart(actorId, drafts, "any")];
    checkCounts(parts, store.limits);
    checkSizes(parts, store.limits);
  }
  return await Promise.all(Array.from(byActor, async ([actorId, drafts]): Promise<IntendedAppend> => {
    const events = drafts.map(({ event: { id, eventType, data, timestamp, metadata } }): NewEvent => (
      { id, eventType, data, timestamp, ...(metadata && { metadata }) }
    ));
    return { actorId, expectedVersion: await store.getLatestVersion(actorId), events };
  }));
}

/** Whether a store has said that it will never take an append: nothing of it is stored, and repeating it is in vain. */
export function isRefusal(error: unknown): boolean {
  return error instanceof FencedError || error instanceof InvalidEventError ||
    error instanceof EventTooLargeError || error instanceof CommitTooLargeError;
}

/**
 * Appends what was recorded, once.
 *
 * @param record Records the append under another expected version; must be done before it is tried.
 */
export async function settleAppend(
  store: ReactionStore,
  intended: IntendedAppend,
  patience: Patience,
  record: (again: IntendedAppend) => Promise<void>,
): Promise<void> {
  const { actorId, events } = intended;
  let { expectedVersion } = intended;
  for (let attempt = 1;; attempt++) {
    patience.check();
    try {
      await store.append(actorId, events, { expectedVersion });
      return;
    } catch (error) {
      if (error instanceof OutcomeUnknownError) {
        await patience.sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
        continue;
      }
      if (!(error instanceof VersionConflictError)) throw error;
      const last = await lookFor(store, actorId, expectedVersion, new Set(events.map(({ id }) => id!)));
      if (last === "stored") return;
      expectedVersion = last ?? error.currentVersion;
      await record({ actorId, expectedVersion, events });
    }
  }
}

/** Looks for events behind a version; answers with the last version that it saw. */
async function lookFor(
  store: ReactionStore,
  actorId: string,
  version: number,
  ids: ReadonlySet<string>,
): Promise<"stored" | number | undefined> {
  let last: number | undefined;
  for await (const event of store.readEvents(actorId, { fromVersion: version + 1 })) {
    if (ids.has(event.id)) return "stored";
    last = event.version;
  }
  return last;
}
