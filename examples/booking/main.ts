/**
 * A service that takes bookings, and releases each that is not paid in time. It keeps them in a file of Deno KV, and a host
 * fires their timers: also those that fell due while it was not running. Start it:
 *
 * ```sh
 * deno run --unstable-kv --allow-net=127.0.0.1:8000 --allow-read=bookings.kv --allow-write=bookings.kv \
 *   --allow-env=PAY_WITHIN_MS,PORT examples/booking/main.ts
 *
 * curl http://127.0.0.1:8000/bookings/12A/reservation -d '{ "guest": "Ada" }'
 * curl -X POST http://127.0.0.1:8000/bookings/12A/payment
 * ```
 *
 * `PAY_WITHIN_MS` is how long a guest has to pay, in milliseconds: 15 minutes, if it is not set.
 *
 * @module
 */
import { ActorHost } from "@flowmade-one/aether/actor";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { booking, type BookingEvent } from "./booking.ts";
import { serveBookings } from "./bookings.ts";

await using store = await DenoKvEventStore.open<BookingEvent>("bookings.kv");
await using host = await ActorHost.start({ store, actors: [booking] });

const payWithin = Number(Deno.env.get("PAY_WITHIN_MS") ?? 900_000);
const server = Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT") ?? 8000) },
  serveBookings({
    call: async (actorId, command) => (await host.client.get(booking, actorId).call(command)).state,
    show: (actorId) => host.client.get(booking, actorId).query("booking"),
  }, payWithin),
);
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => server.shutdown());
await server.finished;
