/**
 * A commit is stored whole or not at all.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidEventError } from "../../event/errors.ts";
import { VersionConflictError } from "../../store/errors.ts";
import type { Theme } from "../context.ts";
import { changesNothing, happened, happenedTo, history, refused, versionsOf, wholeLog } from "../support.ts";

/** The cases of atomic commits. */
export const atomicity: Theme = {
  topic: "atomic commits",
  cases: [
    {
      name: "saveEvents stores events of several actors, grouped by actor in order of first appearance",
      async run({ open }): Promise<void> {
        const store = await open();
        const saved = await store.saveEvents([
          happenedTo("b", 1),
          happenedTo("a", 1),
          happenedTo("b", 2),
          happenedTo("c", 4),
          happenedTo("a", 5),
        ]);
        const order = saved.map(({ actorId, version }) => `${actorId}${version}`);
        assert.deepEqual(order, ["b1", "b2", "a1", "a5", "c4"]);
        assert.deepEqual(await wholeLog(store), saved);
        assert.deepEqual(await store.getEvents("a"), saved.filter(({ actorId }) => actorId === "a"));
      },
    },
    {
      name: "saveEvents stores nothing if one of several actors conflicts",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "taken", 1);
        const batches = [
          [happenedTo("first", 1), happenedTo("taken", 1), happenedTo("third", 1)],
          [happenedTo("taken", 1), happenedTo("first", 1)],
          [happenedTo("first", 1), happenedTo("third", 1), happenedTo("taken", 1)],
        ];
        for (const batch of batches) {
          await changesNothing(
            store,
            ["first", "taken", "third"],
            () =>
              refused(() => store.saveEvents(batch), VersionConflictError, {
                actorId: "taken",
                attemptedVersion: 1,
                currentVersion: 1,
              }),
          );
        }
        // What was refused has left nothing behind that would refuse it now.
        await store.saveEvents([happenedTo("first", 1), happenedTo("taken", 2), happenedTo("third", 1)]);
      },
    },
    {
      name: "saveEvents stores nothing if one event is invalid",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(
          store,
          ["a", "b"],
          () =>
            refused(
              () => store.saveEvents([happenedTo("a", 1), happenedTo("b", 1, { price: NaN })]),
              InvalidEventError,
              {
                field: "data.price",
                actorId: "b",
                version: 1,
              },
            ),
        );
      },
    },
    {
      name: "an empty append checks the expected version and the conditions, and stores nothing",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "order", 2);
        await changesNothing(store, ["order", "new"], async () => {
          assert.deepEqual(await store.saveEvents([]), []);
          for (const expectedVersion of [2, "any", "exists"] as const) {
            assert.deepEqual(await store.append("order", [], { expectedVersion }), []);
          }
          for (const expectedVersion of [0, "any"] as const) {
            assert.deepEqual(await store.append("new", [], { expectedVersion }), []);
          }
          for (const expectedVersion of [0, 1, 3, 99]) {
            await refused(() => store.append("order", [], { expectedVersion }), VersionConflictError, {
              actorId: "order",
              attemptedVersion: expectedVersion + 1,
              currentVersion: 2,
            });
          }
          await refused(() => store.append("new", [], { expectedVersion: "exists" }), VersionConflictError, {
            actorId: "new",
            currentVersion: 0,
          });
          for (const version of [0, 1, 3]) {
            const conditions = [{ actorId: "order", version }];
            const conflict = { actorId: "order", currentVersion: 2, isCondition: true };
            await refused(() => store.saveEvents([], { conditions }), VersionConflictError, conflict);
            const options = { expectedVersion: "any", conditions } as const;
            await refused(() => store.append("new", [], options), VersionConflictError, conflict);
          }
          assert.deepEqual(
            await store.saveEvents([], { conditions: [{ actorId: "order", version: 2 }] }),
            [],
          );
        });
      },
    },
    {
      name: "versions inside a batch must rise, and may leave gaps",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["a", "b"], async () => {
          for (const [first, second] of [[1, 1], [2, 1]] as const) {
            await refused(
              () => store.saveEvents([happenedTo("a", first), happenedTo("b", 1), happenedTo("a", second)]),
              InvalidEventError,
              { field: "version", actorId: "a", version: second },
            );
          }
        });
        await store.saveEvents([happenedTo("a", 2), happenedTo("a", 7), happenedTo("a", 8)]);
        assert.deepEqual(versionsOf(await store.getEvents("a")), [2, 7, 8]);
      },
    },
    {
      name: "an id may be only once in a batch, and again in another",
      async run({ open }): Promise<void> {
        const store = await open();
        const id = { id: "twice" };
        await changesNothing(store, ["a", "b"], async () => {
          await refused(
            () => store.saveEvents([happenedTo("a", 1, 1, id), happenedTo("b", 1, 2, id)]),
            InvalidEventError,
            { field: "id" },
          );
          await refused(
            () => store.append("a", [happened(1, id), happened(2, id)], { expectedVersion: 0 }),
            InvalidEventError,
            { field: "id" },
          );
        });
        await store.saveEvent(happenedTo("a", 1, 1, id));
        await store.saveEvent(happenedTo("b", 1, 2, id));
        assert.equal((await wholeLog(store)).length, 2);
      },
    },
  ],
};
