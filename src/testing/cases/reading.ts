/**
 * Reads of one actor's history, and the list of actors.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../errors.ts";
import type { ReadEventsOptions } from "../../store/types.ts";
import type { Theme } from "../context.ts";
import { all, happened, happenedTo, history, refused, versionsOf } from "../support.ts";
import { abandoned } from "./log_readers.ts";

/** Reads. */
export const reading: Theme = {
  topic: "reads",
  cases: [
    {
      name: "getEvents begins at the version that it is asked for, in a gap and above the latest too",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.saveEvents([1, 2, 5, 9].map((version) => happenedTo("order", version)));
        const expected = {
          0: [1, 2, 5, 9],
          1: [1, 2, 5, 9],
          2: [2, 5, 9],
          3: [5, 9],
          6: [9],
          9: [9],
          10: [],
        };
        for (const [fromVersion, kept] of Object.entries(expected)) {
          assert.deepEqual(
            versionsOf(await store.getEvents("order", Number(fromVersion))),
            kept,
            fromVersion,
          );
        }
        assert.deepEqual(await store.getEvents("order", Number.MAX_SAFE_INTEGER), []);
        assert.deepEqual(await store.getEvents("new", 0), []);
      },
    },
    {
      name: "readEvents reads in either direction, between two versions, up to a limit",
      async run({ open }): Promise<void> {
        const store = await open();
        const stored = [1, 2, 3, 7, 8, 20];
        for (const version of stored.slice(0, 3)) await store.saveEvent(happenedTo("order", version));
        await store.saveEvents(stored.slice(3).map((version) => happenedTo("order", version)));
        await history(store, "other", 3);
        for (const direction of ["forward", "backward"] as const) {
          for (const fromVersion of [0, 1, 2, 4, 7, 20, 21]) {
            for (const toVersion of [1, 3, 7, 19, 20, Number.MAX_SAFE_INTEGER]) {
              for (const limit of [undefined, 0, 1, 2, 100]) {
                const options: ReadEventsOptions = {
                  direction,
                  fromVersion,
                  toVersion,
                  ...(limit === undefined ? {} : { limit }),
                };
                const chosen = stored.filter((version) => version >= fromVersion && version <= toVersion);
                if (direction === "backward") chosen.reverse();
                assert.deepEqual(
                  versionsOf(await all(() => store.readEvents("order", options))),
                  chosen.slice(0, limit),
                  JSON.stringify(options),
                );
              }
            }
          }
        }
        assert.deepEqual(await all(() => store.readEvents("order")), await store.getEvents("order"));
        assert.deepEqual(await all(() => store.readEvents("unknown")), []);
      },
    },
    {
      name: "readEvents can be iterated again, and then reads again",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "order", 2);
        const iterable = store.readEvents("order");
        assert.equal((await all(() => iterable)).length, 2);
        await store.append("order", [happened(3)], { expectedVersion: 2 });
        assert.equal((await all(() => iterable)).length, 3);
      },
    },
    {
      name: "long histories are read whole, in both directions",
      slow: true,
      async run(context): Promise<void> {
        const store = await context.open();
        const count = context.scaled(2_500);
        const chunk = Math.min(100, store.limits.eventsPerCommit);
        for (let from = 0; from < count; from += chunk) {
          const events = Array.from(
            { length: Math.min(chunk, count - from) },
            (_, index) => happened(from + index + 1),
          );
          await store.append("order", events, { expectedVersion: from });
        }
        const versions = Array.from({ length: count }, (_, index) => index + 1);
        assert.deepEqual(versionsOf(await store.getEvents("order")), versions);
        assert.deepEqual(versionsOf(await all(() => store.readEvents("order"))), versions);
        assert.deepEqual(versionsOf(await all(() => store.readAll({ actorId: "order" }))), versions);
        const backward = versionsOf(await all(() => store.readEvents("order", { direction: "backward" })));
        assert.deepEqual(backward, versions.toReversed());
      },
    },
    {
      name: "a read of an actor that is given up or aborted lets go",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "order", 3);
        await abandoned((signal) => store.readEvents("order", signal && { signal }));
        await abandoned((signal) => store.readEvents("order", { fromVersion: 1, ...(signal && { signal }) }));
      },
    },
    {
      name: "reads refuse arguments that are out of range",
      async run({ open }): Promise<void> {
        const store = await open();
        for (const noId of ["", "x".repeat(513), "\ud800", 7]) {
          const actorId = noId as string;
          const argument = { argument: "actorId" };
          await refused(() => store.getEvents(actorId), InvalidArgumentError, argument);
          await refused(() => store.getLatestVersion(actorId), InvalidArgumentError, argument);
          await refused(() => all(() => store.readEvents(actorId)), InvalidArgumentError, argument);
          await refused(() => store.takeOver(actorId, 1), InvalidArgumentError, argument);
        }
        await refused(() => all(() => store.readEvents("order", { toVersion: 0 })), InvalidArgumentError);
        for (const version of [-1, 1.5, NaN, 2 ** 53]) {
          await refused(() => store.getEvents("order", version), InvalidArgumentError);
          for (const options of [{ fromVersion: version }, { toVersion: version }]) {
            await refused(() => all(() => store.readEvents("order", options)), InvalidArgumentError);
          }
        }
        for (const options of [{ limit: -1 }, { limit: 0.5 }, { direction: "up" as "forward" }]) {
          await refused(() => all(() => store.readEvents("order", options)), InvalidArgumentError);
        }
      },
    },
    {
      name: "listActors lists every actor that has events, once, and chooses by a plain prefix",
      async run({ open }): Promise<void> {
        const store = await open();
        assert.deepEqual(await all(() => store.listActors()), []);
        const versions = new Map([["order.1", 3], ["order.1.a", 1], ["order-1", 2], ["orders", 1], [
          "\u20ac",
          1,
        ]]);
        for (const [actorId, count] of versions) await history(store, actorId, count);
        await store.saveEvent(happenedTo("gap", 77));
        versions.set("gap", 77);
        await store.takeOver("only-taken-over", 5);
        for (
          const actorPrefix of [undefined, "", "order", "order.", "order.1", "orders", "unknown", "\u20ac"]
        ) {
          const listed = await all(() => store.listActors(actorPrefix === undefined ? {} : { actorPrefix }));
          const byId = new Map(listed.map(({ actorId, latestVersion }) => [actorId, latestVersion]));
          assert.equal(byId.size, listed.length, "an actor is listed twice");
          const expected = [...versions].filter(([actorId]) => actorId.startsWith(actorPrefix ?? ""));
          assert.deepEqual(byId, new Map(expected), `prefix ${actorPrefix}`);
        }
        const reason = new Error("enough");
        const signal = AbortSignal.abort(reason);
        assert.equal(await refused(() => all(() => store.listActors({ signal })), Error), reason);
        for await (const _ of store.listActors()) break;
      },
    },
  ],
};
