/**
 * An append can be repeated.
 *
 * @module
 */

import assert from "node:assert/strict";
import { VersionConflictError } from "../../store/errors.ts";
import type { NewEvent } from "../../event/types.ts";
import type { Theme } from "../context.ts";
import { changesNothing, counted, happened, happenedTo, history, refused } from "../support.ts";

/** The cases of repeated appends. */
export const idempotence: Theme = {
  topic: "repeated appends",
  cases: [
    {
      name: "an append with ids can be repeated: it resolves with what is stored, once",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "order", 2);
        const events = counted(3, "event");
        const stored = await store.append("order", events, { expectedVersion: 2 });
        await changesNothing(store, ["order"], async () => {
          assert.deepEqual(await store.append("order", events, { expectedVersion: 2 }), stored);
        });
        await store.append("order", [happened()], { expectedVersion: 5 });
        await changesNothing(store, ["order"], async () => {
          assert.deepEqual(await store.append("order", events, { expectedVersion: 2 }), stored);
        });
      },
    },
    {
      name: "an append can be repeated on another store object, and after the store was reopened",
      needs: "reopening",
      async run({ open, reopen }): Promise<void> {
        const events = counted(2, "event");
        const stored = await (await open()).append("order", events, { expectedVersion: 0 });
        const store = await reopen();
        await changesNothing(store, ["order"], async () => {
          assert.deepEqual(await store.append("order", events, { expectedVersion: 0 }), stored);
        });
      },
    },
    {
      name: "timestamps, metadata and the order of keys do not make a repetition another append",
      async run({ open }): Promise<void> {
        const store = await open();
        const first: NewEvent = {
          id: "one",
          eventType: "Placed",
          data: { a: 1, b: { c: [1, 2], d: null } },
          timestamp: "2026-01-01T00:00:00Z",
          metadata: { userId: "ada" },
        };
        const stored = await store.append("order", [first], { expectedVersion: 0 });
        const again: NewEvent = { id: "one", eventType: "Placed", data: { b: { d: null, c: [1, 2] }, a: 1 } };
        assert.deepEqual(await store.append("order", [again], { expectedVersion: 0 }), stored);
      },
    },
    {
      name: "what a store handed out can be appended again at its version",
      async run({ open }): Promise<void> {
        const store = await open();
        const stored = await store.append("order", counted(2, "event"), { expectedVersion: 0 });
        assert.deepEqual(await store.append("order", stored, { expectedVersion: 0 }), stored);
      },
    },
    {
      name: "the same ids with other content, another order or only a part of them is a conflict",
      async run({ open }): Promise<void> {
        const store = await open();
        const [one, two, three] = counted(3, "event") as [NewEvent, NewEvent, NewEvent];
        await store.append("order", [one, two], { expectedVersion: 0 });
        const others: Record<string, NewEvent[]> = {
          "other data": [one, { ...two, data: "other" }],
          "another type": [{ ...one, eventType: "Other" }, two],
          "another order": [two, one],
          "one more": [one, two, three],
          "another id": [one, { ...two, id: "other" }],
        };
        await changesNothing(store, ["order"], async () => {
          for (const [what, events] of Object.entries(others)) {
            await refused(
              () => store.append("order", events, { expectedVersion: 0 }),
              VersionConflictError,
              { actorId: "order", attemptedVersion: 1, currentVersion: 2 },
              what,
            );
          }
          await refused(() => store.append("order", [two], { expectedVersion: 0 }), VersionConflictError);
        });
      },
    },
    {
      name: "events without ids are never taken for a repetition",
      async run({ open }): Promise<void> {
        const store = await open();
        const events = [happened("same"), happened("same", { id: "given" })];
        await store.append("order", events, { expectedVersion: 0 });
        await changesNothing(
          store,
          ["order"],
          () => refused(() => store.append("order", events, { expectedVersion: 0 }), VersionConflictError),
        );
      },
    },
    {
      name: "a repetition of another actor's append is an append",
      async run({ open }): Promise<void> {
        const store = await open();
        const events = counted(2, "event");
        await store.append("one", events, { expectedVersion: 0 });
        await store.append("two", events, { expectedVersion: 0 });
        assert.equal(await store.getLatestVersion("two"), 2);
      },
    },
    {
      name: "a gap right after the expected version is no repetition",
      async run({ open }): Promise<void> {
        const store = await open();
        const event = happened("same", { id: "one" });
        await store.saveEvent(happenedTo("order", 3, "same", { id: "one" }));
        await changesNothing(
          store,
          ["order"],
          () =>
            refused(() => store.append("order", [event], { expectedVersion: 0 }), VersionConflictError, {
              attemptedVersion: 1,
              currentVersion: 3,
            }),
        );
      },
    },
  ],
};
