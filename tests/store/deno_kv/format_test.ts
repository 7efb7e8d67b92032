/** How events are stored: in few bytes, once or twice, and always as they were given. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { DamagedHistoryError, DenoKvEventStore, type HistoryFault, type StoredEvent } from "../../../mod.ts";
import { incompressible } from "../../support/kv_forgery.ts";
import { kvFolder } from "../../support/kv_file.ts";
import { kvBytes } from "../../support/kv_size.ts";

/** An event with 256 bytes of data that no compression makes shorter than three quarters. */
const event = (): { eventType: string; data: unknown } => ({
  eventType: "OrderPlaced",
  data: { note: incompressible(245) },
});

/** What a way to append needs for an event, in bytes. */
async function bytesPerEvent(fill: (store: DenoKvEventStore) => Promise<unknown>): Promise<number> {
  await using folder = await kvFolder();
  let events = 0;
  {
    await using store = await DenoKvEventStore.open(folder.file);
    await fill(store);
    events = (await store.verify()).events;
  }
  return kvBytes(folder.file) / events;
}

Deno.test("an event of 256 bytes takes less than 760 bytes of a file if many are appended at once, 890 if their actors are new, and 900 alone", async () => {
  const actors = Array.from({ length: 32 }, (_, index) => `order-${index}`);
  const bytes = {
    together: await bytesPerEvent(async (store) => {
      for (let version = 0; version < 40; version++) {
        await Promise.all(actors.map((id) => store.append(id, [event()], { expectedVersion: version })));
      }
    }),
    "to new actors": await bytesPerEvent(async (store) => {
      for (let group = 0; group < 40; group++) {
        await Promise.all(
          actors.map((id) => store.append(`${id}-${group}`, [event()], { expectedVersion: 0 })),
        );
      }
    }),
    alone: await bytesPerEvent(async (store) => {
      for (let version = 0; version < 20; version++) {
        for (const id of actors) await store.append(id, [event()], { expectedVersion: version });
      }
    }),
    "ten in a commit": await bytesPerEvent(async (store) => {
      for (let commit = 0; commit < 8; commit++) {
        for (const id of actors) {
          await store.append(id, Array.from({ length: 10 }, event), { expectedVersion: commit * 10 });
        }
      }
    }),
  };
  const most = { together: 760, "to new actors": 890, alone: 900, "ten in a commit": 650 };
  for (const [way, limit] of Object.entries(most)) {
    assert(bytes[way as keyof typeof bytes] < limit, JSON.stringify(bytes));
  }
});

Deno.test("ids, times, metadata and schema versions come back as they were given, in any form", async () => {
  using kv = await Deno.openKv(":memory:");
  await using store = await DenoKvEventStore.open(kv);
  const id = fc.oneof(
    fc.uuid(),
    fc.uuid().map((id) => id.toUpperCase()),
    fc.uuid().map((id) => id.replaceAll("-", "")),
    fc.string({ minLength: 22, maxLength: 22 }), // as many characters as a packed one has
    fc.string({ minLength: 1, maxLength: 60, unit: "binary" }),
    fc.constantFrom("1", "null", '["x"]', "\ufffd", "A".repeat(22)),
  ).filter((id) => id.isWellFormed() && !/\p{Cc}/u.test(id));
  const timestamp = fc.oneof(
    fc.date({ noInvalidDate: true, min: new Date(-62e12), max: new Date(253e12) }).map((date) =>
      date.toISOString()
    ),
    fc.constantFrom("2026-01-31T12:00:00.000Z", "1969-12-31T23:59:59.999Z"),
  );
  const given = fc.record({
    id,
    timestamp,
    metadata: fc.option(fc.constant({ correlationId: "c" }), { nil: undefined }),
  });
  let version = 0;
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(given, { selector: ({ id }) => id, minLength: 1, maxLength: 4 }),
      async (list) => {
        const events = list.filter(({ id }) => !seen.has(id)).map(({ metadata, ...fields }) => {
          seen.add(fields.id);
          return { ...fields, eventType: "Happened", data: [fields.id], ...(metadata && { metadata }) };
        });
        const saved = await store.append("a", events, { expectedVersion: "any" });
        await using other = await DenoKvEventStore.open(kv);
        const read = await other.getEvents("a", version + 1);
        assert.deepEqual(read, saved);
        assert.deepEqual(
          read.map(({ id, timestamp, metadata }) => ({ id, timestamp, metadata })),
          events.map(
            ({ id, timestamp, metadata }) => ({ id, timestamp, metadata }),
          ),
        );
        version += events.length;
      },
    ),
    { numRuns: 50 },
  );
  assert.deepEqual(await Array.fromAsync(store.readAll()), await store.getEvents("a"));
});

