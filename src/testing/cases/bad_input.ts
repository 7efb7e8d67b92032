/**
 * Bad input is refused, by the name of the field, before anything is stored.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../errors.ts";
import { EventTooLargeError, InvalidEventError } from "../../event/errors.ts";
import type { EventInput, NewEvent } from "../../event/types.ts";
import type { Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { changesNothing, happened, happenedTo, refused } from "../support.ts";

/** What an event's data may not hold, and the path that the error names. */
function badData(): Record<string, [data: unknown, field: string]> {
  const cycle: Record<string, unknown> = { items: [1] };
  (cycle["items"] as unknown[]).push({ again: cycle });
  const wideCycle: unknown[] = Array.from({ length: 5_000 }, () => "some text to make it large");
  wideCycle.unshift({ parent: wideCycle });
  let deep: unknown = 1;
  for (let level = 0; level < 10_000; level++) deep = [deep];
  const getter = {
    get price(): number {
      throw new Error("not available");
    },
  };
  return {
    "a bigint": [{ items: [0, 0, 0, { price: 5n }] }, "data.items[3].price"],
    "a function": [{ call: () => {} }, "data.call"],
    "a symbol": [[Symbol("s")], "data[0]"],
    "NaN": [{ price: NaN }, "data.price"],
    "Infinity": [[1, Infinity], "data[1]"],
    "-Infinity": [-Infinity, "data"],
    "-0": [{ a: { b: -0 } }, "data.a.b"],
    "undefined": [undefined, "data"],
    "undefined in an array": [{ items: [1, undefined] }, "data.items[1]"],
    "a hole in an array": [Object.assign(new Array(3), { 0: 1, 2: 3 }), "data[1]"],
    "a cycle": [cycle, "data.items[1].again"],
    "a cycle through a large object": [wideCycle, "data[0].parent"],
    "a Map": [{ map: new Map() }, "data.map"],
    "a Set": [{ "a set": new Set() }, 'data["a set"]'],
    "a Date": [{ at: new Date() }, "data.at"],
    "an invalid Date": [new Date(NaN), "data"],
    "a RegExp": [/x/, "data"],
    "an Error": [new Error("x"), "data"],
    "a typed array": [{ bytes: new Uint8Array(2) }, "data.bytes"],
    "a class instance": [{ it: new (class Money {})() }, "data.it"],
    "a boxed number": [[Object(5)], "data[0]"],
    "a subclass of Array": [new (class List extends Array {})(), "data"],
    "a promise": [Promise.resolve(), "data"],
    "a lone surrogate": [{ name: "a\ud800" }, "data.name"],
    "a lone surrogate in a key": [{ "\udc00": 1 }, 'data["\\udc00"]'],
    "a key that is a symbol": [{ [Symbol("s")]: 1 }, "data"],
    "a named property of an array": [Object.assign([1], { total: 5 }), "data.total"],
    "a getter that throws": [{ order: getter }, "data.order.price"],
    "a Proxy": [{ it: new Proxy({}, {}) }, "data.it"],
    "a toJSON": [{ it: { toJSON: () => 5 } }, "data.it.toJSON"],
    "10,000 levels": [deep, ""],
  };
}

const bad = (event: unknown): EventInput => event as EventInput;

