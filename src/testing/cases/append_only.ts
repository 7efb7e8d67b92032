/**
 * What is stored stays.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Theme } from "../context.ts";
import { happened, happenedTo, history, refused, wholeLog } from "../support.ts";
import { VersionConflictError } from "../../store/errors.ts";

/** Ids that would reach beyond their actor if they are pasted into a key, a subject or a query unescaped. */
const CRAFTED = [
  "*",
  ">",
  "%",
  "victim\0",
  "victim\xff",
  "victim.>",
  "victim.*",
  "victim/1",
  "victim/../victim",
  "../victim",
  "victim ",
  " victim",
  "victim\r\nDELETE victim",
  "victim'; DROP TABLE events; --",
  "=76ictim",
  "victim=2E",
];

/** The cases of append-only. */
export const appendOnly: Theme = {
  topic: "append-only",
  cases: [
    {
      name: "no crafted actor id touches the events of another actor",
      async run({ open }): Promise<void> {
        const store = await open();
        const victim = await history(store, "victim", 3);
        for (const actorId of CRAFTED) {
          await store.saveEvent(happenedTo(actorId, 1, "crafted"));
          await store.append(actorId, [happened("crafted")], { expectedVersion: 1 });
          await store.takeOver(actorId, 9);
        }
        assert.deepEqual(await store.getEvents("victim"), victim);
        assert.equal((await store.append("victim", [happened(4)], { expectedVersion: 3 }))[0]?.version, 4);
      },
    },
    {
      name: "events stay as they were after every kind of later save",
      async run({ open }): Promise<void> {
        const store = await open();
        const before = await history(store, "order", 3);
        await refused(() => store.saveEvent(happenedTo("order", 2, "changed")), VersionConflictError);
        await store.saveEvent(happenedTo("order", 10, "later"));
        await store.saveEvents([happenedTo("other", 1), happenedTo("order", 11)]);
        await store.append("order", [happened("last")], { expectedVersion: "any" });
        assert.deepEqual((await store.getEvents("order")).slice(0, 3), before);
        assert.deepEqual((await wholeLog(store)).slice(0, 3), before);
      },
    },
  ],
};
