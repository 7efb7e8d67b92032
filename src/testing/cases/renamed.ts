/**
 * Types that were renamed or split since events were stored under them, and upcasters that need more than the data.
 *
 * @module
 */

import assert from "node:assert/strict";
import { EventSchemaError, InvalidEventError, SchemaVersionError } from "../../event/errors.ts";
import type { EventDefinition, EventDefinitions, UpcastContext, Upcaster } from "../../event/definitions.ts";
import type { StoredEvent } from "../../event/types.ts";
import type { CaseContext, Theme } from "../context.ts";
import { all, refused, take } from "../support.ts";

const named = (name: string): { readonly eventType: string; readonly data: { readonly name: string } } => (
  { eventType: "NameChanged", data: { name } }
);
const part = (index: number) => (data: { readonly name: string }) => ({ name: data.name.split(" ")[index] });

const RENAMED: EventDefinitions = { FullNameChanged: { renamedFrom: ["NameChanged", "Called"] } };
const SPLIT: EventDefinitions = {
  FirstNameChanged: { version: 2, renamedFrom: "NameChanged", upcast: [part(0)] },
  LastNameChanged: { version: 2, renamedFrom: "NameChanged", upcast: [part(1)] },
};

const shown = ({ eventType, version, data }: StoredEvent): string =>
  `${version} ${eventType} ${(data as { name?: string } | null)?.name}`;

/** Two events that are stored under a former name, with another one between them. */
async function filled({ open }: CaseContext): Promise<StoredEvent[]> {
  const old = await open();
  return await old.append("ann", [named("Ann Lee"), { eventType: "Moved", data: null }, named("Ann Poe")], {
    expectedVersion: 0,
  });
}

function refusing(validate: () => unknown): EventDefinition {
  return { schema: { "~standard": { version: 1, vendor: "test", validate: validate as () => never } } };
}

/** Schemas that have faults of their own, or that answer in unusual ways: none of them accepts. */
const FAULTY: Readonly<Record<string, EventDefinition>> = {
  "throws": refusing(() => {
    throw new Error("a fault");
  }),
  "rejects": refusing(() => Promise.reject(new Error("a fault"))),
  "answers nothing": refusing(() => undefined),
  "answers with issues that are empty": refusing(() => ({ issues: [] })),
  "refuses by a thenable": refusing(() => ({
    then: (done: (result: unknown) => void) => setTimeout(done, 1, { issues: [{ message: "no" }] }),
  })),
};

