/** Values and keys that the store did not write, under its own keys: they are damage, and nothing else is read from them. */

import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { DamagedHistoryError, DenoKvEventStore, StoreOpenError } from "@flowmade-one/aether/deno-kv";
import { assertConsistent, within } from "../../support/consistent_store.ts";
import {
  bodyOf,
  incompressible,
  logIdOf,
  nextCommitKey,
  sealed,
  withField,
} from "../../support/kv_forgery.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

const TIME = "1767225600000";
const EVENT = `[["x"],"Forged",${TIME},1]`;
const deep = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
const withData = (data: string): string => EVENT.replace(",1]", `,${data}]`);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const QUESTION = "?".charCodeAt(0);

/** Zeros, deflated: a thousand times as much comes out of them. */
const BOMB = deflateRawSync(new Uint8Array(62_000_000), { level: 9 });

/** An actor's part as it is in a sound commit, but for the fields that are given; `undefined` leaves one out. */
function part(fields: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ commit: "forged", previous: 0, events: [JSON.parse(EVENT)], ...fields });
}

/** A part whose events are this text. */
function withEvents(events: string): string {
  return `{"commit":"forged","previous":0,"events":${events}}`;
}

/** Parts of commits as they are stored both under the actor's key and in the log. */
const PARTS: Readonly<Record<string, string>> = {
  "no commit id": part({ commit: undefined }),
  "a commit id that is a number": part({ commit: 5 }),
  "no version before": part({ previous: undefined }),
  "a version before that is no integer": part({ previous: 0.5 }),
  "a version before above 2^53": part({ previous: 2 ** 53 }),
  "a negative version before": part({ previous: -1 }),
  "a version before that is a text": part({ previous: "0" }),
  "a version before that is a list": part({ previous: [] }),
  "a version before that is null": part({ previous: null }),
  "a commit before at the beginning": part({ prior: "1" }),
  "a token that is no integer": part({ fence: 1.5 }),
  "a token above 2^53": part({ fence: 2 ** 53 }),
  "a negative token": part({ fence: -1 }),
  "a token that is a text": part({ fence: "1" }),
  "an offset that is no integer": part({ offset: 0.5 }),
  "a negative offset": part({ offset: -1 }),
  "an offset of 65,536": part({ offset: 65_536 }),
  "an offset of 2^53 - 1": part({ offset: Number.MAX_SAFE_INTEGER }),
  "an offset that is a text": part({ offset: "0" }),
  "versions that are a text": part({ versions: "1" }),
  "versions that are null": part({ versions: null }),
  "more versions than events": part({ versions: [1, 2] }),
  "no versions": part({ versions: [] }),
  "a version that is no integer": part({ versions: [1.5] }),
  "a version that is a text": part({ versions: ["1"] }),
  "a version of 0": part({ versions: [0] }),
  "a version above 2^53": part({ versions: [2 ** 53] }),
  "versions that fall": part({ versions: [5, 4], events: [JSON.parse(EVENT), JSON.parse(EVENT)] }),
  "a version twice": part({ versions: [5, 5], events: [JSON.parse(EVENT), JSON.parse(EVENT)] }),
  "30,001 versions of no event": withEvents("[]").replace("}", `,"versions":[${"1,".repeat(30_000)}1]}`),
  "events that are no list": withEvents(`{"0":${EVENT},"length":1}`),
  "events that are a number": withEvents("5"),
  "events that are null": withEvents("null"),
  "events that are a text": withEvents('""'),
  "a list of null": withEvents("[null]"),
  "an event that is an object": withEvents(
    '[{"id":"x","eventType":"Forged","timestamp":"2026-01-01T00:00:00.000Z","data":1}]',
  ),
  "an event without an id": withEvents(`[${EVENT.replace('"x"', "")}]`),
  "an event with an empty id": withEvents(`[${EVENT.replace('"x"', '""')}]`),
  "an event with two ids": withEvents(`[${EVENT.replace('"x"', '"x","y"')}]`),
  "an event whose id is a number": withEvents(`[${EVENT.replace('["x"]', "5")}]`),
  "an event whose id is cut": withEvents(`[${EVENT.replace('["x"]', '"AAAA"')}]`),
  "an event whose id is no base64": withEvents(`[${EVENT.replace('["x"]', `"${"!".repeat(22)}"`)}]`),
  "an event whose id is not ASCII": withEvents(`[${EVENT.replace('["x"]', `"${"\u00e9".repeat(22)}"`)}]`),
  "an event without a type": withEvents(`[${EVENT.replace('"Forged"', "null")}]`),
  "an event with a timestamp that is no integer": withEvents(`[${EVENT.replace(TIME, `${TIME}.5`)}]`),
  "an event without a timestamp": withEvents(`[${EVENT.replace(TIME, "null")}]`),
  "an event of a year that is none": withEvents(`[${EVENT.replace(TIME, "9e15")}]`),
  "an event of a day alone": withEvents(`[${EVENT.replace(TIME, '"2026-01-01"')}]`),
  "an event without data": withEvents(`[${EVENT.replace(",1]", "]")}]`),
  "metadata that is a list": withEvents(`[${EVENT.replace(",1]", ",1,[1]]")}]`),
  "metadata that is null": withEvents(`[${EVENT.replace(",1]", ",1,null]")}]`),
  "a schema version of 0": withEvents(`[${EVENT.replace(",1]", ",1,null,0]")}]`),
  "data that is nested 10,000 levels deep": withEvents(`[${withData(deep(10_000))}]`),
  "data that is nested 1,001 levels deep": withEvents(`[${withData(deep(1_001))}]`),
};

