/** The actors of the tests over NATS. */

import { type Decider, defineActor, type Event, type NewEvent } from "@flowmade-one/aether/actor";

export type Counted = Event<"Counted", { by: number }>;

export class TooMuch extends Error {
  constructor(readonly limit: number) {
    super(`at most ${limit}`);
  }
}

const decider: Decider<number, number, Counted> = {
  initialState: () => 0,
  evolve: (sum, { data }) => sum + data.by,
  decide(by): NewEvent<Counted>[] {
    if (by > 1_000) throw new TooMuch(1_000);
    if (by < 0) throw new RangeError("not below 0");
    return by === 0 ? [] : [{ eventType: "Counted", data: { by } }];
  },
};

export const counter = defineActor("counter", {
  decider,
  queries: { sum: (sum) => sum, twice: (sum) => ({ twice: 2 * sum }) },
  errors: { TooMuch },
});
