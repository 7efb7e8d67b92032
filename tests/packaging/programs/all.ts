/** `@flowmade-one/aether`: everything from one door. Needs no permission. */

import { type Decider, type Event, execute, InMemoryEventStore } from "@flowmade-one/aether";

type AccountEvent = Event<"Deposited", { amount: number }>;

const account: Decider<number, { deposit: number }, AccountEvent> = {
  initialState: () => 0,
  evolve: (balance, { data }) => balance + data.amount,
  decide: ({ deposit }) => [{ eventType: "Deposited", data: { amount: deposit } }],
};

await using store = new InMemoryEventStore<AccountEvent>();
await execute(store, "account-7", account, { deposit: 10 });
const { state } = await execute(store, "account-7", account, { deposit: 5 });
console.log(state);
