/**
 * Personal data: encrypted in what is stored, as they were in what is read, and forgotten when a person is.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { EventDefinitions } from "../../event/definitions.ts";
import { InvalidEventError } from "../../event/errors.ts";
import type { NewEvent, StoredEvent } from "../../event/types.ts";
import { Vault } from "../../evidence/vault.ts";
import { FencedError, VersionConflictError } from "../../store/errors.ts";
import type { PersonalVault } from "../../store/personal_vault.ts";
import type { CaseContext, CaseDefinition, Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import {
  all,
  allOf,
  changesNothing,
  dataOf,
  happened,
  refused,
  snapshotting,
  take,
  versionsOf,
  wholeLog,
} from "../support.ts";

const events: EventDefinitions = {
  Registered: { personal: { fields: ["name", "address.street"] } }, // the actor's id is the person's
  Sent: { personal: [{ fields: ["text"], person: "from" }, { fields: ["note"], person: "to" }] },
};

/** No text that is stored for another reason has it. */
const SECRET = "Secret~";

function registered(name: string, more: Partial<NewEvent> = {}): NewEvent {
  const address = { street: `${SECRET} Street`, city: "Oslo" };
  return { eventType: "Registered", data: { name: `${SECRET} ${name}`, address, plan: "basic" }, ...more };
}

function sent(from: unknown, to: unknown): NewEvent {
  return { eventType: "Sent", data: { from, to, text: `${SECRET} text`, note: [SECRET, null] } };
}

/** What remains of `registered` when its person was forgotten. */
function forgotten(forgottenAt: string): unknown {
  const $forgotten = { $forgotten: forgottenAt };
  return { name: $forgotten, address: { street: $forgotten, city: "Oslo" }, plan: "basic" };
}

function openVault(): Promise<Vault> {
  return Vault.inMemory({ masterKey: { id: "1", secret: crypto.getRandomValues(new Uint8Array(32)) } });
}

/** A case over a store with a vault. */
function withVault(
  name: string,
  run: (vault: Vault, store: StoreUnderTest, context: CaseContext) => Promise<void>,
): CaseDefinition {
  return {
    name,
    needs: "vault",
    async run(context): Promise<void> {
      const vault = await openVault();
      await run(vault, await context.open({ vault, events }), context);
    },
  };
}

/** The events of an actor by each way to read. */
async function readings(
  context: CaseContext,
  store: StoreUnderTest,
  actorId: string,
): Promise<Readonly<Record<string, readonly StoredEvent[]>>> {
  const known = await store.getEvents(actorId);
  const own = (events: readonly StoredEvent[]): StoredEvent[] =>
    events.filter((event) => event.actorId === actorId);
  const log = await wholeLog(store);
  await using subscription = store.subscribe({ after: "start" });
  return {
    "getEvents()": known,
    "readEvents()": await all(() => store.readEvents(actorId)),
    "readEvents() backward": (await all(() => store.readEvents(actorId, { direction: "backward" })))
      .reverse(),
    "readAll()": own(log),
    "readAll() backward": own(await all(() => store.readAll({ direction: "backward" }))).reverse(),
    "readAll() of types": own(await all(() => store.readAll({ eventTypes: ["Registered"] }))),
    "subscribe()": own(await take(context, subscription[Symbol.asyncIterator](), log.length)),
  };
}

/** A vault that another one is behind. */
function wrapped(vault: Vault, changed: Partial<PersonalVault>): PersonalVault {
  return {
    cipherFor: (person, actorId) => vault.cipherFor(person, actorId),
    cipherOf: (keyId) => vault.cipherOf(keyId),
    snapshotCipherFor: (actorId) => vault.snapshotCipherFor(actorId),
    snapshotCipherOf: (keyIds) => vault.snapshotCipherOf(keyIds),
    ...changed,
  };
}

