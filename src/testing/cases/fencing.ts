/**
 * Fencing tokens.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../errors.ts";
import { FencedError } from "../../store/errors.ts";
import type { Theme } from "../context.ts";
import {
  all,
  changesNothing,
  happened,
  happenedTo,
  history,
  refused,
  versionsOf,
  wholeLog,
} from "../support.ts";

/** The cases of fencing. */
export const fencing: Theme = {
  topic: "fencing",
  cases: [
    {
      name: "a save under a token refuses every later save under a lower one, or none",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.append("order", [happened()], { expectedVersion: 0, fencingToken: 5 });
        await changesNothing(store, ["order"], async () => {
          for (const fencingToken of [4, 1, undefined]) {
            const options = fencingToken === undefined ? {} : { fencingToken };
            const saves = [
              () => store.append("order", [happened()], { expectedVersion: 1, ...options }),
              () => store.append("order", [happened()], { expectedVersion: "any", ...options }),
              () => store.saveEvent(happenedTo("order", 2), options),
              () => store.saveEvents([happenedTo("order", 2)], options),
            ];
            for (const save of saves) {
              await refused(save, FencedError, { actorId: "order", fencingToken, newestToken: 5 });
            }
          }
        });
      },
    },
    {
      name: "the same token and higher ones are taken, and the highest counts",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.append("order", [happened()], { expectedVersion: 0, fencingToken: 5 });
        await store.append("order", [happened()], { expectedVersion: 1, fencingToken: 5 });
        await store.saveEvent(happenedTo("order", 3), { fencingToken: Number.MAX_SAFE_INTEGER });
        await refused(() => store.saveEvent(happenedTo("order", 4), { fencingToken: 5 }), FencedError, {
          newestToken: Number.MAX_SAFE_INTEGER,
        });
        assert.equal(await store.getLatestVersion("order"), 3);
      },
    },
    {
      name: "unfenced saves go without a token, and leave the token as it is",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.append("order", [happened()], { expectedVersion: 0, fencingToken: 5 });
        await store.append("order", [happened()], { expectedVersion: 1, unfenced: true });
        await store.saveEvent(happenedTo("order", 3), { unfenced: true });
        await store.saveEvents([happenedTo("order", 4)], { unfenced: true });
        await refused(() => store.saveEvent(happenedTo("order", 5)), FencedError, { newestToken: 5 });
        await refused(
          () => store.saveEvent(happenedTo("order", 5), { fencingToken: 4, unfenced: true }),
          FencedError,
          { newestToken: 5 },
          "a lower token with unfenced",
        );
        await store.saveEvent(happenedTo("order", 5), { fencingToken: 5 });
      },
    },
    {
      name: "takeOver stores a token alone: no event and no version",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.takeOver("new", 3);
        await history(store, "order", 2);
        const log = await wholeLog(store);
        await changesNothing(store, ["new", "order"], () => store.takeOver("order", 3));
        assert.equal(await store.getLatestVersion("new"), 0);
        assert.deepEqual(await store.getEvents("new"), []);
        assert.deepEqual(await all(() => store.listActors()), [{ actorId: "order", latestVersion: 2 }]);
        assert.deepEqual(await wholeLog(store), log);
        for (const [actorId, version] of [["new", 0], ["order", 2]] as const) {
          const append = (options: { fencingToken?: number }): Promise<unknown> =>
            store.append(actorId, [happened()], { expectedVersion: version, ...options });
          await refused(() => append({}), FencedError, { actorId, newestToken: 3 });
          await refused(() => append({ fencingToken: 2 }), FencedError, { actorId, newestToken: 3 });
          await append({ fencingToken: 3 });
        }
        assert.deepEqual(versionsOf(await store.getEvents("new")), [1]);
        assert.deepEqual(versionsOf(await store.getEvents("order")), [1, 2, 3]);
      },
    },
    {
      name: "takeOver takes the newest token again and higher ones, and refuses lower ones",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.takeOver("order", 3);
        await store.takeOver("order", 3);
        await store.takeOver("order", 8);
        await refused(() => store.takeOver("order", 7), FencedError, {
          actorId: "order",
          fencingToken: 7,
          newestToken: 8,
        });
        for (const token of [0, -1, 1.5, NaN, 2 ** 53, "1"]) {
          const fencingToken = token as number;
          const takeOver = (): Promise<void> => store.takeOver("order", fencingToken);
          await refused(takeOver, InvalidArgumentError, { argument: "token" });
          const options = { expectedVersion: 0, fencingToken };
          await refused(() => store.append("order", [happened()], options), InvalidArgumentError);
        }
      },
    },
    {
      name: "takeOver between saves does not disturb versions, gaps or repetitions",
      async run({ open }): Promise<void> {
        const store = await open();
        const event = happened("first", { id: "first" });
        const stored = await store.append("order", [event], { expectedVersion: 0, fencingToken: 1 });
        for (let token = 2; token < 8; token++) {
          await store.takeOver("order", token);
          await store.saveEvent(happenedTo("order", token * 10), { fencingToken: token });
        }
        assert.deepEqual(versionsOf(await store.getEvents("order")), [1, 20, 30, 40, 50, 60, 70]);
        const again = { expectedVersion: 0, fencingToken: 7 };
        assert.deepEqual(await store.append("order", [event], again), stored);
        const backward = await all(() => store.readEvents("order", { direction: "backward", limit: 2 }));
        assert.deepEqual(versionsOf(backward), [70, 60]);
        assert.equal((await store.verify()).ok, true);
      },
    },
    {
      name: "a commit of several actors is refused whole where one of them is fenced",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.takeOver("owned", 9);
        await changesNothing(store, ["free", "owned"], () =>
          refused(
            () => store.saveEvents([happenedTo("free", 1), happenedTo("owned", 1)], { fencingToken: 8 }),
            FencedError,
            { actorId: "owned", fencingToken: 8, newestToken: 9 },
          ));
        await store.saveEvents([happenedTo("free", 1), happenedTo("owned", 1)], { fencingToken: 9 });
        await refused(() => store.saveEvent(happenedTo("free", 2)), FencedError, { actorId: "free" });
      },
    },
    {
      name: "a writer on another store object, with the actor in memory, is fenced off",
      needs: "sharing",
      async run({ open }): Promise<void> {
        const [former, next] = [await open(), await open()];
        await former.append("order", [happened()], { expectedVersion: 0, fencingToken: 1 });
        await former.append("order", [happened()], { expectedVersion: 1, fencingToken: 1 });
        await next.takeOver("order", 2);
        await changesNothing(next, ["order"], async () => {
          const late = [
            () => former.append("order", [happened()], { expectedVersion: 2, fencingToken: 1 }),
            () => former.append("order", [happened()], { expectedVersion: "any", fencingToken: 1 }),
            () => former.saveEvent(happenedTo("order", 3), { fencingToken: 1 }),
            () => former.saveEvents([happenedTo("x", 1), happenedTo("order", 3)], { fencingToken: 1 }),
          ];
          for (const save of late) await refused(save, FencedError, { actorId: "order", newestToken: 2 });
        });
        assert.equal(await next.getLatestVersion("x"), 0);
        await next.append("order", [happened()], { expectedVersion: 2, fencingToken: 2 });
      },
    },
    {
      name: "tokens outlive the store object that stored them, taken over or saved",
      needs: "reopening",
      async run({ open, reopen }): Promise<void> {
        const first = await open();
        await first.takeOver("taken", 4);
        await first.append("saved", [happened()], { expectedVersion: 0, fencingToken: 4 });
        await first.append("saved", [happened()], { expectedVersion: 1, unfenced: true });
        const second = await reopen();
        for (const [actorId, version] of [["taken", 1], ["saved", 3]] as const) {
          const event = happenedTo(actorId, version);
          await refused(() => second.saveEvent(event), FencedError, { actorId, newestToken: 4 });
          await refused(() => second.saveEvent(event, { fencingToken: 3 }), FencedError, { newestToken: 4 });
          await second.saveEvent(event, { fencingToken: 4 });
        }
      },
    },
  ],
};
