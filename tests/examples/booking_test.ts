import assert from "node:assert/strict";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import type { BookingEvent } from "../../examples/booking/booking.ts";
import { kvFolder } from "../support/kv_file.ts";
import { until } from "../support/until.ts";
import { startFunction } from "./function_process.ts";
import { pathOf, Service } from "./service_process.ts";

const ADA = { guest: "Ada" };

/** Starts the service with the permissions that it names to its reader. */
async function startBookings(folder: string, payWithin: number): Promise<Service> {
  return await Service.start({
    args: [
      "run",
      "--allow-net=127.0.0.1:0",
      "--allow-read=bookings.kv",
      "--allow-write=bookings.kv",
      "--allow-env=PAY_WITHIN_MS,PORT",
      pathOf("examples/booking/main.ts"),
    ],
    cwd: folder,
    env: { PORT: "0", PAY_WITHIN_MS: String(payWithin) },
  });
}

async function statusOf(service: Service, id: string): Promise<unknown> {
  const { status, body } = await service.ask("GET", `/bookings/${id}`);
  assert.equal(status, 200);
  return body?.["status"];
}

async function reserve(service: Service, id: string): Promise<void> {
  const { status, body } = await service.ask("POST", `/bookings/${id}/reservation`, ADA);
  assert.deepEqual([status, body?.["status"], body?.["guest"]], [200, "reserved", "Ada"]);
}

async function isReleased(service: Service, id: string): Promise<void> {
  await until(`booking ${id} is released`, async () => await statusOf(service, id) === "free");
}

Deno.test("examples/booking releases what is not paid in time, also what fell due while it was killed", async () => {
  await using folder = await kvFolder();
  {
    await using service = await startBookings(folder.path, 60_000);
    await reserve(service, "paid");
    await reserve(service, "paid"); // a repeated request is answered alike
    const other = await service.ask("POST", "/bookings/paid/reservation", { guest: "Bob" });
    assert.deepEqual([other.status, other.type], [409, "application/problem+json"]);
    assert.equal((await service.ask("POST", "/bookings/paid/payment")).body?.["status"], "paid");
    assert.equal((await service.ask("POST", "/bookings/paid/payment")).status, 200);
    assert.equal((await service.ask("POST", "/bookings/none/payment")).status, 409);
    for (const body of ["{", "null", {}, { guest: 5 }, { guest: "" }]) {
      assert.equal((await service.ask("POST", "/bookings/none/reservation", body)).status, 400);
    }
    assert.equal((await service.ask("GET", "/bookings/none/payment")).status, 404);
    assert.equal(await statusOf(service, "none"), "free");
    assert.equal(await service.end("SIGTERM"), 0);
  }
  {
    await using service = await startBookings(folder.path, 500);
    await reserve(service, "missed");
    await isReleased(service, "missed");
    assert.equal((await service.ask("POST", "/bookings/missed/payment")).status, 409);
    await reserve(service, "killed");
    assert.notEqual(await service.end("SIGKILL"), 0);
  }
  await using service = await startBookings(folder.path, 60_000);
  await isReleased(service, "killed");
  assert.equal(await statusOf(service, "paid"), "paid");
  await service.end("SIGKILL");

  await using store = await DenoKvEventStore.open<BookingEvent>(`${folder.path}/bookings.kv`);
  for (const id of ["booking-missed", "booking-killed"]) {
    const [reserved, released, ...others] = await store.getEvents(id);
    assert(reserved?.eventType === "Reserved" && released?.eventType === "Released");
    assert(released.timestamp >= reserved.data.payBefore, "a timer never fires early");
    assert.deepEqual(others, []);
  }
});

Deno.test("examples/booking as a function: its cron job releases what is not paid in time", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open<BookingEvent>(folder.file);
    const payBefore = new Date().toISOString();
    await store.append("booking-missed", [{ eventType: "Reserved", data: { guest: "Ada", payBefore } }], {
      expectedVersion: 0,
    });
  }
  await using service = await startFunction(folder.path, {
    program: pathOf("tests/examples/booking_function.ts"),
    file: folder.file,
  });
  await reserve(service, "paid");
  await reserve(service, "open");
  assert.equal((await service.ask("POST", "/bookings/paid/payment")).body?.["status"], "paid");
  await isReleased(service, "missed");
  assert.equal(await statusOf(service, "paid"), "paid");
  assert.equal(await statusOf(service, "open"), "reserved");
});

Deno.test("examples/booking as a function needs no permission", async () => {
  await using folder = await kvFolder();
  await using service = await startFunction(folder.path, { program: pathOf("examples/booking/function.ts") });
  await reserve(service, "12A");
  assert.equal(await statusOf(service, "12A"), "reserved");
});
