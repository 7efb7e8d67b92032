/**
 * An answer is definite.
 *
 * @module
 */

import assert from "node:assert/strict";
import { VersionConflictError } from "../../store/errors.ts";
import type { Theme } from "../context.ts";
import { changesNothing, counted, happened, happenedTo, refused, wholeLog } from "../support.ts";

/** The cases of definite results. */
export const answers: Theme = {
  topic: "definite results",
  cases: [
    {
      name: "a save whose signal has fired rejects with its reason and stores nothing",
      async run({ open }): Promise<void> {
        const store = await open();
        const reason = new Error("the request is gone");
        const signal = AbortSignal.abort(reason);
        await changesNothing(store, ["order"], async () => {
          const saves = [
            () => store.append("order", [happened()], { expectedVersion: 0, signal }),
            () => store.saveEvent(happenedTo("order", 1), { signal }),
            () => store.saveEvents([happenedTo("order", 1)], { signal }),
          ];
          for (const save of saves) assert.equal(await refused(save, Error), reason);
        });
      },
    },
    {
      name: "a save whose signal fires while it runs is stored or rejects, never both",
      async run(context): Promise<void> {
        const store = await context.open();
        const reason = new Error("changed my mind");
        for (let round = 0; round < context.scaled(20); round++) {
          const actorId = `order-${round}`;
          const abort = new AbortController();
          const save = store.append(actorId, [happened()], { expectedVersion: 0, signal: abort.signal });
          if (round % 2 === 1) await Promise.resolve();
          abort.abort(reason);
          const stored = await save.then(() => 1, (error) => {
            assert.equal(error, reason);
            return 0;
          });
          assert.equal(await store.getLatestVersion(actorId), stored);
        }
      },
    },
    {
      name: "a signal that fires afterwards changes nothing",
      async run({ open }): Promise<void> {
        const store = await open();
        const abort = new AbortController();
        const saved = await store.append("order", [happened()], { expectedVersion: 0, signal: abort.signal });
        abort.abort();
        assert.deepEqual(await store.getEvents("order"), saved);
      },
    },
    {
      name: "two sends of one append both resolve with what is stored once",
      needs: "sharing",
      async run({ open }): Promise<void> {
        const stores = [await open(), await open()];
        for (let round = 0; round < 10; round++) {
          const actorId = `order-${round}`;
          const events = counted(3, actorId);
          const [one, two] = await Promise.all(
            stores.map((store) => store.append(actorId, events, { expectedVersion: 0 })),
          );
          assert.deepEqual(one, two);
          assert.deepEqual(await stores[0]!.getEvents(actorId), one);
        }
        assert.equal((await wholeLog(stores[1]!)).length, 30);
      },
    },
    {
      name: "a conflict names the true latest version, also to a writer that has not seen it",
      needs: "sharing",
      async run({ open }): Promise<void> {
        const [one, two] = [await open(), await open()];
        await one.append("order", [happened(1)], { expectedVersion: 0 });
        assert.equal(await two.getLatestVersion("order"), 1);
        await one.append("order", [happened(2), happened(3)], { expectedVersion: 1 });
        const conflict = { actorId: "order", attemptedVersion: 2, currentVersion: 3 };
        await refused(
          () => two.append("order", [happened()], { expectedVersion: 1 }),
          VersionConflictError,
          conflict,
        );
        await refused(() => two.saveEvent(happenedTo("order", 2)), VersionConflictError, conflict);
        assert.equal((await two.append("order", [happened(4)], { expectedVersion: 3 }))[0]?.version, 4);
      },
    },
    {
      name: "a store that has an old version in memory still appends where the caller knows better",
      needs: "sharing",
      async run({ open }): Promise<void> {
        const [one, two] = [await open(), await open()];
        for (let version = 0; version < 10; version += 2) {
          await one.append("order", [happened(version + 1)], { expectedVersion: version });
          const [saved] = await two.append("order", [happened(version + 2)], {
            expectedVersion: version + 1,
          });
          assert.equal(saved?.version, version + 2);
        }
        assert.equal((await one.append("order", [happened()], { expectedVersion: "any" }))[0]?.version, 11);
        assert.equal((await two.append("order", [happened()], { expectedVersion: "any" }))[0]?.version, 12);
        assert.equal((await one.saveEvent(happenedTo("order", 13))).version, 13);
      },
    },
  ],
};
