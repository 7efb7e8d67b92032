/** Personal data: encrypted in all stores, and forgotten. */

import assert from "node:assert/strict";
import {
  copyEvents,
  type Decider,
  type Event,
  type EventDefinitions,
  type EventStore,
  type EventStoreOptions,
  EventTooLargeError,
  execute,
  executeAll,
  exportEvents,
  FencedError,
  type Forgotten,
  generateSealKey,
  importEvents,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  InvalidEventError,
  isForgotten,
  type MasterKey,
  projectOnce,
  proveEvent,
  replay,
  SealFolder,
  sealOnce,
  type StoredEvent,
  Vault,
  VaultError,
  type VaultOptions,
  verifyExport,
  verifyProof,
  verifySealedLog,
  VersionConflictError,
} from "../../mod.ts";
import { rawLogOf } from "../../src/store/raw_log.ts";
import { until } from "../support/until.ts";
import { type AnyStore, type Kind, KINDS, type Stores, stores } from "./stores.ts";

type Registered = Event<"Registered", {
  name: string | Forgotten;
  address?: { street: string | Forgotten; city: string } | null;
  plan: string;
}>;
type Sent = Event<"Sent", { from: string; to: string; text: string | Forgotten; note: unknown }>;
type Other = Event<"Other", { value: number }>;
type Any = Registered | Sent | Other;

const events: EventDefinitions<Any> = {
  Registered: { personal: { fields: ["name", "address.street"] } },
  Sent: { personal: [{ fields: ["text"], person: "from" }, { fields: ["note"], person: "to" }] },
};
const ann = {
  eventType: "Registered",
  data: { name: "Ann Secret", plan: "basic", address: { street: "Secret St", city: "Oslo" } },
} as const;

function masterKey(id = "2026"): MasterKey {
  return { id, secret: crypto.getRandomValues(new Uint8Array(32)) };
}

const key = masterKey();
let opened = 0;

/** Opens a vault of the same kind as a store. */
async function openVault(all: Stores, kind: Kind, options: Partial<VaultOptions> = {}): Promise<Vault> {
  const full = { masterKey: key, namespace: `v${++opened}`, ...options };
  return kind === "memory"
    ? await Vault.inMemory(full)
    : kind === "Deno KV"
    ? await Vault.onDenoKv(all.kv, full)
    : await Vault.onJetStream(all.url, full);
}

/** Runs a test on each kind of store, with a vault of that kind. */
function onEach(
  name: string,
  test: (
    setup: {
      all: Stores;
      kind: Kind;
      vault: Vault;
      store: EventStore<Any> & AnyStore;
      open: (options?: EventStoreOptions) => Promise<AnyStore>;
    },
  ) => Promise<void>,
): void {
  Deno.test(name, async (t) => {
    await using all = await stores();
    for (const kind of KINDS) {
      await t.step(kind, async () => {
        await using vault = await openVault(all, kind);
        const open = (options?: EventStoreOptions): Promise<AnyStore> =>
          all.open(kind, { vault, events: events as EventDefinitions, ...options });
        const store = await open() as EventStore<Any> & AnyStore;
        await test({ all, kind, vault, store, open });
      });
    }
  });
}

/** All that a store has stored, as text. */
async function storedText(store: EventStore<never> | AnyStore): Promise<string> {
  const events = await Array.fromAsync(rawLogOf(store as unknown as EventStore).read("start", undefined));
  return JSON.stringify(events);
}

onEach(
  "personal fields are stored encrypted, and every read returns them as they were",
  async ({ store }) => {
    const [saved] = await store.append("ann", [ann], { expectedVersion: 0 });
    assert.deepEqual(saved!.data, ann.data);
    await store.saveEvent({ ...ann, actorId: "ann", version: 5 });
    await store.append("other", [{ eventType: "Other", data: { value: 7 } }], { expectedVersion: "any" });
    const text = await storedText(store);
    assert(!text.includes("Secret") && text.includes("Oslo") && text.includes("basic"), text);
    const expected = [ann.data, ann.data];
    const data = (events: readonly StoredEvent<Any>[]): unknown[] => events.map(({ data }) => data);
    assert.deepEqual(data(await store.getEvents("ann")), expected);
    assert.deepEqual(data(await Array.fromAsync(store.readEvents("ann"))), expected);
    assert.deepEqual(
      data(await Array.fromAsync(store.readEvents("ann", { direction: "backward" }))),
      expected,
    );
    assert.deepEqual(data(await Array.fromAsync(store.readAll())), [...expected, { value: 7 }]);
    assert.deepEqual(data(await Array.fromAsync(store.readAll({ direction: "backward" }))), [
      { value: 7 },
      ...expected,
    ]);
    await using subscription = store.subscribe({ after: "start" });
    const live: StoredEvent<Any>[] = [];
    for await (const event of subscription) {
      live.push(event);
      if (live.length === 3) await store.append("ann", [ann], { expectedVersion: 5 });
      if (live.length === 4) break;
    }
    assert.deepEqual(data(live), [...expected, { value: 7 }, ann.data]);
    const [first] = await store.getEvents("ann");
    assert(
      Object.isFrozen(first) && Object.isFrozen(first!.data) &&
        Object.isFrozen((first as StoredEvent<Registered>).data.address),
    );
    assert((await store.verify()).ok);
  },
);

