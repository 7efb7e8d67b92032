/**
 * The tests of that domain, with a clock that the test sets. They need no store, no server and no permission.
 *
 * ```sh
 * deno test examples/booking
 * ```
 *
 * @module
 */
import assert from "node:assert/strict";
import { specifyActor, TestActors } from "@flowmade-one/aether/testing";
import { booking, BookingRefusal } from "./booking.ts";

const payBefore = "2026-01-01T00:15:00.000Z";
const reserve = { do: "reserve", guest: "Ada", payBefore } as const;
const reserved = { eventType: "Reserved", data: { guest: "Ada", payBefore } } as const;
const paid = { eventType: "Paid", data: null } as const;

Deno.test("a booking waits for the payment of its guest", () => {
  specifyActor(booking).given([]).when(reserve)
    .thenEvents([reserved])
    .thenState({ status: "reserved", guest: "Ada", payBefore })
    .thenTimers({ "payment-due": { at: payBefore, command: { do: "release" } } });
  specifyActor(booking).given([reserved]).when(reserve).thenEvents([]);
  specifyActor(booking).given([reserved]).when({ ...reserve, guest: "Bob" }).thenThrows(BookingRefusal);
});

Deno.test("a booking that is paid stays", () => {
  specifyActor(booking).given([reserved]).when({ do: "pay", at: "2026-01-01T00:14:59.999Z" })
    .thenEvents([paid])
    .thenTimers({});
  specifyActor(booking).given([reserved]).when({ do: "pay", at: payBefore }).thenThrows(/had to be paid/);
  specifyActor(booking).given([]).when({ do: "pay", at: payBefore }).thenThrows(BookingRefusal);
  specifyActor(booking).given([reserved, paid]).when({ do: "release" }).thenEvents([]);
});

Deno.test("a booking that is not paid in time is released, although its host is killed", async () => {
  await using system = await TestActors.start({ actors: [booking] });
  const unpaid = system.client.get(booking, "booking-1");
  const kept = system.client.get(booking, "booking-2");
  await unpaid.call(reserve);
  await kept.call(reserve);
  await kept.call({ do: "pay", at: system.now.toISOString() });
  await system.advance("14 min");
  system.kill();
  assert.equal((await unpaid.query("booking")).status, "reserved");
  await system.advance("1 min");
  assert.deepEqual(await unpaid.query("booking"), { status: "free" });
  assert.equal((await kept.query("booking")).status, "paid");
});
