/**
 * The same bookings as a function on Deno Deploy. It has no process in which a host could run: commands are executed in the
 * request, and a cron job fires the timers that have become due, once a minute.
 *
 * Deploy it with this file as the entry point and a Deno KV database assigned. Here it runs without any permission:
 *
 * ```sh
 * deno serve --unstable-kv --unstable-cron --host 127.0.0.1 examples/booking/function.ts
 * ```
 *
 * @module
 */
import { execute, fireTimersOnce, replay } from "@flowmade-one/aether/actor";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { booking, type BookingEvent } from "./booking.ts";
import { serveBookings } from "./bookings.ts";

const PAY_WITHIN_MS = 900_000;
/** How long the timers may take in a call of the cron job; what is left is for the next one. */
const CRON_BUDGET_MS = 20_000;

const store = await DenoKvEventStore.open<BookingEvent>(await Deno.openKv());

Deno.cron("timers", "* * * * *", async () => {
  await fireTimersOnce(store, [booking], { budgetMs: CRON_BUDGET_MS });
});

export default {
  fetch: serveBookings({
    call: async (actorId, command) => (await execute(store, actorId, booking.decider, command)).state,
    show: async (actorId) => (await replay(store, actorId, booking.decider)).state,
  }, PAY_WITHIN_MS),
} satisfies Deno.ServeDefaultExport;
