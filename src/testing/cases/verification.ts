/**
 * A store that nothing has damaged reports it, and finds a tail that is gone.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DamagedHistoryError, InvalidPositionError } from "../../store/errors.ts";
import type { Theme } from "../context.ts";
import { aheadOf, happenedTo, history, refused } from "../support.ts";

/** The cases of verification. */
export const verification: Theme = {
  topic: "verification",
  cases: [
    {
      name: "verify finds nothing wrong with a sound store, and counts what it read",
      async run({ open }): Promise<void> {
        const store = await open();
        const empty = await store.verify();
        assert.deepEqual([empty.ok, empty.events, empty.actors, empty.lastPosition], [true, 0, 0, undefined]);
        await history(store, "a", 3);
        await store.saveEvents([happenedTo("b", 7), happenedTo("c", 1), happenedTo("c", 900)]);
        await store.takeOver("d", 5);
        let progress = 0;
        const report = await store.verify({ onProgress: ({ events }) => progress = events });
        assert.deepEqual(report.faults, []);
        assert.deepEqual([report.ok, report.events, report.actors], [true, 6, 3]);
        assert(report.commits >= 4, `${report.commits} commits`);
        assert.equal(report.lastPosition, await store.getLastPosition());
        assert(progress <= 6);
      },
    },
    {
      name: "verify finds that the log ends before a position that is remembered elsewhere",
      async run({ open }): Promise<void> {
        const store = await open();
        const log = await history(store, "a", 3);
        for (const { position } of log) {
          assert.equal((await store.verify({ expectedPosition: position })).ok, true);
        }
        const ahead = aheadOf(log[0]!.position, log[2]!.position);
        const report = await store.verify({ expectedPosition: ahead });
        assert.equal(report.ok, false);
        assert.equal(report.faults.length, 1);
        assert(report.faults[0] instanceof DamagedHistoryError);
        assert.equal(report.faults[0].position, ahead);
      },
    },
    {
      name: "verify refuses an expected position that is none of its log",
      async run({ open, openElsewhere }): Promise<void> {
        const store = await open();
        await history(store, "a", 1);
        const [foreign] = await history(await openElsewhere(), "a", 1);
        await refused(() => store.verify({ expectedPosition: foreign!.position }), InvalidPositionError, {
          reason: "foreign",
        });
        await refused(() => store.verify({ expectedPosition: "nonsense" }), InvalidPositionError, {
          reason: "malformed",
        });
      },
    },
    {
      name: "diagnose speaks in findings that say what is so and what to do",
      async run({ open }): Promise<void> {
        const store = await open();
        for (const { code, severity, message, advice } of await store.diagnose()) {
          assert.match(code, /^[a-z0-9]+(-[a-z0-9]+)*$/);
          assert(["info", "warning", "critical"].includes(severity), severity);
          assert(message.length > 0 && advice.length > 0, code);
        }
      },
    },
  ],
};
