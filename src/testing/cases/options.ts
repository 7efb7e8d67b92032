/**
 * The options that every store takes.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Theme } from "../context.ts";
import { happened, happenedTo, wholeLog } from "../support.ts";

const RANDOM_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Options. */
export const options: Theme = {
  topic: "options",
  cases: [
    {
      name: "events without an id get a random UUID, each a different one",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.append("order", Array.from({ length: 50 }, () => happened()), { expectedVersion: 0 });
        for (let version = 51; version <= 100; version++) await store.saveEvent(happenedTo("order", version));
        const ids = (await store.getEvents("order")).map(({ id }) => id);
        for (const id of ids) assert.match(id, RANDOM_UUID);
        assert.equal(new Set(ids).size, 100);
      },
    },
    {
      name: "now and newId stamp what carries no time and no id of its own",
      async run({ open }): Promise<void> {
        let count = 0;
        const store = await open({
          now: () => new Date("2030-05-06T07:08:09.123Z"),
          newId: () => `id-${++count}`,
        });
        const given = happened(2, { id: "given", timestamp: "2001-01-01T00:00:00Z" });
        await store.append("order", [happened(1), given, happened(3)], { expectedVersion: 0 });
        assert.deepEqual((await wholeLog(store)).map(({ id, timestamp }) => [id, timestamp]), [
          ["id-1", "2030-05-06T07:08:09.123Z"],
          ["given", "2001-01-01T00:00:00.000Z"],
          ["id-2", "2030-05-06T07:08:09.123Z"],
        ]);
      },
    },
  ],
};
