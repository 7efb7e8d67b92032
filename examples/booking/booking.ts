/**
 * A booking that is released after a deadline unless it is paid. The domain knows neither HTTP nor stores nor clocks:
 * times come with the commands.
 *
 * @module
 */
import {
  type ActorDefinition,
  type Decider,
  defineActor,
  type Event,
  type NewEvent,
} from "@flowmade-one/aether/actor";

/** What happens to bookings. */
export type BookingEvent =
  | Event<"Reserved", { guest: string; payBefore: string }>
  | Event<"Paid", null>
  | Event<"Released", null>;

/** What can be asked of a booking. */
export type BookingCommand =
  | { readonly do: "reserve"; readonly guest: string; readonly payBefore: string }
  | { readonly do: "pay"; readonly at: string }
  | { readonly do: "release" };

/** A booking as it is after its events. */
export interface Booking {
  readonly status: "free" | "reserved" | "paid";
  readonly guest?: string;
  readonly payBefore?: string;
}

/** The booking is not in a state in which this can be done. */
export class BookingRefusal extends Error {
  override readonly name = "BookingRefusal";
}

/** A command that is sent again finds that it is done, and decides nothing. */
const decider: Decider<Booking, BookingCommand, BookingEvent> = {
  initialState: () => ({ status: "free" }),

  evolve(booking, { eventType, data }): Booking {
    if (eventType === "Reserved") return { status: "reserved", ...data };
    if (eventType === "Paid") return { ...booking, status: "paid" };
    return { status: "free" };
  },

  decide(command, { status, guest, payBefore = "" }): readonly NewEvent<BookingEvent>[] {
    switch (command.do) {
      case "reserve":
        if (guest === command.guest) return [];
        if (status !== "free") throw new BookingRefusal("it is reserved by another guest");
        return [{ eventType: "Reserved", data: { guest: command.guest, payBefore: command.payBefore } }];
      case "pay":
        if (status === "paid") return [];
        if (status === "free") throw new BookingRefusal("it is not reserved");
        if (command.at >= payBefore) throw new BookingRefusal(`it had to be paid before ${payBefore}`);
        return [{ eventType: "Paid", data: null }];
      case "release":
        return status === "reserved" ? [{ eventType: "Released", data: null }] : [];
    }
  },
};

/**
 * Bookings as actors. The timer follows from the state: it exists from the reservation until the payment, and is as
 * durable as the events are.
 */
export const booking: ActorDefinition<Booking, BookingCommand, BookingEvent, { booking: Booking }> =
  defineActor("booking", {
    decider,
    queries: { booking: (state) => state },
    errors: { BookingRefusal },
    timers: ({ status, payBefore = "" }) =>
      status === "reserved" ? { "payment-due": { at: payBefore, command: { do: "release" } } } : {},
  });
