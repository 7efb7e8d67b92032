/**
 * What was saved is seen.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, dataOf, happened, happenedTo, history, wholeLog } from "../support.ts";

/** Looks at a store in every way, so that all that it remembers is warm. */
async function look(store: StoreUnderTest, actorId: string): Promise<unknown> {
  return {
    latestVersion: await store.getLatestVersion(actorId),
    events: await store.getEvents(actorId),
    read: await all(() => store.readEvents(actorId)),
    backward: await all(() => store.readEvents(actorId, { direction: "backward", limit: 1 })),
    log: await wholeLog(store),
    lastPosition: await store.getLastPosition(),
    actors: (await all(() => store.listActors())).map(({ actorId, latestVersion }) =>
      `${actorId}: ${latestVersion}`
    ).sort(),
  };
}

/** The cases of read your writes. */
export const readYourWrites: Theme = {
  topic: "read your writes",
  cases: [
    {
      name: "every read sees what the same store has saved",
      async run({ open }): Promise<void> {
        const store = await open();
        await look(store, "order");
        for (let version = 1; version <= 5; version++) {
          const [saved] = await store.append("order", [happened(version)], { expectedVersion: version - 1 });
          assert.equal(await store.getLatestVersion("order"), version);
          assert.deepEqual((await store.getEvents("order")).at(-1), saved);
          assert.deepEqual((await all(() => store.readEvents("order"))).at(-1), saved);
          assert.deepEqual((await wholeLog(store)).at(-1), saved);
          assert.equal(await store.getLastPosition(), saved?.position);
          assert.deepEqual(await all(() => store.listActors()), [{
            actorId: "order",
            latestVersion: version,
          }]);
        }
      },
    },
    {
      name: "every read of another store object sees what was saved",
      needs: "sharing",
      async run({ open }): Promise<void> {
        const [writer, reader] = [await open(), await open()];
        await look(reader, "order");
        for (let version = 1; version <= 5; version++) {
          await writer.saveEvent(happenedTo("order", version, version));
          assert.equal(await reader.getLatestVersion("order"), version);
          assert.deepEqual(await look(reader, "order"), await look(writer, "order"));
        }
      },
    },
    {
      name: "everything is stored after the store was reopened, the last event and the tokens included",
      needs: "reopening",
      async run({ open, reopen }): Promise<void> {
        const first = await open();
        await history(first, "order", 3);
        await first.saveEvents([happenedTo("other", 4, "a"), happenedTo("order", 4, "b")]);
        await first.append("order", [happened("last")], { expectedVersion: 4, fencingToken: 7 });
        const before = await look(first, "order");
        const second = await reopen();
        assert.deepEqual(await look(second, "order"), before);
        const third = await reopen();
        assert.deepEqual(await look(third, "order"), before);
        await third.append("order", [happened("on")], { expectedVersion: 5, fencingToken: 7 });
        assert.deepEqual(dataOf(await third.getEvents("order")), [1, 2, 3, "b", "last", "on"]);
        assert((await third.getLastPosition())! > (before as { lastPosition: string }).lastPosition);
      },
    },
  ],
};