/** How many records of the log only name their parts. */
async function namedRecords(kv: Deno.Kv): Promise<number> {
  const records = await Array.fromAsync(kv.list<Uint8Array>({ prefix: ["aether", "default", "commit"] }));
  const text = ({ value }: { value: Uint8Array }): string => new TextDecoder().decode(value.subarray(12));
  return records.filter((record) => !text(record).includes("events")).length;
}

/** A log of commits that were stored alone: of some actors often, of others once, with takeOvers and gaps between. */
async function sparse(kv: Deno.Kv): Promise<StoredEvent[]> {
  await using store = await DenoKvEventStore.open(kv);
  const saved: StoredEvent[] = [];
  for (let round = 1; round <= 60; round++) {
    const actorId = `often-${round % 3}`;
    if (round % 10 === 0) await store.takeOver(actorId, round);
    saved.push(
      ...await store.append(actorId, [event(), event()], { expectedVersion: "any", unfenced: true }),
    );
    if (round % 7 === 0) {
      saved.push(await store.saveEvent({ actorId: "gaps", version: round * 3, ...event() }));
    }
    if (round % 11 === 0) {
      saved.push(...await store.append(`once-${round}`, [event()], { expectedVersion: 0 }));
    }
    if (round % 13 === 0) {
      saved.push(
        ...await store.append("often-0", [{ eventType: "Large", data: incompressible(90_000) }], {
          expectedVersion: "any",
          unfenced: true,
        }),
      );
    }
  }
  return saved;
}

Deno.test("a log that names what is stored under actors' keys is read whole, in both directions, from and up to any place", async () => {
  using kv = await Deno.openKv(":memory:");
  const saved = await sparse(kv);
  assert(await namedRecords(kv) > 50);
  await using store = await DenoKvEventStore.open(kv);
  assert.deepEqual(await Array.fromAsync(store.readAll()), saved);
  assert.deepEqual(await Array.fromAsync(store.readAll({ direction: "backward" })), saved.toReversed());
  for (let from = 0; from < saved.length; from += 9) {
    const after = saved[from]!.position;
    assert.deepEqual(
      await Array.fromAsync(store.readAll({ after, limit: 5 })),
      saved.slice(from + 1, from + 6),
    );
    const backward = store.readAll({ after, direction: "backward", limit: 5 });
    assert.deepEqual(await Array.fromAsync(backward), saved.slice(from + 1).toReversed().slice(0, 5));
  }
  assert.equal(await store.getLastPosition(), saved.at(-1)!.position);
  const { ok, events } = await store.verify();
  assert.deepEqual([ok, events], [true, saved.length]);
});

Deno.test("what a log names and is missing, changed, or of another commit is damage at its place", async () => {
  const changes: Record<string, (kv: Deno.Kv, rows: Deno.KvEntry<Uint8Array>[]) => Promise<unknown>> = {
    missing: (kv, [, second]) => kv.delete(second!.key),
    changed: (kv, [, second]) => kv.set(second!.key, second!.value.with(40, second!.value[40]! ^ 1)),
    "of another commit": (kv, [, second]) => kv.set(second!.key, second!.value),
  };
  for (const [name, change] of Object.entries(changes)) {
    using kv = await Deno.openKv(":memory:");
    const saved = await sparse(kv);
    const rows = await Array.fromAsync(
      kv.list<Uint8Array>({ prefix: ["aether", "default", "event", "often-1"] }),
    );
    await change(kv, rows);
    const lost = saved.filter(({ actorId }) => actorId === "often-1").slice(2, 4).map(({ position }) =>
      position
    );
    await using store = await DenoKvEventStore.open(kv);
    await assert.rejects(Array.fromAsync(store.readAll()), DamagedHistoryError, name);
    for (const direction of ["forward", "backward"] as const) {
      const faults: HistoryFault[] = [];
      const read = store.readAll({ direction, onDamage: (fault) => faults.push(fault) });
      const rest = saved.filter(({ position }) => !lost.includes(position));
      assert.deepEqual(await Array.fromAsync(read), direction === "forward" ? rest : rest.toReversed(), name);
      assert(
        faults.some((fault) =>
          fault instanceof DamagedHistoryError && fault.position?.slice(0, -6) === lost[0]!.slice(0, -6)
        ),
        name,
      );
    }
    assert.equal((await store.verify()).ok, false, name);
  }
});
