/**
 * The quick start: append an event, execute a command, read the history.
 *
 *     deno task quick-start
 */

import { type Decider, type Event, execute, InMemoryEventStore, type NewEvent } from "@flowmade-one/aether";

type AccountEvent = Event<"Deposited" | "Withdrawn", { amount: number }>;

const account: Decider<number, { deposit: number } | { withdraw: number }, AccountEvent> = {
  initialState: () => 0,
  evolve: (balance, { eventType, data }) =>
    balance + (eventType === "Deposited" ? data.amount : -data.amount),
  decide(command, balance): NewEvent<AccountEvent>[] {
    if ("deposit" in command) return [{ eventType: "Deposited", data: { amount: command.deposit } }];
    if (command.withdraw > balance) throw new RangeError(`there is only ${balance}`);
    return [{ eventType: "Withdrawn", data: { amount: command.withdraw } }];
  },
};

await using store = new InMemoryEventStore<AccountEvent>();
await store.append("account-7", [{ eventType: "Deposited", data: { amount: 10 } }], { expectedVersion: 0 });
const { state, version } = await execute(store, "account-7", account, { withdraw: 3 });
console.log(`Balance ${state} at version ${version}`);
for (const { version, eventType, data } of await store.getEvents("account-7")) {
  console.log(version, eventType, data.amount);
}