onEach(
  "forgetting a person makes its fields Forgotten, everywhere, and leaves a receipt",
  async ({ store, vault, open, all }) => {
    await store.append("ann", [ann, ann], { expectedVersion: 0 });
    await store.append("bob", [{ eventType: "Registered", data: { name: "Bob", plan: "pro" } }], {
      expectedVersion: 0,
    });
    const before = await store.getLastPosition();
    const { receipts } = await vault.forget("ann", store, { reason: "request 4711" });
    assert.equal(receipts.length, 1);
    const [receipt] = await Array.fromAsync(store.readAll({ after: before! })) as StoredEvent[];
    assert.deepEqual(receipt, receipts[0]);
    assert.equal(receipt!.eventType, "PersonForgotten");
    const { key, forgottenAt } = receipts[0]!.data;
    assert((await storedText(store)).includes(key));
    for (const event of await store.getEvents("ann")) {
      assert.deepEqual(event.data, {
        name: { $forgotten: forgottenAt },
        address: { street: { $forgotten: forgottenAt }, city: "Oslo" },
        plan: "basic",
      });
      assert(event.eventType === "Registered" && isForgotten(event.data.name));
    }
    assert.equal(((await store.getEvents("bob"))[0] as StoredEvent<Registered>).data.name, "Bob");
    const names = (view: EventStore<Any>): Promise<unknown[]> =>
      Array.fromAsync(
        view.readAll({ eventTypes: ["Registered"] }),
        ({ data }) => (data as Registered["data"]).name,
      );
    assert.deepEqual(
      (await names(store)).map((name) => isForgotten(name)),
      [true, true, false],
    );
    // Deciders and projections see it.
    const view = {
      initialState: (): unknown[] => [],
      evolve: (state: unknown[], event: Any) => [...state, isForgotten((event as Registered).data.name)],
    };
    assert.deepEqual((await replay(store as EventStore<Any>, "ann", view)).state, [true, true]);
    let forgotten = 0;
    await projectOnce(store as EventStore<Any>, {
      name: "names",
      checkpoints: new InMemoryCheckpoints(),
      handle: { Registered: ({ data }) => void (isForgotten(data.name) && forgotten++) },
    });
    assert.equal(forgotten, 2);
    // Again: nothing is left to be forgotten. The person may come back, with another key.
    assert.deepEqual((await vault.forget("ann", store)).receipts, []);
    assert.deepEqual((await vault.forget("nobody", store)).receipts, []);
    await store.append("ann", [ann], { expectedVersion: 2 });
    assert.deepEqual(
      (await store.getEvents("ann")).map(({ data }) => isForgotten((data as Registered["data"]).name)),
      [true, true, false],
    );
    assert.equal((await vault.forget("ann", store)).receipts.length, 1);
    assert((await store.verify()).ok);
    // An import and a copy of what is stored go on to hold, with the same vault.
    for (const kind of KINDS) {
      const copy = await all.open(kind, { vault, events: events as EventDefinitions });
      await copyEvents(store as EventStore, copy);
      const imported = await all.open(kind, { vault, events: events as EventDefinitions });
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      await Promise.all([exportEvents(store, writable), importEvents(readable, imported)]);
      for (const other of [copy, imported]) {
        const data = (await other.getEvents("ann")).map((event) => event.data as Registered["data"]);
        assert.deepEqual(data.map(({ name }) => isForgotten(name)), [true, true, true]);
        assert.equal(((await other.getEvents("bob"))[0]!.data as Registered["data"]).name, "Bob");
      }
    }
    await (await open()).close();
  },
);

