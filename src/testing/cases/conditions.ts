/**
 * Conditions of a commit.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../errors.ts";
import { CommitTooLargeError, VersionConflictError } from "../../store/errors.ts";
import type { CommitCondition, EventStore, SaveOptions } from "../../store/types.ts";
import type { Theme } from "../context.ts";
import { changesNothing, counted, happened, happenedTo, history, refused, wholeLog } from "../support.ts";

/** Every way to save one event of an actor that is at a version. */
function saves(
  store: EventStore,
  actorId: string,
  version: number,
): ((options: SaveOptions) => Promise<unknown>)[] {
  return [
    (options) => store.append(actorId, [happened()], { expectedVersion: version, ...options }),
    (options) => store.append(actorId, [happened()], { expectedVersion: "any", ...options }),
    (options) => store.saveEvent(happenedTo(actorId, version + 1), options),
    (options) => store.saveEvents([happenedTo(actorId, version + 1)], options),
  ];
}

/** What is no list of conditions, and the argument that is named. */
const BAD_CONDITIONS: readonly [argument: string, conditions: unknown][] = [
  ["options.conditions", null],
  ["options.conditions", "order"],
  ["options.conditions", { actorId: "order", version: 1 }],
  ["options.conditions[0]", [null]],
  ["options.conditions[0]", ["order"]],
  ["options.conditions[0]", new Array(1)],
  ["options.conditions[0].actorId", [{ actorId: "", version: 1 }]],
  ["options.conditions[0].actorId", [{ version: 1 }]],
  ["options.conditions[0].actorId", [{ actorId: "\ud800", version: 1 }]],
  ["options.conditions[0].version", [{ actorId: "order" }]],
  ["options.conditions[0].version", [{ actorId: "order", version: -1 }]],
  ["options.conditions[0].version", [{ actorId: "order", version: 1.5 }]],
  ["options.conditions[0].version", [{ actorId: "order", version: "any" }]],
  ["options.conditions[1].version", [{ actorId: "order", version: 1 }, {
    actorId: "other",
    version: 2 ** 53,
  }]],
  ["options.conditions[0].expectedVersion", [{ actorId: "order", version: 1, expectedVersion: 1 }]],
  ["options.conditions[1]", [{ actorId: "order", version: 1 }, { actorId: "order", version: 1 }]],
];

