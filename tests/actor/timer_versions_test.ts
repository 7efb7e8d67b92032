/** Timers of a definition that has changed: two versions of it on one store, one after the other and at once. */

import assert from "node:assert/strict";
import { ActorHost, defineActor, reconcileTimers, runTimers } from "@flowmade-one/aether/actor";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { until } from "../support/until.ts";
import { booking, type BookingEvent, decider, NotReserved } from "./booking.ts";

const HOUR = 3_600_000;

/** Releases an hour earlier than the first version. */
const earlier = defineActor("booking", {
  decider,
  queries: booking.queries,
  errors: { NotReserved },
  version: 2,
  timers: ({ status, dueAt }) =>
    status === "reserved" ? { "payment-due": { at: dueAt - HOUR, command: { release: true } } } : {},
});

const released = async (store: InMemoryEventStore<BookingEvent>, id: string): Promise<boolean> =>
  (await store.getEvents(id)).some(({ eventType }) => eventType === "Released");

Deno.test("timers of a later version hold from the next event of an actor on, and for all actors after they are reconciled", async () => {
  await using store = new InMemoryEventStore<BookingEvent>();
  const soon = Date.now() + HOUR + 300;
  {
    await using host = await ActorHost.start({ store, actors: [booking] });
    await host.client.get(booking, "booking-old").call({ reserve: soon });
  }
  await using host = await ActorHost.start({ store, actors: [earlier] });
  await host.client.get(earlier, "booking-new").call({ reserve: soon });
  await until("the new booking is released", () => released(store, "booking-new"));
  await reconcileTimers(store, [earlier]);
  await until("the old booking is released too", () => released(store, "booking-old"));
  assert.equal((await store.getEvents("booking-old")).length, 2);
});

Deno.test("two processes with different versions of the timers fire the timer of an actor once", async () => {
  await using store = new InMemoryEventStore<BookingEvent>();
  // The run of timers knows the version that fires an hour earlier; the host of the actors has the first one.
  await using _run = runTimers(store, [earlier], { onWarning: () => {} });
  await using host = await ActorHost.start({ store, actors: [booking], onWarning: () => {} });
  const actor = host.client.get(booking, "booking-1");
  const due = Date.now() + 200;
  await actor.call({ reserve: due });
  await until("the booking is released", () => released(store, "booking-1"));
  await until("the time of the other version has come", () => Date.now() > due + 100);
  assert.deepEqual((await store.getEvents("booking-1")).map(({ eventType }) => eventType), [
    "Reserved",
    "Released",
  ]);
});
