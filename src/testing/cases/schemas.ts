/**
 * Schema versions: validation of what is saved, upcasting of what was stored long ago.
 *
 * @module
 */

import assert from "node:assert/strict";
import { EventSchemaError, InvalidEventError, SchemaVersionError } from "../../event/errors.ts";
import type { EventDefinition, SchemaResult, StandardSchema } from "../../event/definitions.ts";
import type { CaseContext, Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, changesNothing, dataOf, happenedTo, refused, take, wholeLog } from "../support.ts";

/** A Standard Schema that takes objects whose `total` is a number of at least 0, at once or later. */
function totals(later: boolean): StandardSchema {
  const judge = (value: unknown): SchemaResult<unknown> => {
    const total = (value as { total?: unknown } | null)?.total;
    return typeof total === "number" && total >= 0
      ? { value: { total: "a schema's own value is not kept" } }
      : { issues: [{ message: "must be 0 or more", path: ["total"] }] };
  };
  return {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) =>
        later ? new Promise((resolve) => setTimeout(resolve, 1, judge(value))) : judge(value),
    },
  };
}

/** Version 2 writes `total` for the `amount` of version 1, version 3 adds the currency. */
const PLACED: EventDefinition = {
  version: 3,
  upcast: [
    (data: { amount: number }) => ({ total: data.amount }),
    (data: { total: number }) => ({ ...data, currency: "EUR" }),
  ],
};

const placed = (version: number, data: unknown): ReturnType<typeof happenedTo> =>
  happenedTo("order", version, data, { eventType: "Placed" });

/** All ways to read, with what they hand out. */
async function readings(context: CaseContext, store: StoreUnderTest, count: number): Promise<unknown[][]> {
  await using subscription = store.subscribe();
  return [
    await store.getEvents("order"),
    await all(() => store.readEvents("order")),
    await wholeLog(store),
    await take(context, subscription[Symbol.asyncIterator](), count),
  ];
}

