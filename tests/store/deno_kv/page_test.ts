/** What a page of the log costs: the records that are read for it, however many events a commit has. */

import assert from "node:assert/strict";
import { DenoKvEventStore } from "../../../mod.ts";
import { kvFolder } from "../../support/kv_file.ts";

/** Counts the entries that a database hands out. */
function counting(kv: Deno.Kv): { entries: number } {
  const counted = { entries: 0 };
  const list = kv.list.bind(kv);
  kv.list = <T>(selector: Deno.KvListSelector, options?: Deno.KvListOptions): Deno.KvListIterator<T> => {
    const entries = list<T>(selector, options);
    const next = entries.next.bind(entries);
    entries.next = async (): Promise<IteratorResult<Deno.KvEntry<T>, undefined>> => {
      const result = await next();
      if (!result.done) counted.entries++;
      return result;
    };
    return entries;
  };
  return counted;
}

for (const commit of [1, 10, 100]) {
  Deno.test(`a page of 100 events reads not many more, in commits of ${commit}`, async () => {
    await using folder = await kvFolder();
    using kv = await Deno.openKv(folder.file);
    await using store = await DenoKvEventStore.open(kv);
    for (let begin = 0; begin < 20_000 && begin < 400 * commit; begin += commit) {
      const events = Array.from({ length: commit }, (_, index) => (
        { eventType: index % 10 === 0 ? "Rare" : "Often", data: begin + index }
      ));
      await store.append(`order-${begin / commit % 7}`, events, { expectedVersion: "any" });
    }
    const positions = await Array.fromAsync(store.readAll({ limit: 250 }), ({ position }) => position);
    const actor = await Array.fromAsync(store.readEvents("order-3", { limit: 30 }));
    assert.deepEqual(
      actor.map(({ version }) => version),
      Array.from({ length: 30 }, (_, index) => index + 1),
    );
    const counted = counting(kv);
    for (const direction of ["forward", "backward"] as const) {
      for (const after of [positions[3]!, positions[249]!]) {
        counted.entries = 0;
        const page = await Array.fromAsync(store.readAll({ after, limit: 100, direction }));
        assert.equal(page.length, 100);
        const most = 100 / commit + 40;
        assert.ok(counted.entries <= most, `${counted.entries} records of at most ${most}, ${direction}`);
      }
    }
    // A filter leaves most of them out, and the page is filled all the same.
    const rare = await Array.fromAsync(store.readAll({ eventTypes: ["Rare"], limit: 35 }));
    assert.deepEqual(
      rare.map(({ data }) => data),
      (await Array.fromAsync(store.readAll())).filter(({ eventType }) => eventType === "Rare").slice(0, 35)
        .map(({ data }) => data),
    );
  });
}

Deno.test("a page of 100 events decodes one or two commits of 1,000, and not all that are near it", async () => {
  await using folder = await kvFolder();
  await using store = await DenoKvEventStore.open(folder.file);
  const commits = 20;
  for (let begin = 0; begin < commits * 1_000; begin += 1_000) {
    const events = Array.from(
      { length: 1_000 },
      (_, index) => ({ eventType: "Ticked", data: begin + index }),
    );
    await store.append("clock", events, { expectedVersion: begin });
  }
  using decoded = decoding();
  const all = await Array.fromAsync(store.readAll());
  const commit = decoded.characters / commits;
  for (const direction of ["forward", "backward"] as const) {
    for (const after of [all[0]!, all[10_500]!]) {
      decoded.characters = 0;
      const place = direction === "forward" ? { after: after.position } : { until: all.at(-1)!.position };
      const page = await Array.fromAsync(store.readAll({ ...place, limit: 100, direction }));
      assert.equal(page.length, 100);
      assert.ok(decoded.characters < 2.5 * commit, `${decoded.characters / commit} commits, ${direction}`);
    }
  }
});

Deno.test("a read of the whole log has few large commits in memory at once", async () => {
  await using folder = await kvFolder();
  using kv = await Deno.openKv(folder.file);
  await using store = await DenoKvEventStore.open(kv);
  for (let version = 1; version <= 40; version++) {
    const data = crypto.getRandomValues(new Uint8Array(20_000)).toBase64();
    await store.append("order-1", [{ eventType: "Photographed", data }], { expectedVersion: "any" });
  }
  let read = 0;
  const getMany = kv.getMany.bind(kv);
  kv.getMany = ((keys: Deno.KvKey[], ...options: []) => {
    read += keys.length;
    return getMany(keys, ...options);
  }) as typeof kv.getMany;
  let seen = 0;
  for await (const _ of store.readAll()) {
    seen++;
    assert.ok(read <= seen + 10, `${read} commits were read for ${seen}`);
  }
  assert.equal(seen, 40);
});

Deno.test("a read of the whole log decodes little before its first event, in commits of 10, 100 and 1,000", async () => {
  for (const commit of [10, 100, 1_000]) {
    await using folder = await kvFolder();
    await using store = await DenoKvEventStore.open(folder.file);
    const events = Array.from({ length: commit }, (_, index) => ({ eventType: "Ticked", data: index }));
    for (let version = 0; version < 20_000; version += commit) {
      await store.append("clock", events, { expectedVersion: version });
    }
    using decoded = decoding();
    let first = 0;
    for await (const _ of store.readAll()) first ||= decoded.characters;
    assert.ok(first < decoded.characters / 4, `${first} of ${decoded.characters}, in commits of ${commit}`);
  }
});

/** Counts the characters of JSON that are decoded. */
function decoding(): Disposable & { characters: number } {
  const { parse } = JSON;
  const counted = {
    characters: 0,
    [Symbol.dispose]: () => void (JSON.parse = parse),
  };
  JSON.parse = (text, reviver) => {
    counted.characters += text.length;
    return parse(text, reviver);
  };
  return counted;
}

Deno.test("a page reads few of the large commits that were stored by one operation", async () => {
  await using folder = await kvFolder();
  using kv = await Deno.openKv(folder.file);
  await using store = await DenoKvEventStore.open(kv);
  const events = Array.from({ length: 1_000 }, (_, index) => (
    {
      eventType: "Placed",
      data: { index, text: `some text ${Math.sin(index)} of an event that is not small` },
    }
  ));
  await Promise.all(
    Array.from({ length: 24 }, (_, index) => store.append(`order-${index}`, events, { expectedVersion: 0 })),
  );
  const all = await Array.fromAsync(store.readAll(), ({ position }) => position);
  const records = await Array.fromAsync(kv.list({ prefix: ["aether", "default", "commit"] }));
  assert.ok(records.length <= 12, `${records.length} operations: they are stored together`);
  let read = 0;
  const getMany = kv.getMany.bind(kv);
  kv.getMany = (keys: readonly Deno.KvKey[], options?: Parameters<typeof getMany>[1]) => {
    read += keys.filter(([, , kind]) => kind === "event").length;
    return getMany(keys as never, options) as never;
  };
  for (const direction of ["forward", "backward"] as const) {
    for (const place of [1, 999, 1_000, 4_321, 12_000, 23_850]) {
      read = 0;
      const where = direction === "forward" ? { after: all[place]! } : { until: all[place]! };
      const page = await Array.fromAsync(
        store.readAll({ ...where, limit: 100, direction }),
        ({ position }) => position,
      );
      const expected = direction === "forward"
        ? all.slice(place + 1, place + 101)
        : all.slice(Math.max(0, place - 99), place + 1).toReversed();
      assert.deepEqual(page, expected, `${direction} from ${place}`);
      assert.ok(read <= 3, `${read} commits, ${direction} from ${place}`);
    }
  }
});
