/**
 * What is none, cannot be read, or is of the wrong kind is refused before anything is stored.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../errors.ts";
import { InvalidEventError } from "../../event/errors.ts";
import type { EventInput } from "../../event/types.ts";
import { execute } from "../../store/execute.ts";
import { replay } from "../../store/replay.ts";
import type { Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, changesNothing, happened, happenedTo, refused } from "../support.ts";

/** What is no object of options, or cannot be read as one. */
function noOptions(): Record<string, unknown> {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const throws = (): never => {
    throw new Error("do not touch");
  };
  return {
    "null": null,
    "a number": 5,
    "text": "options",
    "a function": () => {},
    "a revoked proxy": proxy,
    "a getter that throws": Object.defineProperty({}, "signal", { get: throws, enumerable: true }),
  };
}

/** Fields that have the wrong kind, for any method. */
function badFields(): Record<string, unknown> {
  const revoked = Proxy.revocable([], {});
  revoked.revoke();
  return {
    "a signal that is none": { signal: {} },
    "a signal of another make": { signal: Object.create(AbortSignal.prototype) },
    "a token that is text": { fencingToken: "1" },
    "a flag that is text": { unfenced: "false" },
    "a limit that is a bigint": { limit: 5n },
    "a version that is a revoked proxy": { fromVersion: revoked.proxy },
    "types that are a revoked proxy": { eventTypes: revoked.proxy },
    "types with a hole": { eventTypes: new Array(1) },
    "a callback that is text": { onDamage: "log", onProgress: "log", onWarning: "log" },
  };
}

const nothing = { initialState: (): null => null, evolve: (): null => null };
const decider = { ...nothing, decide: (): [] => [] };

/** Every method that takes options, and the names of those that it takes. */
function calls(store: StoreUnderTest): [fields: string, call: (options: never) => Promise<unknown>][] {
  return [
    ["signal fencingToken unfenced", (options) => store.saveEvent(happenedTo("order", 1), options)],
    ["signal fencingToken unfenced", (options) => store.saveEvents([happenedTo("order", 1)], options)],
    [
      "signal fencingToken unfenced",
      (options) => store.append("order", [happened()], expecting(options)),
    ],
    ["signal limit fromVersion onDamage", (options) => all(() => store.readEvents("order", options))],
    ["signal limit eventTypes onDamage", (options) => all(() => store.readAll(options))],
    ["signal eventTypes", async (options) => await store.subscribe(options).ready],
    ["signal", (options) => all(() => store.listActors(options))],
    ["signal onProgress", (options) => store.verify(options)],
    ["signal onWarning", (options) => replay(store, "order", nothing, options)],
    ["signal fencingToken unfenced onWarning", (options) => execute(store, "order", decider, null, options)],
  ];
}

/** Adds what an append cannot do without, where anything can be added. */
function expecting(options: unknown): never {
  try {
    return (typeof options === "object" && options !== null
      ? { expectedVersion: 0, ...options }
      : options) as never;
  } catch {
    return options as never;
  }
}

/** Bad options. */
export const badOptions: Theme = {
  topic: "bad options",
  cases: [
    {
      name: "options that are no object, or cannot be read, are refused",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["order"], async () => {
          for (const [what, options] of Object.entries(noOptions())) {
            for (const [, call] of calls(store)) {
              await refused(() => call(options as never), InvalidArgumentError, {}, what);
            }
          }
        });
      },
    },
    {
      name: "options with a field of the wrong kind are refused",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["order"], async () => {
          for (const [what, options] of Object.entries(badFields())) {
            const names = Object.keys(options as object);
            for (const [fields, call] of calls(store)) {
              if (!names.some((name) => fields.split(" ").includes(name))) continue;
              await refused(() => call(options as never), InvalidArgumentError, {}, `${what}: ${call}`);
            }
          }
        });
      },
    },
    {
      name: "options that a call does not know are refused by their name",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["order"], async () => {
          for (const [, call] of calls(store)) {
            const argument = "options.retenton";
            await refused(
              () => call({ retenton: 1 } as never),
              InvalidArgumentError,
              { argument },
              `${call}`,
            );
          }
        });
      },
    },
    {
      name: "lists that never end, or cannot be read, are refused or read by their length",
      async run({ open }): Promise<void> {
        const store = await open();
        const endless = Object.assign([], {
          *[Symbol.iterator](): Generator<EventInput> {
            for (let version = 1;; version++) yield happenedTo("order", version);
          },
        });
        const { proxy, revoke } = Proxy.revocable<EventInput[]>([], {});
        revoke();
        await changesNothing(store, ["order"], async () => {
          assert.deepEqual(await store.saveEvents(endless), []);
          await refused(() => store.saveEvents(proxy), InvalidArgumentError);
          await refused(
            () => execute(store, "order", { ...nothing, decide: () => proxy }, null),
            InvalidArgumentError,
          );
          await refused(
            () => store.saveEvent(happenedTo("order", 1, Object.assign([1], { [Symbol("s")]: 1 }))),
            InvalidEventError,
            { field: "data" },
          );
        });
      },
    },
    {
      name: "execute refuses metadata that is none, and what decides no event",
      async run({ open }): Promise<void> {
        const store = await open();
        const decide = (decided: unknown[]): typeof decided => decided;
        await changesNothing(store, ["order"], async () => {
          for (const metadata of [null, "ada", ["ada"], { attempt: 3 }, new Map()]) {
            const options = { metadata: metadata as never };
            await refused(
              () => execute(store, "order", { ...nothing, decide: () => [happened()] }, null, options),
              InvalidEventError,
            );
          }
          const options = { metadata: { userId: "ada" } };
          await refused(
            () => execute(store, "order", { ...nothing, decide } as never, [null], options),
            InvalidEventError,
            { field: "event" },
          );
        });
      },
    },
    {
      name: "verify rejects with the signal's own reason, and with what onProgress throws",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.append("order", [happened(), happened()], { expectedVersion: 0 });
        const reason = { because: "it takes too long" };
        const rejection = async (options: Parameters<StoreUnderTest["verify"]>[0]): Promise<unknown> =>
          await store.verify(options).then(() => "verified", (error: unknown) => error);
        assert.equal(await rejection({ signal: AbortSignal.abort(reason) }), reason);
        const late = new AbortController();
        const verifying = rejection({ signal: late.signal });
        late.abort(reason);
        assert([reason, "verified"].includes(await verifying as never), "another reason than the signal's");
        const error = new Error("the progress bar is broken");
        const onProgress = (): never => {
          throw error;
        };
        const thrown = await rejection({ onProgress });
        assert([error, "verified"].includes(thrown as never), `onProgress threw, and verify: ${thrown}`);
      },
    },
    {
      name: "a prefix that is longer than any actor id chooses no actor",
      async run({ open }): Promise<void> {
        const store = await open();
        await store.append("a", [happened()], { expectedVersion: 0 });
        const actorPrefix = "a".repeat(5_000);
        assert.deepEqual(await all(() => store.listActors({ actorPrefix })), []);
        assert.deepEqual(await all(() => store.readAll({ actorPrefix })), []);
      },
    },
  ],
};