/** Values under an actor's key alone. */
const VALUES: Readonly<Record<string, (logId: string) => unknown>> = {
  "a number": () => 5,
  "a text": () => "hello",
  "null": () => null,
  "undefined": () => undefined,
  "an object": () => ({ commit: "forged", previous: 0, events: [] }),
  "a list": () => [1],
  "a Map": () => new Map([[1, 2]]),
  "a Date": () => new Date(0),
  "a counter": () => new Deno.KvU64(5n),
  "a bigint": () => 5n,
  "an ArrayBuffer": () => new ArrayBuffer(20),
  "other typed bytes": () => new Uint16Array(20),
  "no bytes": () => new Uint8Array(),
  "a few bytes": () => bytes("1000"),
  "a head alone": () => bytes("100000000000"),
  "plain JSON": () => bytes(part()),
  "another format": (logId) => sealed(logId, part(), "000", "3"),
  "a body that cannot be inflated": (logId) => sealed(logId, part(), "000", "2"),
  "a deflated body that is cut": (logId) =>
    sealed(logId, deflateRawSync(bytes(part())).subarray(0, 20), "000", "2"),
  "60,000 bytes that inflate to 62 million": (logId) => sealed(logId, BOMB, "000", "2"),
  "a checksum of another log": () => sealed("0123456789ab", part()),
  "999 chunks": (logId) => sealed(logId, part(), "999"),
  "a chunk that is missing": (logId) => sealed(logId, part(), "001"),
  "a number of chunks that is none": (logId) => sealed(logId, part(), "x-y"),
  "a body that is no JSON": (logId) => sealed(logId, "not JSON"),
  "an empty body": (logId) => sealed(logId, ""),
  "a body that is null": (logId) => sealed(logId, "null"),
  "a body that is a list": (logId) => sealed(logId, "[]"),
  "a body that is a number": (logId) => sealed(logId, "5"),
  "a list that is nested 30,000 levels deep": (logId) => sealed(logId, deep(30_000)),
  "bytes that are not UTF-8": (logId) =>
    sealed(
      logId,
      bytes(part({ events: [JSON.parse(withData('"?"'))] })).map((byte) => byte === QUESTION ? 0xff : byte),
    ),
  "a commit of another key": (logId) => sealed(logId, part({ previous: 4, prior: "1" })),
  "a commit that follows none": (logId) => sealed(logId, part({ previous: 0, prior: "zz" })),
  "a takeOver of another key": (logId) => sealed(logId, part({ previous: 7, fence: 1, events: [] })),
};

/** Keys among those of an actor's records, by what follows the actor's id. */
const KEYS_BETWEEN: Readonly<Record<string, Deno.KvKey>> = {
  "a version that is no integer": [1.5],
  "a version above 2^53": [1e300],
  "more than a version": [1, "x"],
  "more than a version, twice": [1, 2],
};

