/** An account whose commands and queries go wrong in every way, for the tests of one process and of several. */

import { type Decider, defineActor, type Event, type NewEvent } from "@flowmade-one/aether/actor";

export type AccountEvent =
  | Event<"Deposited", { amount: number }>
  | Event<"Noted", { text: unknown }>
  | Event<"Poisoned", null>;

/** What a command does; a function is called by `decide`. */
export type AccountCommand =
  | { deposit: number }
  | { note: number }
  | { poison: true }
  | { go: string }
  | { refuse: number };

export class Refused extends Error {
  constructor(readonly amount: number, readonly note: string) {
    super(`${amount} is refused`);
  }
}

/** What `decide` does for `{ go: name }`: a function cannot be in a command. */
export const steps: Record<string, () => unknown> = {
  nothing: () => [],
  throw: () => {
    throw new TypeError("there is no such step");
  },
  "throw a text": () => {
    // deno-lint-ignore no-throw-literal -- what a user's decider may do
    throw "a text";
  },
  promise: () => Promise.resolve([]),
  "rejected promise": () => Promise.reject(new Error("later")),
  number: () => 7,
  loop: () => {
    const end = performance.now() + 1_000;
    while (performance.now() < end);
    return [{ eventType: "Deposited", data: { amount: 1 } }];
  },
  date: () => [{ eventType: "Noted", data: { text: new Date(0) } }],
};

interface State {
  readonly balance: number;
  readonly text: string;
}

const decider: Decider<State, AccountCommand, AccountEvent> = {
  initialState: () => ({ balance: 0, text: "" }),
  evolve(state, event): State {
    if (event.eventType === "Poisoned") return Promise.reject(new Error("no")) as never;
    if (event.eventType === "Noted") return { ...state, text: String(event.data.text) };
    return { ...state, balance: state.balance + event.data.amount };
  },
  decide(command): readonly NewEvent<AccountEvent>[] {
    if ("deposit" in command) return [{ eventType: "Deposited", data: { amount: command.deposit } }];
    if ("note" in command) return [{ eventType: "Noted", data: { text: "x".repeat(command.note) } }];
    if ("poison" in command) return [{ eventType: "Poisoned", data: null }];
    if ("refuse" in command) throw new Refused(command.refuse, "x".repeat(command.refuse));
    return steps[command.go]!() as never;
  },
};

export const account = defineActor("account", {
  decider,
  queries: {
    balance: ({ balance }) => balance,
    later: ({ balance }) => Promise.resolve(balance),
    never: () => Promise.reject(new Error("no")),
    throws: () => {
      throw new RangeError("no answer");
    },
    map: () => new Map([[1, 2]]),
    long: ({ text }) => text + text,
  },
  errors: { Refused },
});