/** The cases of conditions. */
export const conditions: Theme = {
  topic: "conditions",
  cases: [
    {
      name: "a commit whose conditions hold is stored, and nothing is written to their actors",
      needs: "conditions",
      async run({ open }): Promise<void> {
        const store = await open();
        const read = await history(store, "read", 2);
        await store.saveEvent(happenedTo("gap", 7));
        const held = [
          { actorId: "read", version: 2 },
          { actorId: "gap", version: 7 },
          { actorId: "new", version: 0 },
        ];
        for (let version = 0; version < 4; version++) {
          await saves(store, "order", version)[version]!({ conditions: held });
        }
        assert.deepEqual(await store.getEvents("read"), read);
        for (const { actorId, version } of held) assert.equal(await store.getLatestVersion(actorId), version);
        assert.deepEqual(
          (await wholeLog(store)).slice(3).map(({ actorId }) => actorId),
          Array(4).fill("order"),
        );
        assert.equal((await store.verify()).ok, true);
      },
    },
    {
      name:
        "a commit is refused where the actor of a condition is at another version, and the error names it",
      needs: "conditions",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "read", 2);
        await history(store, "order", 1);
        const held: CommitCondition = { actorId: "new", version: 0 };
        for (
          const [actorId, version, currentVersion] of [["read", 1, 2], ["read", 3, 2], ["read", 0, 2], [
            "none",
            1,
            0,
          ]] as const
        ) {
          await changesNothing(store, ["order", "read", "none"], async () => {
            for (const save of saves(store, "order", 1)) {
              const conditions = [held, { actorId, version }];
              await refused(() => save({ conditions }), VersionConflictError, {
                actorId,
                attemptedVersion: version + 1,
                currentVersion,
                sameEvent: false,
                isCondition: true,
              });
            }
          });
        }
      },
    },
    {
      name: "a condition may be on an actor that the commit writes to",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "order", 1);
        await changesNothing(store, ["order"], async () => {
          for (const save of saves(store, "order", 1)) {
            const fields = { actorId: "order", currentVersion: 1 };
            const conditions = [{ actorId: "order", version: 0 }];
            await refused(() => save({ conditions }), VersionConflictError, fields);
          }
        });
        for (let version = 1; version < 5; version++) {
          await saves(store, "order", version)[version - 1]!({ conditions: [{ actorId: "order", version }] });
        }
        assert.equal(await store.getLatestVersion("order"), 5);
      },
    },
    {
      name: "conditions are checked against what every other store object has stored",
      needs: "conditions",
      async run(context): Promise<void> {
        if (!context.can("sharing")) return;
        const [first, second] = [await context.open(), await context.open()];
        await history(first, "read", 1);
        const condition = (version: number): SaveOptions => ({ conditions: [{ actorId: "read", version }] });
        await first.append("order", [happened()], { expectedVersion: 0, ...condition(1) });
        await second.append("read", [happened()], { expectedVersion: 1 });
        await refused(
          () => first.append("order", [happened()], { expectedVersion: 1, ...condition(1) }),
          VersionConflictError,
          { actorId: "read", currentVersion: 2 },
        );
        await first.append("order", [happened()], { expectedVersion: 1, ...condition(2) });
        await second.takeOver("read", 5); // no event: the condition goes on to hold
        await first.append("order", [happened()], { expectedVersion: 2, ...condition(2) });
      },
    },
    {
      name: "an append under conditions can be repeated after they have ceased to hold",
      needs: "conditions",
      async run({ open }): Promise<void> {
        const store = await open();
        const events = counted(2, "event");
        const options = { expectedVersion: 0, conditions: [{ actorId: "read", version: 0 }] };
        const stored = await store.append("order", events, options);
        await history(store, "read", 1);
        await changesNothing(store, ["order", "read"], async () => {
          assert.deepEqual(await store.append("order", events, options), stored);
        });
      },
    },
    {
      name: "of commits that depend on each other's actors exactly one is stored",
      needs: "conditions",
      async run(context): Promise<void> {
        const store = await context.open();
        const stores = context.can("sharing") ? [store, await context.open()] : [store];
        for (let round = 0; round < context.scaled(20); round++) {
          const names = ["a", "b", "c"].map((name) => `${name}-${round}`);
          const results = await Promise.allSettled(names.map((own, index) => {
            const conditions = names.filter((name) => name !== own).map((actorId) => ({
              actorId,
              version: 0,
            }));
            return stores[index % stores.length]!.append(own, [happened()], {
              expectedVersion: 0,
              conditions,
            });
          }));
          const stored = results.filter(({ status }) => status === "fulfilled");
          assert.equal(stored.length, 1, `round ${round}: ${stored.length} commits were stored`);
          for (const result of results) {
            if (result.status === "fulfilled") continue;
            await refused(() => Promise.reject(result.reason), VersionConflictError);
          }
        }
        assert.equal((await store.verify()).ok, true);
      },
    },
    {
      name: "many writers that depend on one actor all go through while it rests",
      needs: "conditions",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "read", 1);
        const conditions = [{ actorId: "read", version: 1 }];
        const count = context.scaled(40);
        await Promise.all(
          Array.from(
            { length: count },
            (_, index) => store.append(`order-${index}`, [happened()], { expectedVersion: 0, conditions }),
          ),
        );
        assert.equal((await wholeLog(store)).length, count + 1);
      },
    },
    {
      name: "the actors of conditions count against the declared actors a commit",
      needs: "conditions",
      async run({ open }): Promise<void> {
        const store = await open();
        const { actorsPerCommit: limit } = store.limits;
        const on = (count: number): SaveOptions => ({
          conditions: Array.from({ length: count }, (_, index) => ({ actorId: `read-${index}`, version: 0 })),
        });
        const append = (options: SaveOptions): Promise<unknown> =>
          store.append("order", [happened()], { expectedVersion: 0, ...options });
        await changesNothing(
          store,
          ["order"],
          () =>
            refused(() => append(on(limit)), CommitTooLargeError, { unit: "actors", limit, size: limit + 1 }),
        );
        await append(on(limit - 1));
      },
    },
    {
      name: "what is no list of conditions is refused, and the error names the place",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["order"], async () => {
          for (const [argument, conditions] of BAD_CONDITIONS) {
            for (const save of saves(store, "order", 0)) {
              await refused(
                () => save({ conditions } as SaveOptions),
                InvalidArgumentError,
                { argument },
                JSON.stringify(conditions),
              );
            }
          }
        });
      },
    },
  ],
};
