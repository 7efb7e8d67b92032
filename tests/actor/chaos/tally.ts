/** The actors of the tests with processes: each counts the calls that it was sent. */

import { type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";

export type Called = Event<"Called", { call: string }>;

const decider: Decider<number, string, Called> = {
  initialState: () => 0,
  evolve: (count) => count + 1,
  decide: (call) => [{ eventType: "Called", data: { call } }],
  snapshot: { kind: "tally", schemaVersion: 1, every: 50 },
};

export const tally = defineActor("tally", { decider, queries: { count: (count) => count } });