onEach(
  "copies and exports have the encrypted form only; an export goes on to verify after an erasure",
  async ({ all, store, vault }) => {
    await store.append("ann", [ann], { expectedVersion: 0 });
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const [bytes] = await Promise.all([new Response(readable).bytes(), exportEvents(store, writable)]);
    assert(!new TextDecoder().decode(bytes).includes("Secret"));
    for (const kind of KINDS) {
      const copy = await all.open(kind);
      await copyEvents(store as EventStore, copy);
      assert(!(await storedText(copy)).includes("Secret"));
      assert.equal((await copyEvents(store as EventStore, copy)).copied, 0);
    }
    await vault.forget("ann", store);
    assert.equal((await verifyExport(new Blob([bytes]).stream())).events, 1);
  },
);

onEach(
  "the fields of a person are encrypted together, and cannot be exchanged for one another",
  async ({ store, all, kind, vault }) => {
    await store.append("ann", [ann], { expectedVersion: 0 });
    const [stored] = await Array.fromAsync(rawLogOf(store as unknown as EventStore).read("start", undefined));
    const { $personal, ...rest } = stored!.data as { readonly $personal: readonly string[][] };
    assert.deepEqual(rest, { name: null, address: { street: null, city: "Oslo" }, plan: "basic" });
    assert.equal($personal.length, 1);
    const [keyId, sealed, ...fields] = $personal[0]!;
    assert.deepEqual(fields, ["name", "address.street"]);
    assert(/^[0-9a-f]{32}$/.test(keyId!));
    const target = await all.open(kind, { vault });
    const forgeries = [
      [keyId, sealed, "address.street", "name"],
      [keyId, sealed, "name"],
      [keyId, sealed, "name", "address.street", "plan"],
      [keyId, sealed, "name", "address.number"],
      [keyId, sealed],
      [keyId, 5, "name", "address.street"],
      [keyId, `${sealed!.slice(0, -8)}AAAAAAA=`, "name", "address.street"],
      [keyId, "", "name", "address.street"],
    ];
    for (const [index, forged] of forgeries.entries()) {
      const data = { ...rest, $personal: [forged] };
      await rawLogOf(target).save([{ ...stored!, actorId: `ann-${index}`, id: `${index}`, data }], undefined);
      await assert.rejects(target.getEvents(`ann-${index}`), { name: "VaultError", reason: "changed" });
    }
  },
);

onEach("an event with data of two persons: each is forgotten alone", async ({ store, vault }) => {
  const data = { from: "ann", to: "bob", text: "hello", note: { mood: ["good", 1, null, true] } };
  await store.append("chat", [{ eventType: "Sent", data }], { expectedVersion: 0 });
  assert.deepEqual((await store.getEvents("chat"))[0]!.data, data);
  await vault.forget("bob", store);
  const read = async (): Promise<Sent["data"]> => (await store.getEvents("chat"))[0]!.data as Sent["data"];
  assert.equal((await read()).text, "hello");
  assert(isForgotten((await read()).note));
  await vault.forget("ann", store);
  assert(isForgotten((await read()).text));
  assert.deepEqual([(await read()).from, (await read()).to], ["ann", "bob"]);
});

onEach(
  "appends at any version, at an existing actor, and many at once keep their numbers",
  async ({ store }) => {
    await assert.rejects(store.append("ann", [ann], { expectedVersion: "exists" }), VersionConflictError);
    await store.append("ann", [ann], { expectedVersion: "any" });
    await store.append("ann", [ann, { eventType: "Other", data: { value: 1 } }], {
      expectedVersion: "exists",
    });
    await Promise.all(
      Array.from({ length: 8 }, () => store.append("ann", [ann], { expectedVersion: "any" })),
    );
    const read = await store.getEvents("ann");
    assert.deepEqual(read.map(({ version }) => version), Array.from({ length: 11 }, (_, index) => index + 1));
    assert(read.every((event) => event.eventType !== "Registered" || event.data.plan === "basic"));
    await assert.rejects(store.append("ann", [ann], { expectedVersion: 3 }), VersionConflictError);
    await store.takeOver("ann", 5);
    await assert.rejects(
      store.append("ann", [ann], { expectedVersion: "any", fencingToken: 4 }),
      FencedError,
    );
    await store.append("ann", [ann], { expectedVersion: "any", fencingToken: 5 });
    const both = [{ ...ann, actorId: "bob", version: 3 }, { ...ann, actorId: "cid", version: 1 }];
    await store.saveEvents(both, { conditions: [{ actorId: "ann", version: 12 }] });
    await assert.rejects(
      store.saveEvents([{ ...ann, actorId: "dan", version: 1 }], {
        conditions: [{ actorId: "ann", version: 1 }],
      }),
      VersionConflictError,
    );
    assert.equal((await store.getEvents("bob"))[0]!.version, 3);
  },
);