/** Keys before and after those of an actor's records. */
const KEYS_OUTSIDE: Readonly<Record<string, Deno.KvKey>> = {
  "no version": [],
  "a version of 0": [0],
  "a negative version": [-3],
  "a version that is no number": [NaN],
  "an infinite version": [Infinity],
  "a version of -Infinity": [-Infinity],
  "a version that is a text": ["1"],
  "a version that is a bigint": [1n],
  "a version of bytes": [new Uint8Array([1])],
  "a text below a text": ["1", "x"],
  "a version that is true": [true],
  "more than a version that is true": [true, true],
};

const opened = (kv: Deno.Kv): Promise<DenoKvEventStore> => DenoKvEventStore.open(kv, { pollInterval: 10 });

/** Each way to read or write an actor ends with damage; what can go around it does. */
async function assertActorDamaged(store: DenoKvEventStore, name: string): Promise<void> {
  const calls = {
    getEvents: () => store.getEvents(name),
    getLatestVersion: () => store.getLatestVersion(name),
    append: () => store.append(name, [event(1)], { expectedVersion: "any" }),
    "append to a new actor": () => store.append(name, [event(1)], { expectedVersion: 0 }),
    takeOver: () => store.takeOver(name, 5),
    readEvents: () => Array.fromAsync(store.readEvents(name)),
    "readEvents backward": () => Array.fromAsync(store.readEvents(name, { direction: "backward" })),
    listActors: () => Array.fromAsync(store.listActors({ actorPrefix: name })),
    "an append that depends on it": () =>
      store.append("after", [event(1)], {
        expectedVersion: "any",
        conditions: [{ actorId: name, version: 0 }],
      }),
  };
  for (const [call, run] of Object.entries(calls)) {
    await assert.rejects(run(), (error) => {
      assert(error instanceof DamagedHistoryError, `${call} of ${name}: ${error}`);
      assert.equal(error.actorId, name, call);
      return true;
    }, `${call} of ${name}`);
  }
  for (const direction of ["forward", "backward"] as const) {
    const faults: unknown[] = [];
    const read = store.readEvents(name, { direction, onDamage: (fault) => faults.push(fault) });
    assert.deepEqual(await Array.fromAsync(read), [], name);
    assert(faults.length > 0, name);
  }
}

