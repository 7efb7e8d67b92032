/**
 * A position and a snapshot name an event. What was remembered of a part of the log that a restore has lost is
 * refused, also after the log has grown past it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DamagedHistoryError, InvalidPositionError } from "../../store/errors.ts";
import { replay } from "../../store/replay.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { EventStore } from "../../store/types.ts";
import type { CaseContext, Theme } from "../context.ts";
import { all, happened, history, refused, wholeLog } from "../support.ts";

const counter = {
  initialState: (): number => 0,
  evolve: (count: number): number => count + 1,
  snapshot: { kind: "count", schemaVersion: 1 },
};

/** Saves events of actors that are new until the log has come past a position. */
async function growPast(store: EventStore, position: string): Promise<void> {
  for (let round = 1;; round++) {
    await store.append(`new-${round}`, [happened(round)], { expectedVersion: 0 });
    if ((await store.getLastPosition())! > position) return;
    assert(round < 1_000, "the log does not come past a position that it had reached");
  }
}

/** Asserts that every use of a position refuses it. */
async function assertRefused(store: EventStore, position: string): Promise<void> {
  const reads = {
    readAll: () => all(() => store.readAll({ after: position })),
    "readAll with a filter": () => all(() => store.readAll({ after: position, actorId: "order" })),
    subscribe: async () => {
      await using subscription = store.subscribe({ after: position });
      await subscription.ready;
      await subscription[Symbol.asyncIterator]().next();
    },
    "subscribe with a filter": async () => {
      await using subscription = store.subscribe({ after: position, actorPrefix: "ord" });
      await subscription.ready;
      await subscription[Symbol.asyncIterator]().next();
    },
    verify: () => store.verify({ expectedPosition: position }),
  };
  for (const [name, read] of Object.entries(reads)) {
    await refused(read, InvalidPositionError, { reason: "diverged", position }, name);
  }
}

/** A store with five events of `order`, of which a restore loses the last two. */
async function losing(context: CaseContext): Promise<{ kept: string[]; lost: string[] }> {
  const before = await history(await context.open(), "order", 3);
  await context.backUp();
  const store = await context.open();
  const lost = await store.append("order", [happened(4), happened(5)], { expectedVersion: 3 });
  return { kept: before.map(({ position }) => position), lost: lost.map(({ position }) => position) };
}

/** The cases of restored log. */
export const restoring: Theme = {
  topic: "restored log",
  cases: [
    {
      name: "positions of events that a restore has lost are refused after the log has grown past them",
      needs: "restoring",
      async run(context): Promise<void> {
        const { kept, lost } = await losing(context);
        await context.restore();
        const store = await context.open();
        assert.deepEqual((await wholeLog(store)).map(({ position }) => position), kept);
        for (const after of lost) {
          await refused(() => all(() => store.readAll({ after })), InvalidPositionError);
        }
        await growPast(store, lost.at(-1)!);
        for (const position of lost) await assertRefused(store, position);
        for (const [index, after] of kept.entries()) {
          const [next] = await all(() => store.readAll({ after, limit: 1 }));
          if (kept[index + 1]) assert.equal(next?.position, kept[index + 1]);
          assert.equal((await store.verify({ expectedPosition: after })).ok, true);
        }
      },
    },
    {
      name: "a position that a filtered subscription has come to is refused if a restore has lost its place",
      needs: "restoring",
      async run(context): Promise<void> {
        const { lost } = await losing(context);
        const store = await context.reopen();
        await using subscription = store.subscribe({ after: "start", actorPrefix: "other" });
        await store.append("other", [happened()], { expectedVersion: 0 });
        await subscription[Symbol.asyncIterator]().next();
        const other = subscription.position!;
        await using resumed = store.subscribe({ after: other, actorPrefix: "other" });
        const [left] = await store.append("order", [happened(6)], { expectedVersion: 5 });
        const next = resumed[Symbol.asyncIterator]().next();
        const deadline = performance.now() + context.effort.patience;
        while (resumed.position === other) {
          assert(performance.now() < deadline, "the position does not move past events that are left out");
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        const reached = resumed.position!;
        assert.equal(reached, left!.position);
        await resumed.close();
        assert.equal((await next).done, true);
        await context.restore();
        const restored = await context.open();
        await growPast(restored, reached);
        for (const position of [...lost, other, reached]) await assertRefused(restored, position);
      },
    },
    {
      name: "a snapshot of an event that a restore has lost is refused by a replay",
      needs: "restoring",
      async run(context): Promise<void> {
        if (!context.can("snapshots")) return;
        await losing(context);
        const before = await context.reopen();
        const { length } = await before.getEvents("order");
        await before.saveSnapshot!({
          actorId: "order",
          kind: "count",
          schemaVersion: 1,
          version: length,
          state: 5,
        });
        const taken = await before.getLatestSnapshot!("order", "count") as Snapshot<never>;
        assert.equal((await replay(before, "order", counter)).snapshotVersion, 5);
        await context.restore();
        const store = await context.open();
        // The snapshots are kept elsewhere and were not restored.
        const kept = {
          readEvents: store.readEvents.bind(store),
          getLatestVersion: store.getLatestVersion.bind(store),
          saveSnapshot: store.saveSnapshot!.bind(store),
          getLatestSnapshot: () => Promise.resolve(taken),
        };
        for (const version of [3, 4, 5, 6, 7]) {
          if (version > 3) {
            await store.append("order", [happened(-version)], { expectedVersion: version - 1 });
          }
          await refused(() => replay(kept, "order", counter), DamagedHistoryError, {}, `at ${version}`);
          await refused(() => replay(kept, "order", counter, { atVersion: 5 }), DamagedHistoryError);
        }
      },
    },
  ],
};