/** Personal data. */
export const personalData: Theme = {
  topic: "personal data",
  cases: [
    withVault(
      "personal fields are read as they were saved, by every way to read",
      async (_, store, context) => {
        const given = [1, 2, 3].map((number) => registered(`Ann ${number}`));
        const saved = [
          ...await store.append("ann", given.slice(0, 1), { expectedVersion: 0 }),
          await store.saveEvent({ ...given[1]!, actorId: "ann", version: 2 }),
          ...await store.saveEvents([{ ...given[2]!, actorId: "ann", version: 5 }]),
        ];
        await store.append("other", [happened("plain")], { expectedVersion: "any" });
        assert.deepEqual(dataOf(saved), given.map(({ data }) => data));
        for (const [read, found] of Object.entries(await readings(context, store, "ann"))) {
          assert.deepEqual(found, saved, read);
          for (const event of found) {
            const { address } = event.data as { readonly address: object };
            assert(Object.isFrozen(event) && Object.isFrozen(event.data) && Object.isFrozen(address), read);
          }
        }
      },
    ),
    withVault(
      "events that are stored while a subscription waits come decrypted",
      async (_, store, context) => {
        await using subscription = store.subscribe({ after: "start" });
        const iterator = subscription[Symbol.asyncIterator]();
        const [saved] = await store.append("ann", [registered("Ann")], { expectedVersion: 0 });
        assert.deepEqual(await take(context, iterator, 1), [saved]);
        const waiting = take(context, iterator, 1);
        const later = await store.append("ann", [registered("Ann Lee")], { expectedVersion: 1 });
        assert.deepEqual(await waiting, later);
      },
    ),
    withVault(
      "values of every kind and size come back from personal fields, and absent ones stay absent",
      async (_, store) => {
        const values = [null, 0, false, "", [], {}, { a: { "b.c": [1, { d: null }] } }, "\u{1f3b2}", 1e300, {
          $personal: 1,
        }, "n".repeat(10_000)];
        const given = values.map((note) => ({ from: "a", to: "b", text: "t", note }));
        const without = { from: "a", to: "b", other: [1, { two: null }] };
        const all = [...given, without].map((data) => ({ eventType: "Sent", data }));
        await store.append("chat", all, { expectedVersion: 0 });
        assert.deepEqual(dataOf(await store.getEvents("chat")), [...given, without]);
      },
    ),
    {
      name: "what is stored has no personal value, and everything else as it was given",
      needs: "vault",
      async run(context): Promise<void> {
        if (!context.can("sharing")) return;
        const store = await context.open({ vault: await openVault(), events });
        const plain = await context.open();
        await store.append("ann", [registered("Ann", { metadata: { userId: "u" } })], { expectedVersion: 0 });
        await store.append("chat", [sent("ann", "bob")], { expectedVersion: "any" });
        await store.append("other", [happened({ total: 5 })], { expectedVersion: 0 });
        const [first, second, third] = await wholeLog(store);
        await using subscription = plain.subscribe({ after: "start" });
        const stored = await take(context, subscription[Symbol.asyncIterator](), 3);
        assert.deepEqual(await wholeLog(plain), stored);
        assert.deepEqual(
          [...await plain.getEvents("ann"), ...await plain.getEvents("chat")],
          stored.slice(0, 2),
        );
        const text = JSON.stringify(stored);
        assert(!text.includes(SECRET), `personal data are stored as they are: ${text}`);
        const { $personal: _1, ...data } = stored[0]!.data as Record<string, unknown>;
        assert.deepEqual(data, { name: null, address: { street: null, city: "Oslo" }, plan: "basic" });
        assert.deepEqual({ ...stored[0], data: first!.data }, first);
        const { $personal: _2, ...message } = stored[1]!.data as Record<string, unknown>;
        assert.deepEqual(message, { from: "ann", to: "bob", text: null, note: null });
        assert.deepEqual({ ...stored[1], data: second!.data }, second);
        assert.deepEqual(stored[2], third);
      },
    },
    withVault(
      "when a person is forgotten, every read hands out Forgotten for its fields, and the rest as before",
      async (vault, store, context) => {
        await store.append("ann", [registered("Ann"), registered("Ann Lee")], { expectedVersion: 0 });
        await store.append("bob", [registered("Bob")], { expectedVersion: 0 });
        const [ann, bob] = [await store.getEvents("ann"), await store.getEvents("bob")];
        const before = await store.getLastPosition();
        const { receipts } = await vault.forget("ann", store, { reason: "request 4711" });
        assert.equal(receipts.length, 1);
        const { forgottenAt, key } = receipts[0]!.data;
        assert.deepEqual(receipts[0]!.data, { key, forgottenAt, reason: "request 4711" });
        const expected = ann.map((event) => ({ ...event, data: forgotten(forgottenAt) }));
        for (const [read, found] of Object.entries(await readings(context, store, "ann"))) {
          assert.deepEqual(found, expected, read);
        }
        for (const [read, found] of Object.entries(await readings(context, store, "bob"))) {
          assert.deepEqual(found, bob, read);
        }
        assert.deepEqual(await all(() => store.readAll({ after: before! })), receipts);
        const again = await store.append("ann", [registered("Ann again")], { expectedVersion: 2 });
        assert.deepEqual(await store.getEvents("ann"), [...expected, ...again]);
        assert((await store.verify()).ok);
      },
    ),
    withVault(
      "forgetting a person again stores nothing, and a stranger is no error",
      async (vault, store) => {
        await store.append("ann", [registered("Ann")], { expectedVersion: 0 });
        await vault.forget("ann", store);
        await changesNothing(store, ["ann"], async () => {
          assert.deepEqual(await vault.forget("ann", store), { receipts: [] });
          assert.deepEqual(await vault.forget("stranger", store), { receipts: [] });
        });
      },
    ),
    withVault("an event with data of two persons: each is forgotten alone", async (vault, store) => {
      await store.append("chat", [sent("ann", "bob")], { expectedVersion: 0 });
      const read = async (): Promise<unknown> => (await store.getEvents("chat"))[0]!.data;
      const whole = await read() as object;
      const { receipts: [bob] } = await vault.forget("bob", store);
      const note = { $forgotten: bob!.data.forgottenAt };
      assert.deepEqual(await read(), { ...whole, note });
      const { receipts: [ann] } = await vault.forget("ann", store);
      assert.deepEqual(await read(), { ...whole, note, text: { $forgotten: ann!.data.forgottenAt } });
    }),
    withVault(
      "saves of personal data keep the rules of versions, tokens, conditions and ids",
      async (_, store, context) => {
        const ann = registered("Ann");
        await refused(() => store.append("ann", [ann], { expectedVersion: "exists" }), VersionConflictError);
        await store.append("ann", [ann], { expectedVersion: "any" });
        await store.append("ann", [ann, happened()], { expectedVersion: "exists" });
        await refused(() => store.append("ann", [ann], { expectedVersion: 1 }), VersionConflictError);
        await store.takeOver("ann", 5);
        await refused(
          () => store.append("ann", [ann], { expectedVersion: "any", fencingToken: 4 }),
          FencedError,
        );
        await refused(() => store.append("ann", [ann], { expectedVersion: 3 }), FencedError);
        const id = "registered-1";
        const append = (name: string): Promise<StoredEvent[]> =>
          store.append("ann", [registered(name, { id })], { expectedVersion: 3, fencingToken: 5 });
        const first = await append("Ann");
        assert.deepEqual(await append("Ann"), first, "a repeated append is recognised");
        await changesNothing(store, ["ann"], () => refused(() => append("Eve"), VersionConflictError));
        const batch = [{ ...ann, actorId: "bob", version: 3 }, { ...ann, actorId: "cid", version: 1 }];
        assert.deepEqual(versionsOf(await store.saveEvents(batch)), [3, 1]);
        const bad = [{ ...ann, actorId: "dan", version: 1 }, { ...ann, actorId: "cid", version: 1 }];
        await changesNothing(
          store,
          ["cid", "dan"],
          () => refused(() => store.saveEvents(bad), VersionConflictError),
        );
        if (context.can("conditions")) {
          const event = { ...ann, actorId: "fay", version: 1 };
          const given = (version: number): Promise<unknown> =>
            store.saveEvents([event], { conditions: [{ actorId: "cid", version }] });
          await refused(() => given(2), VersionConflictError, { isCondition: true });
          await given(1);
          assert.deepEqual(dataOf(await store.getEvents("fay")), [ann.data]);
        }
        const aborted = AbortSignal.abort(new Error("changed my mind"));
        await changesNothing(
          store,
          ["ann"],
          () => refused(() => store.append("eve", [ann], { expectedVersion: 0, signal: aborted }), Error),
        );
      },
    ),
    {
      ...withVault(
        "many appends of personal data at any version are all stored, and all read",
        async (_, store) => {
          const names = Array.from({ length: 16 }, (_, index) => `Ann ${index}`);
          const saved = await allOf(
            names.map((name) => store.append("ann", [registered(name)], { expectedVersion: "any" })),
          );
          const events = await store.getEvents("ann");
          assert.deepEqual(versionsOf(events), names.map((_, index) => index + 1));
          assert.deepEqual(events, saved.flat().sort((a, b) => a.version - b.version));
        },
      ),
      slow: true,
    },
    withVault(
      "personal data that belong to no person, or have another shape, are refused, and nothing is stored",
      async (_, store) => {
        const bad: readonly (readonly [NewEvent, string])[] = [
          [sent(undefined, "b"), "data.from"],
          [sent("a", ""), "data.to"],
          [sent(7, "b"), "data.from"],
          [sent(["a"], "b"), "data.from"],
          [sent("x".repeat(513), "b"), "data.from"],
          [{ eventType: "Sent", data: "text" }, "data"],
          [{ eventType: "Sent", data: null }, "data"],
          [{ eventType: "Sent", data: [{ text: "t" }] }, "data"],
          [{ eventType: "Registered", data: { address: "Street 5" } }, "data.address"],
          [{ eventType: "Registered", data: { address: [{ street: "5" }] } }, "data.address"],
          [{ eventType: "Registered", data: { $personal: [] } }, "data.$personal"],
          [happened({ $personal: [] }), "data.$personal"],
        ];
        await changesNothing(store, ["ann", "other"], async () => {
          for (const [event, field] of bad) {
            const what = JSON.stringify(event.data).slice(0, 60);
            const append = (): Promise<unknown> =>
              store.append("ann", [registered("Ann"), event], { expectedVersion: 0 });
            await refused(append, InvalidEventError, { field, actorId: "ann" }, what);
            const batch = [{ ...registered("Ann"), actorId: "other", version: 1 }, {
              ...event,
              actorId: "ann",
              version: 1,
            }];
            await refused(() => store.saveEvents(batch), InvalidEventError, { field }, what);
          }
        });
      },
    ),
    {
      name: "a vault that cannot be reached fails what needs it, stores nothing, and loses nothing",
      needs: "vault",
      async run(context): Promise<void> {
        const vault = await openVault();
        let isDown = false;
        const whileUp = <T>(call: () => T): T | Promise<never> =>
          isDown ? Promise.reject(new Error("the vault is down")) : call();
        const store = await context.open({
          events,
          vault: wrapped(vault, {
            cipherFor: (person, actorId) => whileUp(() => vault.cipherFor(person, actorId)),
            cipherOf: (keyId) => whileUp(() => vault.cipherOf(keyId)),
          }),
        });
        await store.append("other", [happened(1)], { expectedVersion: 0 });
        await store.append("ann", [registered("Ann")], { expectedVersion: 0 });
        const before = await store.getEvents("ann");
        isDown = true;
        const down = (action: () => unknown): Promise<Error> =>
          refused(action, Error, { message: "the vault is down" });
        await down(() => store.append("ann", [registered("Ann")], { expectedVersion: 1 }));
        await down(() => store.append("ann", [registered("Ann")], { expectedVersion: "any" }));
        await down(() => store.getEvents("ann"));
        await down(() => wholeLog(store));
        // What has no personal data does not need it.
        assert.equal((await store.append("other", [happened(2)], { expectedVersion: 1 })).length, 1);
        assert.equal((await store.getEvents("other")).length, 2);
        const [first] = await all(() => store.readAll({ limit: 1 }));
        assert.equal(first!.actorId, "other");
        isDown = false;
        assert.deepEqual(await store.getEvents("ann"), before);
        assert.equal((await store.append("ann", [registered("Ann")], { expectedVersion: 1 })).length, 1);
      },
    },
    {
      name:
        "a snapshot of an actor with personal data is stored encrypted, and gone when a person is forgotten",
      needs: "vault",
      async run(context): Promise<void> {
        if (!context.can("snapshots")) return;
        const vault = await openVault();
        const options = { vault, events, onWarning: (): void => {} };
        const store = snapshotting(await context.open(options));
        await store.append("chat", [sent("ann", "bob")], { expectedVersion: 0 });
        await store.append("other", [happened(1)], { expectedVersion: 0 });
        const state = { texts: [`${SECRET} text`], count: 1 };
        const taken = { actorId: "chat", kind: "texts", schemaVersion: 1, version: 1, state };
        await store.saveSnapshot(taken);
        await store.saveSnapshot({ ...taken, actorId: "other" });
        const kept = await store.getLatestSnapshot("chat", "texts");
        assert.deepEqual(kept?.state, state);
        assert(Object.isFrozen(kept) && Object.isFrozen(kept?.state));
        if (context.can("sharing")) {
          const plain = snapshotting(await context.open());
          const stored = JSON.stringify(await plain.getLatestSnapshot("chat", "texts"));
          assert(!stored.includes(SECRET), `the state is stored as it is: ${stored}`);
        }
        await vault.forget("bob", store);
        assert.equal(await store.getLatestSnapshot("chat", "texts"), undefined);
        await store.saveSnapshot(taken); // a state from before
        assert.equal(await store.getLatestSnapshot("chat", "texts"), undefined);
        assert.deepEqual((await store.getLatestSnapshot("other", "texts"))?.state, state);
      },
    },
  ],
};