Deno.test("a part of a commit with a forged field is damage to each read and append, which onDamage can skip", async () => {
  using kv = await Deno.openKv(":memory:");
  await using store = await opened(kv);
  const first = await store.append("before", [event(1), event(2)], { expectedVersion: 0 });
  const logId = await logIdOf(kv);
  const names = Object.keys(PARTS);
  for (const [name, text] of Object.entries(PARTS)) {
    const logged = sealed(logId, `[${text.replace("{", `{"actor":${JSON.stringify(name)},`)}]`);
    const key = ["aether", "default", "event", name, 1];
    await kv.atomic().set(key, sealed(logId, text)).set(nextCommitKey(kv), logged).commit();
  }
  const last = await store.append("after", [event(3)], { expectedVersion: 0 });

  await using reader = await opened(kv);
  for (const direction of ["forward", "backward"] as const) {
    const faults: DamagedHistoryError[] = [];
    const onDamage = (fault: unknown): void => void faults.push(fault as DamagedHistoryError);
    const events = await Array.fromAsync(reader.readAll({ onDamage, direction }));
    const sound = [...first, ...last];
    assert.deepEqual(events, direction === "forward" ? sound : sound.toReversed());
    assert.equal(faults.length, names.length);
    for (const fault of faults) assert(fault instanceof DamagedHistoryError);
    await assert.rejects(Array.fromAsync(reader.readAll({ direction })), DamagedHistoryError);
  }
  await assert.rejects(Array.fromAsync(reader.subscribe()), DamagedHistoryError);
  assert.equal(await reader.getLastPosition(), last[0]!.position);
  const report = await reader.verify();
  assert.equal(report.events, 3);
  assert.equal(report.faults.every((fault) => fault instanceof DamagedHistoryError), true);
  assert.deepEqual(new Set(report.faults.map(({ actorId }) => actorId ?? names[0])), new Set(names));
  for (const name of names) await assertActorDamaged(reader, name);
});

Deno.test("a foreign value under an actor's key is damage, and other actors are read and written as before", async () => {
  using kv = await Deno.openKv(":memory:");
  await using store = await opened(kv);
  await store.append("before", [event(1)], { expectedVersion: 0 });
  const logId = await logIdOf(kv);
  for (const [name, value] of Object.entries(VALUES)) {
    await kv.set(["aether", "default", "event", name, 1], value(logId));
  }
  await using reader = await opened(kv);
  for (const name of Object.keys(VALUES)) await assertActorDamaged(reader, name);
  await reader.append("before", [event(2)], { expectedVersion: 1 });
  await store.append("after", [event(3)], { expectedVersion: 0 });
  assert.equal((await Array.fromAsync(reader.readAll())).length, 3, "the log is whole");
  assert.deepEqual(await Array.fromAsync(reader.listActors({ actorPrefix: "before" })), [
    { actorId: "before", latestVersion: 2 },
  ]);
  const { faults, events, actors } = await reader.verify();
  assert.deepEqual([faults.length, events, actors], [Object.keys(VALUES).length, 3, 2]);
});

Deno.test("a foreign key among those of an actor is damage, and one outside of them is not read", async () => {
  using kv = await Deno.openKv(":memory:");
  await using store = await opened(kv);
  const logId = await logIdOf(kv);
  for (const [name, rest] of [...Object.entries(KEYS_BETWEEN), ...Object.entries(KEYS_OUTSIDE)]) {
    await kv.set(["aether", "default", "event", name, ...rest], sealed(logId, part()));
  }
  for (const name of Object.keys(KEYS_BETWEEN)) await assertActorDamaged(store, name);
  for (const name of Object.keys(KEYS_OUTSIDE)) {
    assert.deepEqual([await store.getLatestVersion(name), await store.getEvents(name)], [0, []], name);
    assert.equal((await store.append(name, [event(1)], { expectedVersion: 0 }))[0]!.version, 1);
    const listed = await Array.fromAsync(store.listActors({ actorPrefix: name }));
    assert.deepEqual(listed[0], { actorId: name, latestVersion: 1 });
  }
  const { faults, actors } = await store.verify();
  const foreign = Object.keys(KEYS_BETWEEN).length + Object.keys(KEYS_OUTSIDE).length;
  assert.deepEqual([faults.length, actors], [foreign, Object.keys(KEYS_OUTSIDE).length]);
});

Deno.test("no foreign key makes an actor, and none keeps listActors from its end", async () => {
  using kv = await Deno.openKv(":memory:");
  await using store = await opened(kv);
  const logId = await logIdOf(kv);
  await store.append("before", [event(1)], { expectedVersion: 0 });
  const keys: readonly Deno.KvKey[] = [
    [],
    [new Uint8Array([1]), 1],
    ["", 1],
    ["m"],
    ["n", 1, "x", 2, "y"],
    ["x".repeat(600), 1],
    ["x".repeat(1_980), 1],
    [5, 1],
    [-Infinity, 1],
    [true],
  ];
  for (const rest of keys) await kv.set(["aether", "default", "event", ...rest], sealed(logId, part()));
  await store.append("zzz", [event(1)], { expectedVersion: 0 });
  const list = (actorPrefix: string): Promise<unknown[]> =>
    Array.fromAsync(store.listActors({ actorPrefix }));
  await assert.rejects(list(""), DamagedHistoryError); // "n" has a record that cannot be read
  await assert.rejects(list("n"), DamagedHistoryError);
  await kv.delete(["aether", "default", "event", "n", 1, "x", 2, "y"]);
  const expected = ["before", "zzz"].map((actorId) => ({ actorId, latestVersion: 1 }));
  assert.deepEqual(await list(""), expected);
  assert.deepEqual(await list("x"), []);
  const { faults, actors } = await store.verify();
  assert.deepEqual([faults.length, actors], [keys.length - 1, 2]);
});

/** Records of the log; the actor `before` is whole. */
const LOGGED: Readonly<Record<string, (logId: string) => unknown>> = {
  "a number": () => 5,
  "null": () => null,
  "a few bytes": () => bytes("1000"),
  "another format": (logId) => sealed(logId, "[]", "000", "3"),
  "a list that cannot be inflated": (logId) => sealed(logId, "[]", "000", "2"),
  "no list": (logId) => sealed(logId, part({ actor: "a" })),
  "no parts": (logId) => sealed(logId, "[]"),
  "a part that is null": (logId) => sealed(logId, "[null]"),
  "a part without an actor": (logId) => sealed(logId, `[${part()}]`),
  "an actor that is a number": (logId) => sealed(logId, `[${part({ actor: 5 })}]`),
  "an empty actor id": (logId) => sealed(logId, `[${part({ actor: "" })}]`),
  "an actor id of 3,000 bytes": (logId) => sealed(logId, `[${part({ actor: "x".repeat(3_000) })}]`),
  "an actor id with half a character": (logId) => sealed(logId, `[${part({ actor: "\ud800" })}]`),
  "a part without events": (logId) => sealed(logId, `[${part({ actor: "a", events: [] })}]`),
  "a part whose events are 0": (logId) => sealed(logId, `[${part({ actor: "a", events: 0 })}]`),
  "a part that is named and not there": (logId) =>
    sealed(logId, `[${part({ actor: "a", events: undefined })}]`),
  "a part that is named a thousand times": (logId) =>
    sealed(logId, `[${Array(1_000).fill(part({ actor: "before", events: undefined })).join(",")}]`),
  "a named part of an actor id of 3,000 bytes": (logId) =>
    sealed(logId, `[${part({ actor: "x".repeat(3_000), events: undefined })}]`),
  "a named part of version 2^53": (logId) =>
    sealed(logId, `[${part({ actor: "a", events: undefined, previous: 2 ** 53 })}]`),
  "an offset that leaves places out": (logId) => sealed(logId, `[${part({ actor: "a", offset: 3 })}]`),
  "two parts at one place": (logId) => sealed(logId, `[${part({ actor: "a" })},${part({ actor: "b" })}]`),
  "a commit before that is no place": (logId) =>
    sealed(logId, `[${part({ actor: "before", previous: 1, prior: "x".repeat(3_000) })}]`),
  "a commit before that is a number": (logId) =>
    sealed(logId, `[${part({ actor: "before", previous: 1, prior: 5 })}]`),
  "a commit before that comes later": (logId) =>
    sealed(logId, `[${part({ actor: "before", previous: 1, prior: "f".repeat(20) })}]`),
  "no commit before": (logId) => sealed(logId, `[${part({ actor: "before", previous: 1 })}]`),
};

Deno.test("a forged record of the log is damage to reads of the log alone, which onDamage can skip", async () => {
  for (const [name, value] of Object.entries(LOGGED)) {
    using kv = await Deno.openKv(":memory:");
    await using store = await opened(kv);
    const [first] = await store.append("before", [event(1)], { expectedVersion: 0 });
    await kv.atomic().set(nextCommitKey(kv), value(await logIdOf(kv))).commit();
    await using reader = await opened(kv);
    await assert.rejects(reader.getLastPosition(), DamagedHistoryError, name);
    await assert.rejects(reader.subscribe({ after: "end" }).ready, DamagedHistoryError, name);
    const [last] = await reader.append("after", [event(2)], { expectedVersion: 0 });
    assert.equal(await reader.getLastPosition(), last!.position);
    for (const direction of ["forward", "backward"] as const) {
      for (const after of [undefined, first!.position]) {
        const place = after === undefined ? { direction } : { direction, after };
        const faults: unknown[] = [];
        const events = await Array.fromAsync(reader.readAll({ ...place, onDamage: (at) => faults.push(at) }));
        const sound = after === undefined ? [first, last] : [last];
        const own = events.filter(({ eventType }) => eventType === "Happened");
        assert.deepEqual(own, direction === "forward" ? sound : sound.toReversed(), name);
        assert(faults.length > 0, name);
        for (const limited of [place, { ...place, limit: 1_000 }]) {
          await assert.rejects(Array.fromAsync(reader.readAll(limited)), DamagedHistoryError, name);
        }
      }
    }
    await assert.rejects(Array.fromAsync(reader.subscribe()), DamagedHistoryError, name);
    await assert.rejects(
      Array.fromAsync(reader.subscribe({ after: first!.position })),
      DamagedHistoryError,
      name,
    );
    assert.equal((await reader.getEvents("before")).length, 1, name);
    assert.equal((await reader.verify()).ok, false, name);
  }
});

Deno.test("a foreign key in the log is damage, and one before or after the log is not read", async () => {
  const keys: readonly Deno.KvKey[] = [
    [""],
    ["0"],
    ["zzz"],
    ["0".repeat(20)],
    ["F".repeat(20)],
    ["f".repeat(20)],
    ["f".repeat(1_900)],
    ["0".repeat(20), "x"],
    ["f".repeat(20), 1],
  ];
  for (const rest of keys) {
    using kv = await Deno.openKv(":memory:");
    await using store = await opened(kv);
    const [first] = await store.append("a", [event(1)], { expectedVersion: 0 });
    for (const outside of [[], [new Uint8Array([1])], [1], [-Infinity], [true]]) {
      await kv.set(["aether", "default", "commit", ...outside], 1);
    }
    assert.equal((await store.verify()).ok, true);
    assert.equal(await store.getLastPosition(), first!.position);
    const { value } = (await Array.fromAsync(kv.list({ prefix: ["aether", "default", "commit"] })))[0]!;
    await kv.set(["aether", "default", "commit", ...rest], value);
    const [second] = await store.append("a", [event(2)], { expectedVersion: 1 });
    await using reader = await opened(kv);
    const name = Deno.inspect(rest);
    const faults: DamagedHistoryError[] = [];
    const onDamage = (fault: unknown): void => void faults.push(fault as DamagedHistoryError);
    for (const direction of ["forward", "backward"] as const) {
      const events = await Array.fromAsync(reader.readAll({ onDamage, direction }));
      assert.deepEqual(events, direction === "forward" ? [first, second] : [second, first], name);
      await assert.rejects(Array.fromAsync(reader.readAll({ direction })), DamagedHistoryError, name);
    }
    assert.equal(faults.length, 2, name);
    for (const { position } of faults) assert.match(position ?? "", /^([0-9a-f]{12}-[0-9a-f]{30})?$/);
    await assert.rejects(Array.fromAsync(reader.subscribe()), DamagedHistoryError, name);
    const last = await reader.getLastPosition().catch((error) => error);
    assert(last === second!.position || last instanceof DamagedHistoryError, name);
    assert.equal((await reader.verify()).ok, false, name);
  }
});

Deno.test("a snapshot that the store did not write is ignored with a warning, and replaced by the next one", async () => {
  const state =
    '{"actorId":"a","kind":"k","schemaVersion":1,"version":1,"state":1,"timestamp":"2026-01-01T00:00:00.000Z"}';
  const values: Readonly<Record<string, (logId: string) => unknown>> = {
    ...VALUES,
    "a snapshot of another actor": (logId) => sealed(logId, state.replace('"a"', '"b"')),
    "a snapshot of another kind": (logId) => sealed(logId, state.replace('"k"', '"l"')),
    "a snapshot of version 1.5": (logId) => sealed(logId, state.replace('"version":1', '"version":1.5')),
    "a snapshot of version 0": (logId) => sealed(logId, state.replace('"version":1', '"version":0')),
    "a snapshot of no schema version": (logId) => sealed(logId, state.replace('"schemaVersion":1,', "")),
    "a snapshot without a state": (logId) => sealed(logId, state.replace('"state":1,', "")),
    "a state that is nested 10,000 levels deep": (logId) =>
      sealed(logId, state.replace('"state":1', `"state":${deep(10_000)}`)),
    "a position that is a number": (logId) => sealed(logId, state.replace('"state"', '"position":5,"state"')),
    "a timestamp that is a number": (logId) =>
      sealed(logId, state.replace('"2026-01-01T00:00:00.000Z"', "5")),
  };
  using kv = await Deno.openKv(":memory:");
  const warnings: string[] = [];
  await using store = await DenoKvEventStore.open(kv, { onWarning: ({ code }) => warnings.push(code) });
  await store.append("a", [event(1)], { expectedVersion: 0 });
  const logId = await logIdOf(kv);
  for (const [name, value] of Object.entries(values)) {
    await kv.set(["aether", "default", "snapshot", "a", "k"], value(logId));
    warnings.length = 0;
    assert.equal(await store.getLatestSnapshot("a", "k"), undefined, name);
    assert.deepEqual(warnings, ["snapshot-ignored"], name);
    await store.saveSnapshot({ actorId: "a", kind: "k", schemaVersion: 1, version: 1, state: name });
    assert.equal((await store.getLatestSnapshot("a", "k"))?.state, name);
  }
});

Deno.test("a record of the log's id that is none is refused by open() with what to do", async () => {
  const cyclic: Record<string, unknown> = { format: 2 };
  cyclic["self"] = cyclic;
  const values = [
    null,
    undefined,
    0,
    5,
    "",
    "text",
    5n,
    [],
    {},
    new Map(),
    new Uint8Array(3),
    new Deno.KvU64(1n),
    cyclic,
    { format: 5n, id: "0123456789ab" },
    { format: cyclic, id: "0123456789ab" },
    { format: 1, id: "0123456789ab" },
    { format: 3, id: "0123456789ab" },
    { format: 2 },
    { format: 2, id: "" },
    { format: 2, id: 5 },
    { format: 2, id: "0123456789aB" },
    { format: 2, id: "0123456789abc" },
    { format: 2, id: "x".repeat(60_000) },
  ];
  for (const value of values) {
    using kv = await Deno.openKv(":memory:");
    await kv.set(["aether", "default", "log"], value);
    await assert.rejects(opened(kv), (error) => {
      assert(error instanceof StoreOpenError, `${Deno.inspect(value)}: ${error}`);
      assert(error.message.length < 1_000);
      assert.match(error.message, /open|delete/i);
      return true;
    });
  }
});

Deno.test("an append to an actor whose key holds a foreign value names the key and what to do, and works again after that", async () => {
  using kv = await Deno.openKv(":memory:");
  await using warm = await opened(kv);
  await warm.append("a", [event(1)], { expectedVersion: 0 });
  const key = ["aether", "default", "event", "a", 2];
  await kv.set(key, { theirs: true });
  await using cold = await opened(kv);
  for (const store of [warm, cold]) {
    for (const expectedVersion of [1, "any"] as const) {
      await assert.rejects(store.append("a", [event(2)], { expectedVersion }), (error) => {
        assert(error instanceof DamagedHistoryError);
        assert.deepEqual([error.actorId, error.version], ["a", 2]);
        assert.match(error.message, /\["aether","default","event","a",2\]/);
        assert.match(error.message, /delete the key/);
        return true;
      });
    }
    assert.deepEqual((await Array.fromAsync(store.readEvents("a", { onDamage(): void {} }))).length, 1);
  }
  await kv.delete(key);
  for (const [index, store] of [warm, cold].entries()) {
    const [stored] = await store.append("a", [event(2)], { expectedVersion: 1 + index });
    assert.equal(stored!.version, 2 + index);
  }
  assert.equal((await warm.verify()).ok, true);
});

/** Values that stand in for a field of a record. */
const REPLACEMENTS: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  1,
  -1,
  0.5,
  3,
  2 ** 53,
  1e300,
  "",
  "x",
  "\ud800",
  "f".repeat(20),
  "9".repeat(3_000),
  [],
  [1],
  {},
  [null],
  JSON.parse(deep(1_200)),
  JSON.parse(EVENT),
  [JSON.parse(EVENT)],
  Array(1_500).fill(1),
];