onEach(
  "a repeated append and a repeated command are recognised, although each encryption is another",
  async ({ store, vault }) => {
    const event = { ...ann, id: "e1" };
    const [first] = await store.append("ann", [event], { expectedVersion: 0 });
    const [again] = await store.append("ann", [event], { expectedVersion: 0 });
    assert.deepEqual(again, first);
    const other = { ...event, data: { ...event.data, name: "Eve" } };
    await assert.rejects(store.append("ann", [other], { expectedVersion: 0 }), VersionConflictError);
    const same = await store.saveEvent({ ...event, actorId: "ann", version: 1 }).catch((error) => error);
    assert(same instanceof VersionConflictError && same.sameEvent);
    const decider: Decider<number, string, Any> = {
      initialState: () => 0,
      evolve: (count) => count + 1,
      decide: (name) => [{ eventType: "Registered", data: { name, plan: "basic" } }],
    };
    const once = await execute(store as EventStore<Any>, "bob", decider, "Bob", { commandId: "c1" });
    const twice = await execute(store as EventStore<Any>, "bob", decider, "Bob", { commandId: "c1" });
    assert.deepEqual([once.version, twice.version, await store.getLatestVersion("bob")], [1, 1, 1]);
    const all = await executeAll(store as EventStore<Any>, { bob: [decider, "bob"] }, () => ({
      bob: [{ eventType: "Registered", data: { name: "Bob", plan: "pro" } }],
    }));
    assert(all);
    await vault.forget("ann", store);
    await assert.rejects(store.append("ann", [event], { expectedVersion: 0 }), VersionConflictError);
  },
);

onEach(
  "a snapshot of an actor with personal data is encrypted, and gone when a person is forgotten",
  async ({ vault, kind, all, open }) => {
    const warnings: string[] = [];
    const store = await open({ onWarning: ({ code }) => void warnings.push(code) });
    await store.append("chat", [{
      eventType: "Sent",
      data: { from: "ann", to: "bob", text: "hello", note: null },
    }], { expectedVersion: 0 });
    const snapshot = {
      actorId: "chat",
      kind: "texts",
      schemaVersion: 1,
      version: 1,
      state: { texts: ["hello Secret"] },
    };
    await store.saveSnapshot(snapshot);
    assert.deepEqual((await store.getLatestSnapshot("chat", "texts"))?.state, snapshot.state);
    const blind = await all.open(
      kind,
      { namespace: store.namespace, ...(kind === "memory" && { storage: undefined }) } as EventStoreOptions,
    );
    if (kind !== "memory") {
      assert(
        !JSON.stringify(await blind.getLatestSnapshot("chat", "texts")).includes("Secret"),
      );
    }
    await vault.forget("bob", store);
    assert.equal(await store.getLatestSnapshot("chat", "texts"), undefined);
    // A state that is older than the erasure must not be kept.
    await store.saveSnapshot({ ...snapshot, version: 1 });
    assert.equal(await store.getLatestSnapshot("chat", "texts"), undefined);
    assert.deepEqual(warnings, ["snapshot-refused"]);
    await store.append("plain", [{ eventType: "Other", data: { value: 1 } }], { expectedVersion: 0 });
    await store.saveSnapshot({ ...snapshot, actorId: "plain" });
    assert.deepEqual((await store.getLatestSnapshot("plain", "texts"))?.state, snapshot.state);
  },
);

