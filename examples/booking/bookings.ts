/**
 * Bookings over HTTP. Each request can be sent again when its answer was lost.
 *
 *     POST /bookings/ID/reservation    reserves it for a guest: { guest }
 *     POST /bookings/ID/payment        pays it; refused with 409 after the deadline
 *     GET  /bookings/ID                the booking: { status, guest, payBefore }
 *
 * @module
 */
import { type Booking, type BookingCommand, BookingRefusal } from "./booking.ts";

/** Where bookings are. */
export interface Bookings {
  /** Executes a command, and returns the booking as it is then. */
  call(actorId: string, command: BookingCommand): Promise<Booking>;
  /** The booking as it is. */
  show(actorId: string): Promise<Booking>;
}

const PATH = new URLPattern({ pathname: "/bookings/:id([A-Za-z0-9-]{1,64}){/:command}?" });
const MAX_GUEST_LENGTH = 100;

/** Makes the handler of requests: a guest has so many milliseconds to pay. */
export function serveBookings(
  bookings: Bookings,
  payWithin: number,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { id, command } = PATH.exec(request.url)?.pathname.groups ?? {};
    const actorId = `booking-${id}`;
    const route = `${request.method} ${command ?? ""}`;
    try {
      if (id !== undefined && route === "GET ") return Response.json(await bookings.show(actorId));
      if (id !== undefined && route === "POST reservation") {
        const guest = await guestOf(request);
        const payBefore = new Date(Date.now() + payWithin).toISOString();
        if (guest === undefined) return problem(400, "the body must be JSON with a guest, a short text");
        return Response.json(await bookings.call(actorId, { do: "reserve", guest, payBefore }));
      }
      if (id !== undefined && route === "POST payment") {
        const at = new Date().toISOString();
        return Response.json(await bookings.call(actorId, { do: "pay", at }));
      }
      return problem(404, "no such booking or command");
    } catch (error) {
      if (error instanceof BookingRefusal) return problem(409, error.message);
      console.error(error);
      return problem(503, "send the request again");
    }
  };
}

async function guestOf(request: Request): Promise<string | undefined> {
  const body: unknown = await request.json().catch(() => undefined);
  const guest = (body as { guest?: unknown } | undefined | null)?.guest;
  return typeof guest === "string" && guest !== "" && guest.length <= MAX_GUEST_LENGTH ? guest : undefined;
}

function problem(status: number, detail: string): Response {
  const headers = { "content-type": "application/problem+json" };
  return Response.json({ status, detail }, { status, headers });
}