/** Schema versions. */
export const schemas: Theme = {
  topic: "schemas",
  cases: [
    ...[false, true].map((later) => ({
      name: `a schema that answers ${
        later ? "later" : "at once"
      } refuses bad data, and leaves good data as it is`,
      async run({ open }: CaseContext): Promise<void> {
        const store = await open({ events: { Placed: { schema: totals(later) } } });
        await changesNothing(store, ["order", "other"], async () => {
          const bad = placed(1, { total: -1 });
          const error = await refused(() => store.saveEvent(bad), InvalidEventError, {
            field: "data.total",
            actorId: "order",
          });
          assert.match(error.message, /must be 0 or more/);
          await refused(() => store.saveEvents([happenedTo("other", 1), bad]), InvalidEventError);
          const { eventType, data } = bad;
          const append = (): Promise<unknown> =>
            store.append("order", [{ eventType, data }], { expectedVersion: 0 });
          await refused(append, InvalidEventError, { field: "data.total" });
        });
        const saved = await store.saveEvents([placed(1, { total: 5 }), happenedTo("order", 2, "no schema")]);
        assert.deepEqual(dataOf(saved), [{ total: 5 }, "no schema"]);
        assert.deepEqual(await store.getEvents("order"), saved);
      },
    })),
    {
      name: "several refusals of schemas, some of them later, are one rejection",
      async run({ open }): Promise<void> {
        const store = await open({
          events: { Later: { schema: totals(true) }, Now: { schema: totals(false) } },
        });
        const event = (version: number, eventType: string): ReturnType<typeof happenedTo> =>
          happenedTo("order", version, {}, { eventType });
        const batch = [event(1, "Later"), event(2, "Later"), event(3, "Now")];
        await changesNothing(
          store,
          ["order"],
          () => refused(() => store.saveEvents(batch), InvalidEventError),
        );
        await new Promise((resolve) => setTimeout(resolve, 5)); // an unhandled rejection would come now
      },
    },
    {
      name: "an abort while a schema is waited for counts",
      async run({ open }): Promise<void> {
        const store = await open({ events: { Placed: { schema: totals(true) } } });
        const reason = new Error("changed my mind");
        const abort = new AbortController();
        await changesNothing(store, ["order"], async () => {
          const save = store.saveEvent(placed(1, { total: 1 }), { signal: abort.signal });
          abort.abort(reason);
          assert.equal(await refused(() => save, Error), reason);
        });
      },
    },
    {
      name: "events of older schema versions are upcast by every read, and stay stored as they are",
      needs: "sharing",
      async run(context): Promise<void> {
        const [old, middle, present] = [
          await context.open(),
          await context.open({ events: { Placed: { version: 2, upcast: PLACED.upcast!.slice(0, 1) } } }),
          await context.open({ events: { Placed: PLACED } }),
        ];
        await old.saveEvent(placed(1, { amount: 1 }));
        await middle.saveEvent(placed(2, { total: 2 }));
        await present.saveEvents([
          placed(3, { total: 3, currency: "USD" }),
          happenedTo("order", 4, "other type"),
        ]);
        const expected = [
          { total: 1, currency: "EUR" },
          { total: 2, currency: "EUR" },
          { total: 3, currency: "USD" },
          "other type",
        ];
        for (const events of await readings(context, present, 4)) {
          assert.deepEqual(dataOf(events as never), expected);
          for (const event of events as { data: unknown }[]) {
            assert(Object.isFrozen(event) && Object.isFrozen(event.data), "what was upcast is not frozen");
          }
        }
        const [first] = await all(() => old.readEvents("order", { toVersion: 1 }));
        assert.deepEqual(first!.data, { amount: 1 });
      },
    },
    {
      name: "an event of a newer schema version than is registered is an error of every read",
      needs: "sharing",
      async run(context): Promise<void> {
        const [present, old] = [await context.open({ events: { Placed: PLACED } }), await context.open()];
        const saved = await present.saveEvent(placed(1, { total: 1, currency: "EUR" }));
        const fields = {
          eventType: "Placed",
          storedVersion: 3,
          registeredVersion: 1,
          actorId: "order",
          version: 1,
          position: saved.position,
        };
        const ways = [
          () => old.getEvents("order"),
          () => all(() => old.readEvents("order")),
          () => wholeLog(old),
          () => all(() => old.subscribe()),
        ];
        for (const read of ways) await refused(read, SchemaVersionError, fields);
        // What hands out no event has nothing to fail on.
        assert.equal(await old.getLatestVersion("order"), 1);
        assert.equal(await old.getLastPosition(), saved.position);
        assert.deepEqual(await all(() => old.listActors()), [{ actorId: "order", latestVersion: 1 }]);
        const [next] = await old.append("order", [{ eventType: "Other", data: 1 }], {
          expectedVersion: "any",
        });
        assert.equal(next?.version, 2);
      },
    },
    {
      name: "an event of a newer schema version stops no reader that does not ask for it",
      needs: "sharing",
      async run(context): Promise<void> {
        const [present, old] = [await context.open({ events: { Placed: PLACED } }), await context.open()];
        await old.append("order", [{ eventType: "Other", data: 1 }], { expectedVersion: 0 });
        await present.saveEvent(placed(2, { total: 1, currency: "EUR" }));
        await old.append("elsewhere", [{ eventType: "Other", data: 2 }], { expectedVersion: 0 });
        const others = await all(() => old.readAll({ eventTypes: ["Other"] }));
        assert.deepEqual(dataOf(others), [1, 2]);
        assert.equal((await all(() => old.readAll({ limit: 1 }))).length, 1);
        assert.equal((await all(() => old.readAll({ actorId: "elsewhere" }))).length, 1);
        assert.equal((await all(() => old.readEvents("order", { limit: 1 }))).length, 1);
        const delivered: unknown[] = [];
        for await (const { data } of old.subscribe({ eventTypes: ["Other"] })) {
          if (delivered.push(data) === 2) break;
        }
        assert.deepEqual(delivered, [1, 2]);
        assert.equal((await old.verify()).ok, true);
      },
    },
    {
      name:
        "upcast data that the schema refuses, or that an upcaster cannot make, is an error with its place",
      needs: "sharing",
      async run(context): Promise<void> {
        const old = await context.open();
        const saved = await old.saveEvent(placed(1, { amount: -5 }));
        const upcast = [(data: { amount: number }) => ({ total: data.amount })];
        const fails = [(): never => {
          throw new Error("no such amount");
        }];
        const definitions: EventDefinition[] = [
          { version: 2, upcast, schema: totals(false) },
          { version: 2, upcast, schema: totals(true) },
          { version: 2, upcast: fails },
          { version: 2, upcast: [() => ({ at: new Date() })] },
        ];
        for (const Placed of definitions) {
          const store = await context.open({ events: { Placed } });
          const place = { eventType: "Placed", actorId: "order", version: 1, position: saved.position };
          await refused(() => store.getEvents("order"), EventSchemaError, place);
          await refused(() => wholeLog(store), EventSchemaError, place);
        }
      },
    },
    {
      name: "an append is repeated across schema versions where the data was the same",
      async run({ open }): Promise<void> {
        const store = await open({ events: { Placed: PLACED } });
        const event = { id: "one", eventType: "Placed", data: { total: 1, currency: "EUR" } };
        const stored = await store.append("order", [event], { expectedVersion: 0 });
        assert.deepEqual(await store.append("order", [event], { expectedVersion: 0 }), stored);
      },
    },
  ],
};