onEach(
  "hostile persons, and data in which a person or an object is missing, are refused or kept apart",
  async ({ store, vault }) => {
    const refused = async (data: unknown, field: string): Promise<void> => {
      const error = await store.append("x", [{ eventType: "Sent", data } as never], {
        expectedVersion: "any",
      }).catch((error) => error);
      assert(error instanceof InvalidEventError && error.field === field, `${error} ${error.field}`);
    };
    await refused({ from: "", to: "b", text: "t", note: 1 }, "data.from");
    await refused({ from: 7, to: "b", text: "t", note: 1 }, "data.from");
    await refused({ to: "b", text: "t", note: 1 }, "data.from");
    await refused({ from: "x".repeat(513), to: "b", text: "t", note: 1 }, "data.from");
    await refused({ from: "\ud800", to: "b", text: "t", note: 1 }, "data.from");
    await refused({ from: "a", to: "b", text: undefined, note: 1n }, "data.note");
    await refused("text", "data");
    await refused(["text"], "data");
    await refused(null, "data");
    await refused({ from: "a", to: "b", note: 1, $personal: [] }, "data.$personal");
    const inside = store.append("x", [
      { eventType: "Registered", data: { name: "n", plan: "p", address: "Secret St 5" } } as never,
    ], { expectedVersion: "any" });
    await assert.rejects(inside, InvalidEventError);
    assert.equal(await store.getLatestVersion("x"), 0);
    // Without a field there is nothing to encrypt, and no person is asked for.
    await store.append("x", [{ eventType: "Sent", data: { from: "a", to: 5 } } as never], {
      expectedVersion: 0,
    })
      .then(() =>
        store.append("x", [{ eventType: "Registered", data: { name: "n", plan: "p", address: null } }], {
          expectedVersion: 1,
        })
      );
    const persons = ["a.b", "a b*", "a/../b", "__proto__", "key.>", "\u{1f3b2}", "a\0b", "x".repeat(512)];
    for (const from of persons) {
      await store.append("chat", [{ eventType: "Sent", data: { from, to: "b", text: from, note: 1 } }], {
        expectedVersion: "any",
      });
    }
    await vault.forget(persons[0]!, store);
    const texts = (await store.getEvents("chat")).map(({ data }) => (data as Sent["data"]).text);
    assert.deepEqual(texts.map(isForgotten), [true, ...persons.slice(1).map(() => false)]);
    assert.deepEqual(texts.slice(1), persons.slice(1));
    for (const person of ["", 7, "\ud800", "x".repeat(513)]) {
      await assert.rejects(vault.forget(person as string, store), InvalidArgumentError);
    }
    await assert.rejects(vault.forget("a", store, { reson: "typo" } as never), InvalidArgumentError);
  },
);

onEach("all kinds of values come back: nested, empty, null, unusual names", async ({ store }) => {
  const values = [null, 0, false, "", [], {}, { a: { "b.c": [1, { d: null }] } }, "\u{1f3b2}", {
    __proto__: null,
    $personal: 1,
  }, 1e300];
  for (const note of values) {
    const data = { from: "a", to: "b", text: "t", note };
    await store.append("chat", [{ eventType: "Sent", data }], { expectedVersion: "any" });
  }
  const read = (await store.getEvents("chat")).map(({ data }) => (data as Sent["data"]).note);
  assert.deepEqual(JSON.stringify(read), JSON.stringify(values));
});

onEach("an event that is too large when it is encrypted is refused", async ({ store }) => {
  const { bytesPerEvent } = store.limits;
  const name = "n".repeat(Math.floor(bytesPerEvent * 0.9));
  await assert.rejects(
    store.append("ann", [{ eventType: "Registered", data: { name, plan: "p" } }], { expectedVersion: 0 }),
    EventTooLargeError,
  );
  assert.equal(await store.getLatestVersion("ann"), 0);
});

onEach(
  "upcasters and schemas: plain data are checked when they are saved; forgotten fields pass",
  async ({ open, vault }) => {
    const schema = {
      "~standard": {
        version: 1 as const,
        vendor: "test",
        validate: (data: unknown) =>
          typeof (data as { fullName?: unknown }).fullName === "string"
            ? { value: data }
            : { issues: [{ message: "no full name" }] },
      },
    };
    const v1 = await open({ namespace: "upcast", events: { Named: { personal: { fields: ["name"] } } } });
    await v1.append("ann", [{ eventType: "Named", data: { name: "Ann" } }], { expectedVersion: 0 });
    const definitions: EventDefinitions = {
      Called: {
        version: 2,
        schema,
        renamedFrom: "Named",
        upcast: [({ name }) => ({ fullName: name })],
        personal: { fields: ["fullName"] },
      },
    };
    const storage = v1 instanceof InMemoryEventStore
      ? undefined
      : await open({ namespace: "upcast", events: definitions });
    if (!storage) return; // another store object has other events in memory
    assert.deepEqual((await storage.getEvents("ann"))[0]!.data, { fullName: "Ann" });
    await assert.rejects(
      storage.append("ann", [{ eventType: "Called", data: { fullName: 7 } }], { expectedVersion: 1 }),
      InvalidEventError,
    );
    await storage.append("ann", [{ eventType: "Called", data: { fullName: "Ann" } }], { expectedVersion: 1 });
    await vault.forget("ann", storage);
    const read = await storage.getEvents("ann");
    assert.deepEqual(read.map(({ data }) => isForgotten((data as { fullName: unknown }).fullName)), [
      true,
      true,
    ]);
    for await (const event of storage.readAll({ eventTypes: ["Called"] })) assert(event.data);
  },
);