/** Events that cannot be stored, and the field that the error names. */
function badEvents(): Record<string, [event: unknown, field: string]> {
  const sound = happenedTo("order", 1);
  const { actorId: _, ...noActor } = sound;
  const { version: __, ...noVersion } = sound;
  const { eventType: ___, ...noType } = sound;
  const { data: ____, ...noData } = sound;
  return {
    "no event": [undefined, "event"],
    "null": [null, "event"],
    "a string": ["event", "event"],
    "no actor": [noActor, "actorId"],
    "an empty actor id": [{ ...sound, actorId: "" }, "actorId"],
    "an actor id of 513 bytes": [{ ...sound, actorId: "x".repeat(513) }, "actorId"],
    "an actor id of 171 characters and 513 bytes": [{ ...sound, actorId: "\u20ac".repeat(171) }, "actorId"],
    "an actor id with a lone surrogate": [{ ...sound, actorId: "a\ud83d" }, "actorId"],
    "an actor id that is a number": [{ ...sound, actorId: 5 }, "actorId"],
    "no version": [noVersion, "version"],
    "version 0": [{ ...sound, version: 0 }, "version"],
    "version -1": [{ ...sound, version: -1 }, "version"],
    "version 1.5": [{ ...sound, version: 1.5 }, "version"],
    "version NaN": [{ ...sound, version: NaN }, "version"],
    "version Infinity": [{ ...sound, version: Infinity }, "version"],
    "version 2^53": [{ ...sound, version: 2 ** 53 }, "version"],
    "a version that is text": [{ ...sound, version: "1" }, "version"],
    "a version that is a bigint": [{ ...sound, version: 1n }, "version"],
    "no type": [noType, "eventType"],
    "an empty type": [{ ...sound, eventType: "" }, "eventType"],
    "a type of 257 bytes": [{ ...sound, eventType: "x".repeat(257) }, "eventType"],
    "a type with a lone surrogate": [{ ...sound, eventType: "\udfff" }, "eventType"],
    "an empty id": [{ ...sound, id: "" }, "id"],
    "an id of 257 bytes": [{ ...sound, id: "x".repeat(257) }, "id"],
    "an id that is a number": [{ ...sound, id: 7 }, "id"],
    "an id that is null": [{ ...sound, id: null }, "id"],
    "no data": [noData, "data"],
    "an unknown field": [{ ...sound, type: "Placed" }, "type"],
    "metadata that is text": [{ ...sound, metadata: "ada" }, "metadata"],
    "metadata that is null": [{ ...sound, metadata: null }, "metadata"],
    "metadata that is an array": [{ ...sound, metadata: ["ada"] }, "metadata"],
    "metadata with a number": [{ ...sound, metadata: { attempt: 3 } }, "metadata.attempt"],
    "metadata with an object": [{ ...sound, metadata: { user: {} } }, "metadata.user"],
    "metadata with a lone surrogate": [{ ...sound, metadata: { userId: "\ud800" } }, "metadata.userId"],
    "a timestamp that is null": [{ ...sound, timestamp: null }, "timestamp"],
    "a timestamp that is a number": [{ ...sound, timestamp: 5 }, "timestamp"],
  };
}

/** Tries an event through every method. */
async function refusedEverywhere(
  store: StoreUnderTest,
  event: EventInput,
  field: string,
  what: string,
): Promise<void> {
  const named: Partial<InvalidEventError> = field === "" ? {} : { field };
  const saves = [
    () => store.saveEvent(event),
    () => store.saveEvents([happenedTo("other", 1), event]),
  ];
  for (const save of saves) await refused(save, InvalidEventError, named, what);
}