/** A change to one value: of a field, chosen by number, or of bytes. */
interface Change {
  readonly record: number;
  readonly field: number;
  readonly value: number;
  readonly bytes: { readonly at: number; readonly removed: number; readonly added: Uint8Array } | null;
  readonly chunks: string | null;
}

const change: fc.Arbitrary<Change> = fc.record({
  record: fc.nat(30),
  field: fc.nat(60),
  value: fc.nat(REPLACEMENTS.length - 1),
  bytes: fc.option(
    fc.record({ at: fc.nat(300), removed: fc.nat(8), added: fc.uint8Array({ maxLength: 8 }) }),
    { freq: 4 },
  ),
  chunks: fc.option(fc.constantFrom("000", "001", "002", "017", "999", "  1", "zz9"), { freq: 8 }),
});

/** What an atomic operation of the store has stored: keys below the namespace, and values. */
type Operation = readonly (readonly [key: Deno.KvKey, value: unknown])[];

/** A database of two actors, a takeOver, commits of both, one whose events the log only names, and a snapshot, as the operations that stored it. */
async function recorded(): Promise<{ logId: string; operations: readonly Operation[] }> {
  using kv = await Deno.openKv(":memory:");
  await using store = await opened(kv);
  await store.append("a", [event(1), event(2)], { expectedVersion: 0 });
  await store.takeOver("b", 1);
  await store.saveEvents([
    { actorId: "a", version: 4, ...event({ nested: [1, "\u20ac"] }), metadata: { userId: "ada" } },
    { actorId: "b", version: 1, ...event(1) },
  ], { unfenced: true });
  await store.append("a", [event(incompressible(20_000))], { expectedVersion: 4 });
  await store.takeOver("a", 3);
  await Promise.all(["c", "d"].map((actorId) => store.append(actorId, [event(1)], { expectedVersion: 0 })));
  await store.saveSnapshot({ actorId: "a", kind: "k", schemaVersion: 1, version: 4, state: [1, { two: 2 }] });
  const entries = await Array.fromAsync(kv.list({ prefix: ["aether", "default"] }));
  const stamps = [...new Set(entries.map(({ versionstamp }) => versionstamp))].sort();
  const operations = stamps.map((stamp) =>
    entries.filter(({ versionstamp }) => versionstamp === stamp).map(({ key, value }) =>
      [key, value] as const
    )
  );
  return { logId: await logIdOf(kv), operations };
}

