/**
 * A log is itself and not its name. A store whose log was deleted, or made again by another program, reports it, and
 * leaves nothing in the new one.
 *
 * @module
 */

import assert from "node:assert/strict";
import { LogReplacedError } from "../../store/errors.ts";
import type { CaseContext, Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, happened, happenedTo, history, refused, wholeLog } from "../support.ts";

const snapshot = { actorId: "known", kind: "state", schemaVersion: 1, version: 1, state: null };

/** A store with a history, whose log is deleted; it has looked at an actor without events. */
async function deleted(context: CaseContext): Promise<{ store: StoreUnderTest; position: string }> {
  const store = await context.open();
  const [first] = await history(store, "known", 3);
  await store.getLatestVersion("empty");
  await store.saveSnapshot?.(snapshot);
  await context.deleteLog();
  return { store, position: first!.position };
}

/** Every call that writes. */
function writes(store: StoreUnderTest): Record<string, () => unknown> {
  return {
    "append to an actor that the store does not know": () =>
      store.append("untouched", [happened()], { expectedVersion: 0 }),
    "append to an actor that was read as empty": () =>
      store.append("empty", [happened()], { expectedVersion: 0 }),
    "append to an actor with events": () => store.append("known", [happened()], { expectedVersion: 3 }),
    "append at any version": () => store.append("known", [happened()], { expectedVersion: "any" }),
    "append that the store itself would refuse": () =>
      store.append("known", [happened()], { expectedVersion: 1 }),
    saveEvent: () => store.saveEvent(happenedTo("other", 1)),
    "saveEvents of several actors": () => store.saveEvents([happenedTo("one", 1), happenedTo("two", 1)]),
    takeOver: () => store.takeOver("owned", 5),
  };
}

/** Every call that reads. */
function reads(store: StoreUnderTest, position: string): Record<string, () => unknown> {
  return {
    getEvents: () => store.getEvents("known"),
    "getEvents of an actor without events": () => store.getEvents("unknown"),
    readEvents: () => all(() => store.readEvents("known", { direction: "backward" })),
    "readEvents that reports damage": () => all(() => store.readEvents("known", { onDamage: () => {} })),
    getLatestVersion: () => store.getLatestVersion("known"),
    "getLatestVersion of an actor without events": () => store.getLatestVersion("unknown"),
    readAll: () => all(() => store.readAll()),
    "readAll after a position": () => all(() => store.readAll({ after: position })),
    getLastPosition: () => store.getLastPosition(),
    listActors: () => all(() => store.listActors()),
    verify: () => store.verify(),
    diagnose: () => store.diagnose(),
  };
}

/** The cases of replaced log. */
export const replacing: Theme = {
  topic: "replaced log",
  cases: [
    {
      name: "a log that was made again in place of another one gets nothing from stores of that one",
      needs: "replacing",
      async run(context): Promise<void> {
        const { store } = await deleted(context);
        const fresh = await context.open();
        await fresh.append("first", [happened("new")], { expectedVersion: 0 });
        const log = await wholeLog(fresh);
        const calls = writes(store);
        if (store.saveSnapshot) {
          calls["saveSnapshot"] = () => store.saveSnapshot!({ ...snapshot, version: 2 });
        }
        if (store.deleteSnapshots) {
          await fresh.saveSnapshot!({ ...snapshot, actorId: "first", kind: "own" });
          calls["deleteSnapshots"] = () => store.deleteSnapshots!("own");
        }
        for (const [name, write] of Object.entries(calls)) await refused(write, LogReplacedError, {}, name);
        assert.deepEqual(await wholeLog(fresh), log, "something was stored in the new log");
        for (const actorId of ["untouched", "empty", "known", "other", "one", "two", "owned"]) {
          assert.deepEqual(await fresh.getEvents(actorId), [], actorId);
          await fresh.append(actorId, [happened()], { expectedVersion: 0 });
        }
        assert.equal(await fresh.getLatestSnapshot?.("known", "state"), undefined);
        if (store.deleteSnapshots) assert.equal((await fresh.getLatestSnapshot!("first", "own"))?.version, 1);
        assert.equal((await fresh.verify()).ok, true);
      },
    },
    {
      name: "a log that was made again in place of another one is not read by stores of that one",
      needs: "replacing",
      async run(context): Promise<void> {
        const { store, position } = await deleted(context);
        const fresh = await context.open();
        await history(fresh, "known", 5);
        for (const [name, read] of Object.entries(reads(store, position))) {
          await refused(read, LogReplacedError, {}, name);
        }
        if (store.getLatestSnapshot) {
          await refused(() => store.getLatestSnapshot!("known", "state"), LogReplacedError);
        }
        const subscription = store.subscribe({ after: position });
        await refused(() => subscription[Symbol.asyncIterator]().next(), LogReplacedError);
      },
    },
    {
      name: "a subscription ends with an error when its log is made again",
      needs: "replacing",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "known", 1);
        await using subscription = store.subscribe({ after: "start" });
        const events = subscription[Symbol.asyncIterator]();
        await events.next();
        const next = events.next();
        next.catch(() => {}); // it is awaited below
        await context.deleteLog();
        await history(await context.open(), "known", 1);
        await refused(() => next, LogReplacedError);
      },
    },
    {
      name: "a log that was deleted is missed by every call that writes or reads",
      needs: "replacing",
      async run(context): Promise<void> {
        const { store, position } = await deleted(context);
        for (const [name, call] of Object.entries({ ...writes(store), ...reads(store, position) })) {
          await refused(call, LogReplacedError, {}, name);
        }
      },
    },
  ],
};