/** Renamed and split types. */
export const renamed: Theme = {
  topic: "renamed types",
  cases: [
    {
      name: "a type that was renamed is read and chosen under its new name",
      needs: "sharing",
      async run(context): Promise<void> {
        const stored = await filled(context);
        const store = await context.open({ events: RENAMED });
        const expected = ["1 FullNameChanged Ann Lee", "2 Moved undefined", "3 FullNameChanged Ann Poe"];
        await using subscription = store.subscribe();
        for (
          const events of [
            await store.getEvents("ann"),
            await all(() => store.readEvents("ann")),
            await all(() => store.readAll()),
            await take(context, subscription[Symbol.asyncIterator](), 3),
          ]
        ) {
          assert.deepEqual(events.map(shown), expected);
          assert.deepEqual(events.map(({ id }) => id), stored.map(({ id }) => id));
        }
        const [saved] = await store.append("ann", [{ eventType: "FullNameChanged", data: { name: "New" } }], {
          expectedVersion: 3,
        });
        assert.equal(saved!.version, 4);
        const eventTypes = ["FullNameChanged"];
        const chosen = [expected[0], expected[2], "4 FullNameChanged New"];
        assert.deepEqual((await all(() => store.readAll({ eventTypes }))).map(shown), chosen);
        assert.deepEqual(
          (await all(() => store.readAll({ eventTypes, limit: 2 }))).map(shown),
          chosen.slice(0, 2),
        );
        await using live = store.subscribe({ eventTypes });
        assert.deepEqual((await take(context, live[Symbol.asyncIterator](), 3)).map(shown), chosen);
        // Nothing is handed out under the former name.
        assert.deepEqual(await all(() => store.readAll({ eventTypes: ["NameChanged"] })), []);
      },
    },
    {
      name: "a type that was split is read as several events, which share version, position and time",
      needs: "sharing",
      async run(context): Promise<void> {
        const [first, moved, last] = await filled(context);
        const store = await context.open({ events: SPLIT });
        const expected = [
          "1 FirstNameChanged Ann",
          "1 LastNameChanged Lee",
          "2 Moved undefined",
          "3 FirstNameChanged Ann",
          "3 LastNameChanged Poe",
        ];
        const events = await store.getEvents("ann");
        assert.deepEqual(events.map(shown), expected);
        assert.deepEqual(
          events.map(({ id, position, timestamp }) => [id, position, timestamp]),
          [first!, first!, moved!, last!, last!].map(({ id, position, timestamp }, index) => [
            index % 3 === 1 ? `${id}#2` : id,
            position,
            timestamp,
          ]),
        );
        for (const event of events) assert(Object.isFrozen(event));
        assert.deepEqual(await all(() => store.readEvents("ann")), events);
        assert.deepEqual(
          await all(() => store.readEvents("ann", { direction: "backward" })),
          events.toReversed(),
        );
        // A limit counts stored events, so that a page never ends within one.
        assert.deepEqual(await all(() => store.readEvents("ann", { limit: 1 })), events.slice(0, 2));
        assert.deepEqual(await all(() => store.readAll({ limit: 2 })), events.slice(0, 3));
        assert.deepEqual(await all(() => store.readAll({ after: first!.position })), events.slice(2));
        const eventTypes = ["LastNameChanged"];
        assert.deepEqual(await all(() => store.readAll({ eventTypes })), [events[1], events[4]]);
        assert.deepEqual(await all(() => store.readAll({ eventTypes, limit: 1 })), [events[1]]);
        await using subscription = store.subscribe();
        const iterator = subscription[Symbol.asyncIterator]();
        await take(context, iterator, 1);
        assert.notEqual(subscription.position, first!.position, "the second event would be missed");
        assert.deepEqual(await take(context, iterator, 4), events.slice(1));
        assert.equal(subscription.position, last!.position);
      },
    },
    {
      name:
        "an upcaster is given the stored event, and may give several events, or none if another type takes it",
      needs: "sharing",
      async run(context): Promise<void> {
        const old = await context.open();
        const [stored] = await old.append("order", [
          {
            eventType: "Placed",
            data: ["a", "b"],
            timestamp: "2020-01-01T00:00:00Z",
            metadata: { userId: "u1" },
          },
        ], { expectedVersion: 0 });
        const given: UpcastContext[] = [];
        const several = await context.open({
          events: {
            LineAdded: {
              version: 2,
              renamedFrom: "Placed",
              upcast: [(lines: readonly string[], event) => {
                given.push(event);
                return event.several(lines.map((name) => ({ name })));
              }],
            },
            PlacedEmpty: { version: 2, renamedFrom: "Placed", upcast: [(_, event) => event.several([])] },
          },
        });
        assert.deepEqual((await several.getEvents("order")).map(shown), ["1 LineAdded a", "1 LineAdded b"]);
        const { several: _, ...event } = given[0]!;
        const { id, eventType, actorId, version, timestamp, metadata } = stored!;
        assert.deepEqual(event, { id, eventType, actorId, version, timestamp, metadata });
        const upcast: readonly Upcaster[] = [(_, event) => event.several([])];
        // Under its own name, and under another one: an event that no type takes is refused, and not left out.
        for (
          const events of [{ Placed: { version: 2, upcast } }, {
            Gone: { version: 2, renamedFrom: "Placed", upcast },
          }]
        ) {
          const none = await context.open({ events });
          await refused(() => none.getEvents("order"), EventSchemaError);
          await refused(() => all(() => none.readAll()), EventSchemaError);
        }
      },
    },
    {
      name: "an event that is stored under a former name, newer than the program, is an error of every read",
      needs: "sharing",
      async run({ open }): Promise<void> {
        const newer = await open({ events: { NameChanged: { version: 2, upcast: [(data) => data] } } });
        await newer.append("ann", [named("Ann")], { expectedVersion: 0 });
        const older = await open({ events: RENAMED });
        await refused(() => older.getEvents("ann"), SchemaVersionError);
        await refused(
          () => all(() => older.readAll({ eventTypes: ["FullNameChanged"] })),
          SchemaVersionError,
        );
        assert.deepEqual(await all(() => older.readAll({ eventTypes: ["Moved"] })), []);
      },
    },
    {
      name: "a schema that fails, or whose answer is none, accepts neither a save nor a stored event",
      needs: "sharing",
      async run({ open }): Promise<void> {
        const old = await open();
        await old.append("ann", [named("Ann")], { expectedVersion: 0 });
        for (const NameChanged of Object.values(FAULTY)) {
          const store = await open({ events: { NameChanged } });
          await refused(() => store.append("new", [named("New")], { expectedVersion: 0 }), InvalidEventError);
          await refused(() => store.getEvents("ann"), EventSchemaError);
          await refused(() => all(() => store.readAll()), EventSchemaError);
        }
        assert.equal(await old.getLatestVersion("new"), 0);
      },
    },
  ],
};
