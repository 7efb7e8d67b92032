/**
 * Actors: deciders with an address. An actor takes commands one at a time, keeps its state in memory while it is busy, and
 * is its history when it is not. A host works on the actors of its process, or of its shards in a cluster; a client calls
 * them from elsewhere.
 *
 * @example Two callers of one account
 * ```ts
 * import { ActorHost, type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * type Moved = Event<"Deposited" | "Withdrawn", { amount: number }>;
 * class NotEnoughMoney extends Error {}
 * const decider: Decider<number, { deposit: number } | { withdraw: number }, Moved> = {
 *   initialState: () => 0,
 *   evolve: (balance, event) => balance + (event.eventType === "Deposited" ? 1 : -1) * event.data.amount,
 *   decide(command, balance) {
 *     if ("deposit" in command) return [{ eventType: "Deposited", data: { amount: command.deposit } }];
 *     if (command.withdraw > balance) throw new NotEnoughMoney();
 *     return [{ eventType: "Withdrawn", data: { amount: command.withdraw } }];
 *   },
 * };
 * const account = defineActor("account", { decider, errors: { NotEnoughMoney } });
 *
 * await using store = new InMemoryEventStore<Moved>();
 * await using host = await ActorHost.start({ store, actors: [account] });
 * const actor = host.client.get(account, "account-7");
 * await actor.call({ deposit: 10 });
 * const withdrawals = await Promise.allSettled([actor.call({ withdraw: 8 }), actor.call({ withdraw: 8 })]);
 * assert.deepEqual(withdrawals.map(({ status }) => status), ["fulfilled", "rejected"]);
 * ```
 *
 * @module
 */

export * from "../store/mod.ts";
export {
  type ActorDefinition,
  type ActorErrors,
  type ActorOptions,
  type ActorQueries,
  type AnyActor,
  defineActor,
} from "./definition.ts";
export { ActorClient, type ActorClientOptions } from "./actor_client.ts";
export { type ActorCluster, ActorHost, type ActorHostOptions } from "./host.ts";
export type { CallResult } from "./call.ts";
export type { ActorCaller, ActorEventsOptions, ActorFinder, ActorReference, CallOptions } from "./client.ts";
export { ActorBusyError, ActorFailedError, ActorUnavailableError, InvalidTimersError } from "./errors.ts";
export type { ActorTimer, ActorTimers } from "./timer.ts";
export { runTimers, type RunTimersOptions, type TimerRun, type TimerStore } from "./run_timers.ts";
export { fireTimersOnce, type FireTimersOnceOptions, type FireTimersOnceResult } from "./fire_timers_once.ts";
export { type ListedTimer, listTimers, type ListTimersOptions, type TimerPage } from "./list_timers.ts";
export {
  reconcileTimers,
  type ReconcileTimersOptions,
  type ReconcileTimersResult,
  type TimerDifference,
} from "./reconcile_timers.ts";
