/** Deciders that the tests of the command line fold with, a projection and actors. */

import { defineActor, type Event } from "../../../src/actor/mod.ts";

interface Order {
  readonly total: number;
  readonly shipped: boolean;
}

interface OrderEvent {
  readonly eventType: string;
  readonly data: { readonly total?: number };
}

export const order = {
  initialState: (): Order => ({ total: 0, shipped: false }),
  evolve: (state: Order, { eventType, data }: OrderEvent): Order =>
    eventType === "OrderPlaced" ? { ...state, total: data.total ?? 0 } : { ...state, shipped: true },
};

export const loops = {
  initialState: () => 0,
  evolve: () => {
    for (;;);
  },
};
export const reads = { initialState: () => 0, evolve: () => Deno.readTextFileSync("/etc/hostname").length };
export const calls = { initialState: () => 0, evolve: () => new WebSocket("ws://127.0.0.1:1/").readyState };
export const fails = {
  initialState: () => 0,
  evolve: () => {
    throw new RangeError("no such total");
  },
};
export const notOne = { evolve: 1 };
export const nothing = null;

/** A projection without checkpoints: those of the target are used. */
export const totals = { name: "totals", handle: () => {} };

interface Seat {
  readonly dueAt?: number;
}

/** What prints, and folds all the same. */
export const prints = {
  initialState: () => 0,
  evolve: (count: number) => {
    console.log("evolving", "{}");
    return count + 1;
  },
};
export const waits = { initialState: () => 0, evolve: () => Promise.resolve(1) };

/** Actors with a timer. */
export const seats = defineActor("seat", {
  decider: {
    initialState: (): Seat => ({}),
    evolve: (_seat: Seat, event: Event<"Reserved", { dueAt: number }>): Seat => event.data,
    decide: () => [],
  },
  timers: ({ dueAt }: Seat) => dueAt === undefined ? {} : { "payment-due": { at: dueAt, command: null } },
});