onEach("a ciphertext that is moved to another place is found", async ({ all, store, vault, kind }) => {
  await store.append("ann", [ann], { expectedVersion: 0 });
  const [stolen] = await Array.fromAsync(rawLogOf(store as unknown as EventStore).read("start", undefined));
  const target = await all.open(kind, { vault });
  const raw = rawLogOf(target);
  await raw.save([{ ...stolen!, actorId: "bob" }], undefined);
  await raw.save([{ ...stolen!, actorId: "ann", version: 2 }], undefined);
  await raw.save(
    [{ ...stolen!, actorId: "cid", data: { ...stolen!.data as object, $personal: "text" } }],
    undefined,
  );
  for (const actorId of ["ann", "bob", "cid"]) {
    await assert.rejects(target.getEvents(actorId), { name: "VaultError", reason: "changed" });
  }
  const read: unknown[] = [];
  await assert.rejects(async () => {
    for await (const event of target.readAll()) read.push(event);
  }, VaultError);
});

onEach("a seal goes on to hold when a person is forgotten", async ({ store, vault }) => {
  const folder = await Deno.makeTempDir({ prefix: "aether seal " });
  try {
    const { privateKey, publicKey: key } = generateSealKey("example.com/customers");
    const place = new SealFolder(folder);
    const seal = (): Promise<unknown> =>
      sealOnce(store as EventStore, place, { signer: { key: privateKey } });
    const [first] = await store.append("ann", [ann, ann], { expectedVersion: 0 });
    await seal();
    const proof = await proveEvent(store as EventStore, place, first!.position);
    await vault.forget("ann", store);
    assert.deepEqual(
      verifyProof(proof, { key }),
      verifyProof(
        await proveEvent(store as EventStore, place, first!.position),
        { key },
      ),
    );
    assert(!JSON.stringify(verifyProof(proof, { key })).includes("Secret"));
    const before = await verifySealedLog(store as EventStore, place, { key });
    assert.deepEqual([before.ok, before.verified, before.unsealed], [true, 2, 1]);
    await seal(); // the receipt
    const after = await verifySealedLog(store as EventStore, place, { key });
    assert.deepEqual([after.ok, after.verified], [true, 3]);
    for await (const { name, isFile } of Deno.readDir(`${folder}/tile/entries`)) {
      if (isFile) assert(!(await Deno.readTextFile(`${folder}/tile/entries/${name}`)).includes("Secret"));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("two processes share a vault: one key for a person, and an erasure reaches the other when its cache is over", async () => {
  await using all = await stores();
  for (const kind of ["Deno KV", "JetStream"] as const) {
    const namespace = `shared-${kind.length}`;
    await using first = await openVault(all, kind, { namespace });
    await using second = await openVault(all, kind, { namespace, cacheMs: 0 });
    const one = await all.open(kind, { namespace, vault: first, events: events as EventDefinitions });
    const two = await all.open(kind, { namespace, vault: second, events: events as EventDefinitions });
    await Promise.all(
      [one, two, one, two].map((store, index) =>
        store.append(`actor-${index}`, [{
          eventType: "Sent",
          data: { from: "ann", to: "ann", text: "t", note: index },
        }], { expectedVersion: 0 })
      ),
    );
    const keys = new Set((await storedText(one)).match(/[0-9a-f]{32}/g));
    assert.equal(keys.size, 1);
    await using third = await openVault(all, kind, { namespace, cacheMs: 50 });
    const later = await all.open(kind, { namespace, vault: third, events: events as EventDefinitions });
    const isLaterForgotten = async (): Promise<boolean> =>
      isForgotten(((await later.getEvents("actor-0"))[0]!.data as Sent["data"]).note);
    assert(!await isLaterForgotten());
    assert.equal((await two.getEvents("actor-0")).length, 1);
    assert.equal((await first.forget("ann", one)).receipts.length, 1);
    for (const store of [one, two]) {
      for (const index of [0, 1, 2, 3]) {
        assert(isForgotten(((await store.getEvents(`actor-${index}`))[0]!.data as Sent["data"]).note));
      }
    }
    await until("its key is read again", isLaterForgotten);
  }
});

Deno.test("a master key that is wrong, gone or rotated: typed errors, and nothing is lost", async () => {
  await using all = await stores();
  for (const kind of ["Deno KV", "JetStream"] as const) {
    const namespace = `rotated-${kind.length}`;
    const old = masterKey("2025");
    const next = masterKey("2026");
    await using before = await openVault(all, kind, { namespace, masterKey: old });
    const options = { namespace, events: events as EventDefinitions };
    const store = await all.open(kind, { ...options, vault: before });
    await store.append("ann", [ann], { expectedVersion: 0 });
    await assert.rejects(openVault(all, kind, { namespace, masterKey: masterKey("2025") }), {
      reason: "master-key",
    });
    await using gone = await openVault(all, kind, { namespace, masterKey: next });
    const blind = await all.open(kind, { ...options, vault: gone });
    const error = await blind.getEvents("ann").catch((error) => error);
    assert(error instanceof VaultError && error.reason === "master-key" && error.message.includes('"2025"'));
    await assert.rejects(blind.append("ann", [ann], { expectedVersion: 1 }), { reason: "master-key" });
    await assert.rejects(gone.rotate(), { reason: "master-key" });
    // A key can be destroyed without being decrypted.
    await store.append("bob", [ann], { expectedVersion: 0 });
    assert.equal((await gone.forget("bob", blind)).receipts.length, 1);
    assert(isForgotten(((await blind.getEvents("bob"))[0]!.data as Registered["data"]).name));
    await using both = await openVault(all, kind, { namespace, masterKey: next, previousMasterKeys: [old] });
    assert.equal(await both.rotate(), 1);
    assert.equal(await both.rotate(), 0);
    assert.deepEqual((await blind.getEvents("ann"))[0]!.data, ann.data);
    // A vault that was lost is no erasure.
    await using other = await openVault(all, kind, { masterKey: next });
    const lost = await all.open(kind, { ...options, vault: other });
    await assert.rejects(lost.getEvents("ann"), { reason: "unknown-key" });
    assert.deepEqual((await blind.getEvents("ann"))[0]!.data, ann.data);
  }
});

Deno.test("nothing of a forgotten key is left in the bucket or the database, and no name of a person at any time", async () => {
  await using all = await stores();
  await using vault = await openVault(all, "Deno KV", { namespace: "kept" });
  const store = await all.open("Deno KV", { vault, events: events as EventDefinitions });
  await store.append("ann-the-person", [ann], { expectedVersion: 0 });
  const records = async (): Promise<string> =>
    JSON.stringify(await Array.fromAsync(all.kv.list({ prefix: ["aether", "vault", "kept"] })));
  const wrapped = /wrapped\\":\\"([^"\\]+)/.exec(await records())![1]!;
  assert(!(await records()).includes("ann"));
  await vault.forget("ann-the-person", store);
  assert(!(await records()).includes(wrapped) && !(await records()).includes("person"));
  await using bucket = await openVault(all, "JetStream", { namespace: "kept" });
  const inNats = await all.open("JetStream", { vault: bucket, events: events as EventDefinitions });
  await inNats.append("ann-the-person", [ann], { expectedVersion: 0 });
  await bucket.forget("ann-the-person", inNats);
  const { connect } = await import("@nats-io/transport-node");
  const { jetstreamManager } = await import("@nats-io/jetstream");
  const connection = await connect({ servers: all.url });
  try {
    const manager = await jetstreamManager(connection);
    const { state, config } = await manager.streams.info("KV_aether_vault", { subjects_filter: ">" });
    assert.equal(config.max_msgs_per_subject, 1);
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage("KV_aether_vault", { seq }).catch(() => undefined);
      const text = message ? new TextDecoder().decode(message.data) + message.subject : "";
      assert(
        !text.includes("ann") && (!message?.subject.includes(".key.") || text.includes("forgotten")),
        text,
      );
    }
  } finally {
    await connection.close();
  }
});

Deno.test("an erasure that was interrupted before its receipt is finished by the next call", async () => {
  await using vault = await Vault.inMemory({ masterKey: key });
  await using store = new InMemoryEventStore({ vault, events: events as EventDefinitions });
  await store.append("ann", [ann], { expectedVersion: 0 });
  const failing = {
    append: () => Promise.reject(new Error("no store")),
  } as unknown as EventStore;
  await assert.rejects(vault.forget("ann", failing), /no store/);
  assert(isForgotten(((await store.getEvents("ann"))[0]!.data as Registered["data"]).name));
  await store.append("ann", [ann], { expectedVersion: 1 }); // the person has a new key meanwhile
  const { receipts } = await vault.forget("ann", store);
  assert.equal(receipts.length, 2);
  assert.equal(new Set(receipts.map(({ data }) => data.key)).size, 2);
  assert.deepEqual((await vault.forget("ann", store)).receipts, []);
});

Deno.test("a save that asks for its key while its person is forgotten keeps no destroyed key for what comes next", async () => {
  for (let turns = 0; turns < 40; turns++) {
    await using vault = await Vault.inMemory({ masterKey: key });
    await using store = new InMemoryEventStore({ vault, events: events as EventDefinitions });
    await store.append("ann", [ann], { expectedVersion: 0 });
    // Another actor: its key is not in memory yet.
    const saving = store.append("anns-order", [
      { eventType: "Sent", data: { from: "ann", to: "ann", text: "first", note: null } },
    ], { expectedVersion: 0 });
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await vault.forget("ann", store);
    await saving;
    const [later] = await store.append("anns-order", [
      { eventType: "Sent", data: { from: "ann", to: "ann", text: "later", note: null } },
    ], { expectedVersion: 1 });
    const read = await store.getEvents("anns-order", later!.version);
    assert.equal((read[0]!.data as Sent["data"]).text, "later", `forgotten after ${turns} turns`);
  }
});

Deno.test("options of a vault that cannot be used are refused, and no secret is repeated", async () => {
  const secret = "not a key but a secret";
  for (
    const options of [
      undefined,
      {},
      { masterKey: { id: "", secret: new Uint8Array(32) } },
      { masterKey: { id: "a", secret } },
      { masterKey: { id: "a", secret: new Uint8Array(31) } },
      { masterKey: key, cacheMs: -1 },
      { masterKey: key, cacheMs: Infinity },
      { masterKey: key, namespace: "a.b" },
      { masterKey: key, previousMasterKeys: [key] },
      { masterKey: key, master: key },
    ]
  ) {
    const error = await Vault.inMemory(options as VaultOptions).catch((error) => error);
    assert(error instanceof InvalidArgumentError && !error.message.includes(secret), String(error));
  }
  const base64 = crypto.getRandomValues(new Uint8Array(32)).toBase64();
  await using _vault = await Vault.inMemory({ masterKey: { id: "a", secret: base64 } });
});

Deno.test("personal fields need a vault, and each a place of its own", async () => {
  await using vault = await Vault.inMemory({ masterKey: key });
  assert.throws(() => new InMemoryEventStore({ events: events as EventDefinitions }), InvalidArgumentError);
  for (
    const personal of [
      {},
      { fields: [] },
      { fields: [""] },
      { fields: ["a..b"] },
      { fields: [7] },
      { fields: ["a", "a"] },
      { fields: ["a", "a.b"] },
      { fields: ["a"], person: "a" },
      { fields: ["a"], person: "a.b" },
      { fields: ["a"], persn: "b" },
      [{ fields: ["a"] }, { fields: ["a"], person: "b" }],
    ]
  ) {
    const definitions = { E: { personal } } as unknown as EventDefinitions;
    assert.throws(
      () => new InMemoryEventStore({ vault, events: definitions }),
      InvalidArgumentError,
      JSON.stringify(personal),
    );
  }
  assert.throws(() => new InMemoryEventStore({ vault: {} as Vault }), InvalidArgumentError);
  new InMemoryEventStore({ vault });
});

Deno.test("types: only fields that exist and can be Forgotten are marked as personal", () => {
  const registered = (definition: EventDefinitions<Any>): unknown => definition;
  registered({ Registered: { personal: { fields: ["name", "address.street"] } } });
  registered({ Sent: { personal: { fields: ["text"], person: "from" } } });
  // @ts-expect-error: there is no such field
  registered({ Registered: { personal: { fields: ["nam"] } } });
  // @ts-expect-error: there is no such field inside
  registered({ Registered: { personal: { fields: ["address.stret"] } } });
  // @ts-expect-error: its type does not admit Forgotten
  registered({ Registered: { personal: { fields: ["plan"] } } });
  // @ts-expect-error: no field has the id of a person under this name
  registered({ Sent: { personal: { fields: ["text"], person: "sender" } } });
  // @ts-expect-error: there is no such type of event
  registered({ Regisered: { personal: { fields: ["name"] } } });

  interface Tree {
    readonly name: string | Forgotten;
    readonly left?: Tree;
    readonly items: readonly Tree[];
  }
  type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
  const recursive = (definition: EventDefinitions<Event<"Grown", Tree> | Event<"Noted", Json>>): unknown =>
    definition;
  recursive({
    Grown: { personal: { fields: ["name", "left.name", "left.left.name"] } },
    Noted: { version: 1 },
  });
});
