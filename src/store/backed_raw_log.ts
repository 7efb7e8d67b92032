/**
 * The log of a store over a backend, as it is stored.
 *
 * @module
 */

import { abortableItems } from "../abortable.ts";
import type { DraftContext } from "../event/draft.ts";
import type { StorageBackend } from "./backend.ts";
import { flatten } from "./buffered_iteration.ts";
import { checkCounts, Commit, CommitPart, divideConditions, NO_CONDITIONS } from "./commit.ts";
import { divideByActor, draftStored } from "./draft_events.ts";
import type { Lifetime } from "./lifetime.ts";
import { eventsOf, partsOf, type RawLog } from "./raw_log.ts";
import type { StoreLimits } from "./types.ts";

/**
 * What carries events from and to a store, below its registry and its vault.
 *
 * @param limits The most that a commit of the store may hold.
 * @param drafting How the store drafts events.
 */
export function rawLogOver(
  backend: StorageBackend,
  limits: StoreLimits,
  drafting: DraftContext,
  lifetime: Lifetime,
): RawLog {
  return {
    read: (after, signal, onDamage) => {
      const ending = lifetime.until(signal);
      const read = { after, filter: {}, onDamage, signal: ending };
      return flatten(eventsOf(backend.readLog(read)), { signal: ending });
    },
    readParts: (after, signal) => {
      const ending = lifetime.until(signal);
      const read = { after, filter: {}, onDamage: undefined, signal: ending };
      return abortableItems(partsOf((onPart) => backend.readLog({ ...read, onPart })), ending);
    },
    listTokens: (signal) => {
      const ending = lifetime.until(signal);
      return abortableItems(backend.listTokens?.(ending) ?? noTokens(), ending);
    },
    maxSavesInOrder: backend.maxCommitsInOrder ?? 1,
    save: async (events, signal, tokens, behind) => {
      lifetime.assertOpen();
      const divided = divideByActor(draftStored(events, drafting, limits));
      const fenced = tokens
        ? divided.map(({ actorId, drafts }) =>
          new CommitPart(actorId, drafts, "given", undefined, tokens.get(actorId))
        )
        : divided;
      const { parts, conditions } = divideConditions(fenced, behind ? [behind] : NO_CONDITIONS);
      checkCounts(parts, limits, conditions.length);
      const commit = new Commit(parts, undefined, tokens !== undefined, signal, conditions);
      return await lifetime.track(() => backend.commit(commit));
    },
    checkPosition: async (position) => {
      lifetime.assertOpen();
      await lifetime.ask((signal) => backend.checkPosition(position, signal));
    },
  };
}

async function* noTokens(): AsyncGenerator<never> {}