/** The cases of bad input. */
export const badInput: Theme = {
  topic: "bad input",
  cases: [
    {
      name: "events with bad fields are refused by the name of the field",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["order", "other"], async () => {
          for (const [what, [event, field]] of Object.entries(badEvents())) {
            await refusedEverywhere(store, bad(event), field, what);
            if (field === "actorId" || field === "version" || what === "no event") continue;
            const { actorId: _, version: __, ...rest } = Object(event) as EventInput;
            const appended = typeof event === "object" && event !== null ? rest : event;
            await refused(
              () => store.append("order", [happened(), appended as NewEvent], { expectedVersion: 0 }),
              InvalidEventError,
              { field },
              `${what}, appended`,
            );
          }
        });
      },
    },
    {
      name: "data that JSON cannot carry faithfully is refused by its path",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["order", "other"], async () => {
          for (const [what, [data, field]] of Object.entries(badData())) {
            await refusedEverywhere(store, { ...happenedTo("order", 1), data }, field, what);
            const append = (): Promise<unknown> =>
              store.append("order", [{ ...happened(), data }], { expectedVersion: 0 });
            const error = await refused(append, InvalidEventError, {}, what);
            assert.equal(error.actorId, "order", what);
          }
        });
      },
    },
    {
      name: "data that is huge because its parts are shared is refused at once",
      async run({ open }): Promise<void> {
        const store = await open();
        let data: unknown = "leaf";
        for (let level = 0; level < 40; level++) data = [data, data];
        await changesNothing(
          store,
          ["order"],
          () =>
            refused(
              () => store.append("order", [happened(data)], { expectedVersion: 0 }),
              EventTooLargeError,
              {
                actorId: "order",
                limit: store.limits.bytesPerEvent,
              },
            ),
        );
      },
    },
    {
      name: "append refuses an actor id, an actor or a version that is not what it would stamp",
      async run({ open }): Promise<void> {
        const store = await open();
        const append = (actorId: string, event: unknown): () => Promise<unknown> => () =>
          store.append(actorId, [event as NewEvent], { expectedVersion: 0 });
        await changesNothing(store, ["order"], async () => {
          for (const actorId of ["", "x".repeat(513), "\ud800"]) {
            await refused(append(actorId, happened()), InvalidEventError, { field: "actorId" });
          }
          const field = "version";
          await refused(append("order", { ...happened(), actorId: "other" }), InvalidEventError, {
            field: "actorId",
          });
          for (const version of [2, 0, 1.5]) {
            await refused(append("order", { ...happened(), version }), InvalidEventError, { field });
          }
          const options = { expectedVersion: "any" } as const;
          const second = { ...happened(), version: 2 } as NewEvent;
          await refused(() => store.append("order", [second], options), InvalidEventError, { field });
        });
        const saved = await store.append("order", [
          { ...happened(), actorId: "order", version: 1 } as NewEvent,
        ], {
          expectedVersion: 0,
        });
        assert.equal(saved.length, 1);
      },
    },
    {
      name: "a position on input is ignored, so that what was read can be saved elsewhere",
      async run({ open, openElsewhere }): Promise<void> {
        const [store, elsewhere] = [await open(), await openElsewhere()];
        const saved = await store.saveEvent(
          happenedTo("order", 3, { price: 5 }, { metadata: { userId: "ada" } }),
        );
        await elsewhere.saveEvent(happenedTo("another", 1));
        const { position, ...copy } = await elsewhere.saveEvent(saved);
        const { position: original, ...event } = saved;
        assert.deepEqual(copy, event);
        assert.notEqual(position, original);
        assert.equal((await elsewhere.append("order", [], { expectedVersion: 3 })).length, 0);
      },
    },
    {
      name: "arguments that are no list and no version are refused",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["order"], async () => {
          const noLists: unknown[] = [undefined, null, "events", { length: 1 }, new Set([happened()])];
          for (const events of noLists) {
            const append = (): Promise<unknown> =>
              store.append("order", events as NewEvent[], { expectedVersion: 0 });
            await refused(append, InvalidArgumentError);
            await refused(() => store.saveEvents(events as EventInput[]), InvalidArgumentError);
          }
          await refused(
            () => store.append("order", new Array<NewEvent>(2), { expectedVersion: 0 }),
            InvalidEventError,
            { field: "event" },
          );
          for (const expectedVersion of [undefined, null, -1, 1.5, NaN, 2 ** 53, "0", "Any"]) {
            const options = { expectedVersion: expectedVersion as number };
            await refused(() => store.append("order", [happened()], options), InvalidArgumentError, {
              argument: "options.expectedVersion",
            });
          }
        });
      },
    },
    {
      name: "names of exactly the longest length are taken",
      async run({ open }): Promise<void> {
        const store = await open();
        const actorId = "\u20ac".repeat(170) + "xy";
        const id = "\u20ac".repeat(85) + "x";
        const saved = await store.append(actorId, [{ id, eventType: id, data: null }], {
          expectedVersion: 0,
        });
        assert.deepEqual(await store.getEvents(actorId), saved);
        assert.deepEqual([saved[0]!.id, saved[0]!.eventType], [id, id]);
      },
    },
  ],
};
