/** The actors of the tests of timers: bookings that are released unless they are paid in time. */

import {
  type ActorDefinition,
  type Decider,
  defineActor,
  type Event,
  type NewEvent,
} from "@flowmade-one/aether/actor";

export type BookingEvent =
  | Event<"Reserved", { dueAt: number }>
  | Event<"Paid", null>
  | Event<"Released", null>;
export type BookingCommand = { reserve: number } | { pay: true } | { release: true };

export interface Booking {
  readonly status: "free" | "reserved" | "paid" | "released";
  readonly dueAt: number;
}

export class NotReserved extends Error {}

export const decider: Decider<Booking, BookingCommand, BookingEvent> = {
  initialState: () => ({ status: "free", dueAt: 0 }),
  evolve: (state, event) => {
    if (event.eventType === "Reserved") return { status: "reserved", dueAt: event.data.dueAt };
    return { ...state, status: event.eventType === "Paid" ? "paid" : "released" };
  },
  decide(command, { status }): NewEvent<BookingEvent>[] {
    if ("reserve" in command) return [{ eventType: "Reserved", data: { dueAt: command.reserve } }];
    if (status !== "reserved") throw new NotReserved();
    return [{ eventType: "pay" in command ? "Paid" : "Released", data: null }];
  },
};

export const booking: ActorDefinition<Booking, BookingCommand, BookingEvent, { status: string }> =
  defineActor("booking", {
    decider,
    queries: { status: ({ status }) => status },
    errors: { NotReserved },
    timers: ({ status, dueAt }) =>
      status === "reserved" ? { "payment-due": { at: dueAt, command: { release: true } } } : {},
  });