/** Stores the operations again, with some values changed; what names other commits names them where they are now. */
async function storeAgain(
  kv: Deno.Kv,
  logId: string,
  operations: readonly Operation[],
  changes: readonly Change[],
): Promise<void> {
  const records = operations.flat().filter(([key]) =>
    ["event", "commit", "snapshot"].includes(key[2] as string)
  );
  const chosen = changes.map((each) => ({ ...each, of: records[each.record % records.length] }));
  const stamps = new Map<string, string>();
  for (const operation of operations) {
    let atomic = kv.atomic();
    let stamp: string | undefined;
    for (const record of operation) {
      const [key, value] = record;
      if (key[2] === "commit") stamp = key[3] as string;
      const target = key[2] === "commit" ? nextCommitKey(kv) : key;
      if (!(value instanceof Uint8Array) || !records.includes(record)) {
        atomic = atomic.set(target, value);
        continue;
      }
      let body: string | Uint8Array = bodyOf(value).replaceAll(
        /"prior":"(\w+)"/g,
        (_, prior) => `"prior":"${stamps.get(prior.padStart(20, "0"))!.replace(/^0+/, "")}"`,
      );
      let chunks = "000";
      const own = chosen.filter(({ of }) => of === record);
      for (const { field, value, bytes: edit, chunks: others } of own) {
        if (!edit && typeof body === "string" && body !== "") {
          body = withField(body, field, REPLACEMENTS[value]);
        } else if (edit) {
          const text: Uint8Array = typeof body === "string" ? bytes(body) : body;
          const at = Math.min(edit.at, text.length);
          body = new Uint8Array([
            ...text.subarray(0, at),
            ...edit.added,
            ...text.subarray(at + edit.removed),
          ]);
        }
        chunks = others ?? chunks;
      }
      atomic = atomic.set(target, sealed(logId, body, chunks));
    }
    const result = await atomic.commit();
    assert(result.ok);
    if (stamp !== undefined) stamps.set(stamp, result.versionstamp);
  }
}

Deno.test("if any values that the store wrote are changed, each call ends with damage or with an answer that fits the others", async () => {
  const { logId, operations } = await recorded();
  const outcomes = { whole: 0, damaged: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 3 }), async (changes) => {
      using kv = await Deno.openKv(":memory:");
      await storeAgain(kv, logId, operations, changes);
      await using store = await DenoKvEventStore.open(kv, { onWarning(): void {} });
      outcomes[(await store.verify()).ok ? "whole" : "damaged"]++;
      if (changes.length === 0) assert.equal((await store.verify()).ok, true);
      await within(10_000, assertConsistent(store, ["a", "b", "c", "d"]));
    }),
    { numRuns: 100 },
  );
  assert(outcomes.whole > 0 && outcomes.damaged > 30, JSON.stringify(outcomes));
});
