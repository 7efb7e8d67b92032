/** The log of one actor, as the Log page and `aether log` read it: as `readAll` has it, and by the actor's own history. */

import assert from "node:assert/strict";
import { type EventStore, InvalidPositionError, type ReadAllOptions, type StoredEvent } from "../../mod.ts";
import { readLog } from "../../src/store/actor_log.ts";
import type { Activity, LogPage } from "../../src/studio/api/mod.ts";
import { studio } from "../../src/studio/mod.ts";
import { BACKENDS } from "./backends.ts";
import { Client } from "./support.ts";

/** Three actors in turn, the second with gaps between its versions, and commits of one, two and three events. */
async function seed(store: EventStore): Promise<StoredEvent[]> {
  for (let round = 0; round < 6; round++) {
    const event = (type: string): { eventType: string; data: { round: number } } => ({
      eventType: type,
      data: { round },
    });
    await store.append("order-1", [event("Placed"), event("Paid")], { expectedVersion: "any" });
    await store.saveEvent({ actorId: "order-2", version: 10 ** round, ...event("Placed") });
    await store.append("order-3", [event("Placed"), event("Paid"), event("Paid")], {
      expectedVersion: "any",
    });
  }
  return await Array.fromAsync(store.readAll());
}

/** A store that notes what is asked of its whole log. */
function noting(store: EventStore, asked: ReadAllOptions[]): EventStore {
  return new Proxy(store, {
    get(of, name): unknown {
      if (name === "readAll") {
        return (options: ReadAllOptions = {}) => {
          asked.push(options);
          return of.readAll(options);
        };
      }
      const value = Reflect.get(of, name);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
}

/** Whether a read of the log can go through it: one of a single event at a place, whatever it is, cannot. */
function goesThrough({ until, limit, actorId, eventTypes }: ReadAllOptions): boolean {
  return until === undefined || limit !== 1 || actorId !== undefined || eventTypes !== undefined;
}

for (const backend of BACKENDS) {
  Deno.test(`the log of one actor on ${backend.name} is what readAll gives, read by the actor's history`, async () => {
    await using opened = await backend.open();
    const asked: ReadAllOptions[] = [];
    const store = noting(opened.store, asked);
    const all = await seed(opened.store);
    const places = [0, 1, 2, 3, 8, 17, 33, 34, 35].map((index) => all[index]!.position);
    for (const actorId of ["order-1", "order-2", "order-3", "none"]) {
      const ends = places.flatMap((place): ReadAllOptions[] => [
        { after: place },
        { after: place, limit: 2 },
        { after: "first-kept", until: place, direction: "backward" },
        { after: "start", until: place, direction: "backward", limit: 2 },
        { after: places[2]!, until: place },
        { after: place, eventTypes: ["Paid"], limit: 3 },
        { after: "start", until: place, direction: "backward", eventTypes: ["Placed"], limit: 3 },
      ]);
      const whole: ReadAllOptions[] = [
        ...[{}, { after: "end" }, { limit: 3 }, { direction: "backward", limit: 1 }] as const,
        ...[{ actorPrefix: "order" }, { actorPrefix: "seat" }],
      ];
      for (const options of [...whole, ...ends]) {
        const expected = await Array.fromAsync(opened.store.readAll({ ...options, actorId }));
        const read = await Array.fromAsync(readLog(store, { ...options, actorId }));
        assert.deepEqual(read, expected, JSON.stringify(options));
      }
    }
    assert.deepEqual(asked.filter(goesThrough), [], "the whole log was read");
    const { position } = all[0]!;
    for (
      const place of [
        "nowhere",
        `${position}0`,
        position.replace(/^./, (digit) => digit === "0" ? "1" : "0"),
      ]
    ) {
      for (const options of [{ after: place }, { until: place }]) {
        const read = Array.fromAsync(readLog(store, { ...options, actorId: "order-1" }));
        await assert.rejects(read, InvalidPositionError, place);
      }
    }
  });

  Deno.test(`the Log page of one actor on ${backend.name} is paged by position, and the whole log is not read for it`, async () => {
    await using opened = await backend.open();
    const asked: ReadAllOptions[] = [];
    const all = await seed(opened.store);
    const ending = new AbortController();
    const client = new Client(studio(noting(opened.store, asked), { signal: ending.signal }));
    const paged = async (filter: string, first: string, side: "earlier" | "later"): Promise<string[]> => {
      const positions: string[] = [];
      for (let place: string | null = first; place !== null;) {
        const page: LogPage = await client.get(`log?${filter}&limit=4&${place}`);
        assert(page.events.length <= 4);
        const here = page.events.map(({ position }) => position);
        if (side === "later") positions.push(...here);
        else positions.unshift(...here);
        const next: string | null = page[side];
        place = next === null ? null : `${side === "later" ? "after" : "before"}=${next}`;
      }
      return positions;
    };
    const positionsOf = (chosen: (event: StoredEvent) => boolean): string[] =>
      all.filter(chosen).map(({ position }) => position);
    for (const actor of ["order-1", "order-2", "order-3"]) {
      const expected = positionsOf(({ actorId }) => actorId === actor);
      assert.deepEqual(await paged(`actor=${actor}`, "after=start", "later"), expected);
      assert.deepEqual(await paged(`actor=${actor}`, "", "earlier"), expected);
    }
    const paid = positionsOf(({ actorId, eventType }) => actorId === "order-3" && eventType === "Paid");
    assert.deepEqual(await paged("actor=order-3&type=Paid", "after=start", "later"), paid);
    assert.deepEqual(await paged("actor=order-3&type=Paid", "", "earlier"), paid);
    const { events, types } = await client.get<Activity>("log/activity?actor=order-3");
    assert.deepEqual([events, types[0]], [18, { eventType: "Paid", count: 12 }]);
    assert.deepEqual(asked.filter(goesThrough), [], "the whole log was read");
    ending.abort();
  });
}
