/** What a timer that fires costs: counted, not timed. */
import assert from "node:assert/strict";
import { ActorHost, listTimers, type ReadEventsOptions } from "@flowmade-one/aether/actor";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { openTimerIndex } from "../../src/actor/open_timer_index.ts";
import { InMemoryTimerIndex } from "../../src/actor/timer_index.ts";
import { booking, type BookingEvent } from "./booking.ts";
import { MINUTE, START, until } from "./timer_stores.ts";

/** More than the states that are kept for the timers. */
const TIMERS = 12_000;

class CountingStore extends InMemoryEventStore<BookingEvent> {
  reads = 0;

  override readEvents(
    ...read: [string, ReadEventsOptions?]
  ): ReturnType<InMemoryEventStore<BookingEvent>["readEvents"]> {
    this.reads++;
    return super.readEvents(...read);
  }
}

Deno.test("a timer that fires costs one read of its actor and one write of the index", async () => {
  const clock = { time: START };
  await using store = new CountingStore({ now: () => new Date(clock.time) });
  await using _host = await ActorHost.start({ store, actors: [booking] });
  const reserve = (id: string) =>
    store.append(id, [{ eventType: "Reserved", data: { dueAt: START + MINUTE } }], { expectedVersion: 0 });
  await reserve("booking-first");
  await until(async () => (await listTimers(store)).timers.length === 1); // the index exists, and is not built from what comes now
  const ids = Array.from({ length: TIMERS - 1 }, (_, index) => `booking-${index}`);
  await Promise.all(ids.map(reserve));
  const last = `booking-${TIMERS - 2}`;
  const index = await openTimerIndex(store);
  await until(async () => await index.get(last) !== undefined);

  let writes = 0;
  const { put } = InMemoryTimerIndex.prototype;
  InMemoryTimerIndex.prototype.put = function (...args): ReturnType<typeof put> {
    writes++;
    return put.apply(this, args);
  };
  try {
    store.reads = 0;
    clock.time += MINUTE;
    await until(async () => (await Array.fromAsync(index.all())).length === 0);
  } finally {
    InMemoryTimerIndex.prototype.put = put;
  }
  assert.equal(store.reads, TIMERS);
  assert(writes < 1.5 * TIMERS, `${writes} writes`); // a few fall between two times of writing
});
