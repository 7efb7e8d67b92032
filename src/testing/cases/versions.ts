/**
 * Versions strictly increase.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidEventError } from "../../event/errors.ts";
import type { StoredEvent } from "../../event/types.ts";
import { VersionConflictError } from "../../store/errors.ts";
import type { Theme } from "../context.ts";
import { changesNothing, dataOf, happened, happenedTo, history, refused, versionsOf } from "../support.ts";

/** The cases of versions. */
export const versions: Theme = {
  topic: "versions",
  cases: [
    {
      name: "saveEvent stores an event under the version that it carries, and getEvents returns it",
      async run({ open }): Promise<void> {
        const store = await open();
        const saved = await store.saveEvent({
          id: "event-1",
          eventType: "OrderPlaced",
          actorId: "order-123",
          version: 1,
          data: { total: 99.99, items: 3 },
          timestamp: "2026-01-31T12:00:00.000Z",
          metadata: { userId: "ada" },
        });
        const { position, ...event } = saved;
        assert.equal(typeof position, "string");
        assert.deepEqual(event, {
          id: "event-1",
          eventType: "OrderPlaced",
          actorId: "order-123",
          version: 1,
          data: { total: 99.99, items: 3 },
          timestamp: "2026-01-31T12:00:00.000Z",
          metadata: { userId: "ada" },
        });
        assert.deepEqual(await store.getEvents("order-123"), [saved]);
        assert.equal(await store.getLatestVersion("order-123"), 1);
      },
    },
    {
      name: "an actor without events is at version 0",
      async run({ open }): Promise<void> {
        const store = await open();
        assert.equal(await store.getLatestVersion("unknown"), 0);
        assert.deepEqual(await store.getEvents("unknown"), []);
      },
    },
    {
      name: "saveEvent refuses a version at or below the latest",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "order", 3);
        for (const attemptedVersion of [3, 2, 1]) {
          await changesNothing(store, ["order"], () =>
            refused(
              () => store.saveEvent(happenedTo("order", attemptedVersion, "again")),
              VersionConflictError,
              { actorId: "order", attemptedVersion, currentVersion: 3, sameEvent: false },
              `version ${attemptedVersion}`,
            ));
        }
      },
    },
    {
      name: "saveEvent allows a gap, and refuses a version inside it later",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.saveEvent(happenedTo("order", 5));
        await store.saveEvent(happenedTo("order", 1_000_000));
        assert.deepEqual(versionsOf(await store.getEvents("order")), [5, 1_000_000]);
        assert.equal(await store.getLatestVersion("order"), 1_000_000);
        for (const attemptedVersion of [1, 4, 6, 999_999]) {
          await refused(
            () => store.saveEvent(happenedTo("order", attemptedVersion)),
            VersionConflictError,
            { attemptedVersion, currentVersion: 1_000_000, sameEvent: false },
            `version ${attemptedVersion}`,
          );
        }
        assert.deepEqual(
          versionsOf(await store.append("order", [happened()], { expectedVersion: 1_000_000 })),
          [1_000_001],
        );
      },
    },
    {
      name: "the very same event saved again is a conflict with sameEvent",
      async run({ open }): Promise<void> {
        const store = await open();
        const event = happenedTo("order", 1, { price: 5 }, { id: "one" });
        await store.saveEvent(event);
        await store.append("order", [happened()], { expectedVersion: 1 });
        await changesNothing(store, ["order"], async () => {
          const conflict = { actorId: "order", attemptedVersion: 1, currentVersion: 2 };
          const again = { ...event, timestamp: "2001-01-01T00:00:00Z", metadata: { userId: "x" } };
          for (const same of [event, again]) {
            await refused(
              () => store.saveEvent(same),
              VersionConflictError,
              { ...conflict, sameEvent: true },
              "the same event",
            );
          }
          const others = [{ ...event, data: { price: 6 } }, { ...event, id: "two" }, {
            ...event,
            eventType: "Other",
          }];
          for (const other of others) {
            await refused(
              () => store.saveEvent(other),
              VersionConflictError,
              { ...conflict, sameEvent: false },
              "an event like it",
            );
          }
        });
      },
    },
    {
      name: 'append under "exists" stores after any version, and refuses an actor without events',
      async run({ open }): Promise<void> {
        const store = await open();
        const append = (actorId: string): Promise<StoredEvent[]> =>
          store.append(actorId, [happened()], { expectedVersion: "exists" });
        await changesNothing(
          store,
          ["order"],
          () =>
            refused(() => append("order"), VersionConflictError, {
              actorId: "order",
              attemptedVersion: 1,
              currentVersion: 0,
            }),
        );
        await store.saveEvent(happenedTo("order", 7));
        assert.deepEqual(versionsOf(await append("order")), [8]);
        assert.deepEqual(versionsOf(await append("order")), [9]);
        await store.takeOver("owned", 1);
        await refused(
          () => store.append("owned", [happened()], { expectedVersion: "exists", fencingToken: 1 }),
          VersionConflictError,
          { currentVersion: 0 },
        );
      },
    },
    {
      name: "append numbers on from the expected version",
      async run({ open }): Promise<void> {
        const store = await open();
        assert.deepEqual(
          versionsOf(await store.append("order", [happened(1), happened(2)], { expectedVersion: 0 })),
          [1, 2],
        );
        assert.deepEqual(versionsOf(await store.append("order", [happened(3)], { expectedVersion: 2 })), [3]);
        await store.saveEvent(happenedTo("order", 7, 7));
        assert.deepEqual(
          versionsOf(await store.append("order", [happened(8), happened(9)], { expectedVersion: 7 })),
          [8, 9],
        );
        assert.deepEqual(dataOf(await store.getEvents("order")), [1, 2, 3, 7, 8, 9]);
      },
    },
    {
      name: "append under any other expected version than the latest is a conflict, above the latest too",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "order", 2);
        await changesNothing(store, ["order", "unknown"], async () => {
          for (const expectedVersion of [0, 1, 3, 4, 1_000_000]) {
            await refused(
              () => store.append("order", [happened()], { expectedVersion }),
              VersionConflictError,
              { actorId: "order", attemptedVersion: expectedVersion + 1, currentVersion: 2 },
              `expected version ${expectedVersion}`,
            );
          }
          await refused(
            () => store.append("unknown", [happened()], { expectedVersion: 1 }),
            VersionConflictError,
            {
              actorId: "unknown",
              attemptedVersion: 2,
              currentVersion: 0,
            },
          );
        });
      },
    },
    {
      name: 'append under "any" goes after the present end',
      async run({ open }): Promise<void> {
        const store = await open();
        const any = { expectedVersion: "any" } as const;
        assert.deepEqual(versionsOf(await store.append("order", [happened(1)], any)), [1]);
        await store.saveEvent(happenedTo("order", 9, 9));
        assert.deepEqual(versionsOf(await store.append("order", [happened(10), happened(11)], any)), [
          10,
          11,
        ]);
      },
    },
    {
      name: "versions go up to 2^53 - 1 and no further",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.saveEvent(happenedTo("order", Number.MAX_SAFE_INTEGER));
        assert.deepEqual(versionsOf(await store.getEvents("order")), [Number.MAX_SAFE_INTEGER]);
        assert.equal(await store.getLatestVersion("order"), Number.MAX_SAFE_INTEGER);
        assert.deepEqual(
          versionsOf(await store.getEvents("order", Number.MAX_SAFE_INTEGER)),
          [Number.MAX_SAFE_INTEGER],
        );
        for (const expectedVersion of ["any", Number.MAX_SAFE_INTEGER] as const) {
          await refused(() => store.append("order", [happened()], { expectedVersion }), InvalidEventError, {
            field: "version",
            actorId: "order",
          });
        }
      },
    },
    {
      name: "of many writers at one version exactly one wins",
      async run(context): Promise<void> {
        const store = await context.open();
        for (let version = 1; version <= context.scaled(10); version++) {
          const attempts = Array.from(
            { length: 8 },
            (_, writer) =>
              writer % 2 === 0
                ? store.saveEvent(happenedTo("order", version, writer)).then((event) => [event])
                : store.append("order", [happened(writer)], { expectedVersion: version - 1 }),
          );
          const outcomes = await Promise.allSettled(attempts);
          const won = outcomes.filter((outcome) => outcome.status === "fulfilled");
          assert.equal(won.length, 1, `${won.length} writers won version ${version}`);
          for (const outcome of outcomes) {
            if (outcome.status === "fulfilled") continue;
            await refused(() => Promise.reject(outcome.reason), VersionConflictError, {
              actorId: "order",
              attemptedVersion: version,
            });
          }
          assert.deepEqual(await store.getEvents("order", version), won[0]!.value);
        }
      },
    },
  ],
};
