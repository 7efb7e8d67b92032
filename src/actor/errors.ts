/**
 * What can go wrong with a call to an actor.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";
import { messageOf } from "../text.ts";

/**
 * The actor refused the command with an error that its definition does not declare, or its decider failed. Nothing of the
 * command was stored, unless `isStored`.
 *
 * @example Declare an error, so that callers get it as it is
 * ```ts
 * import { ActorFailedError, ActorHost, defineActor } from "@flowmade-one/aether/actor";
 * import { type Decider, type Event, InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * class Locked extends Error {}
 * const decider: Decider<string, "open" | "smash", Event<"Opened", null>> = {
 *   initialState: () => "locked",
 *   evolve: () => "open",
 *   decide(command) {
 *     throw command === "open" ? new Locked("use the key") : new TypeError("there is no hammer");
 *   },
 * };
 * const gate = defineActor("gate", { decider, errors: { Locked } });
 * await using store = new InMemoryEventStore<Event<"Opened", null>>();
 * await using host = await ActorHost.start({ store, actors: [gate] });
 * const actor = host.client.get(gate, "gate-1");
 * await assert.rejects(actor.call("open"), Locked);
 * await assert.rejects(actor.call("smash"), ActorFailedError);
 * ```
 *
 * @category Actors
 */
export class ActorFailedError extends AetherError {
  static {
    registerClass(this, "ActorFailedError");
  }

  /** The actor. */
  readonly actorId: string;
  /** Whether the command's events are stored: then only the fold over them, or the way back of the answer, failed. */
  readonly isStored: boolean;

  /** Carries what the decider threw as its cause. */
  constructor(actorId: string, cause: unknown, isStored = false) {
    const reason = messageOf(cause);
    super(
      isStored
        ? `The events of the command to actor "${actorId}" are stored, but there is no answer: ${reason}`
        : `Actor "${actorId}" did not execute the command: ${reason}`,
      { cause },
    );
    this.actorId = actorId;
    this.isStored = isStored;
  }
}

/**
 * The mailbox of the actor, or the host, is full. The command was not taken; call again after `retryAfter`.
 *
 * @example Wait and call again
 * ```ts
 * import { type ActorCaller, ActorBusyError } from "@flowmade-one/aether/actor";
 *
 * async function callWhenFree<S, C>(actor: ActorCaller<S, C>, command: C): Promise<void> {
 *   for (;;) {
 *     try {
 *       return void await actor.call(command);
 *     } catch (error) {
 *       if (!(error instanceof ActorBusyError)) throw error;
 *       await new Promise((resolve) => setTimeout(resolve, error.retryAfter));
 *     }
 *   }
 * }
 * ```
 *
 * @category Actors
 */
export class ActorBusyError extends AetherError {
  static {
    registerClass(this, "ActorBusyError");
  }

  /** The actor. */
  readonly actorId: string;
  /** How many calls wait for the actor: 0 if it is the host that is full. */
  readonly waiting: number;
  /** When to call again, in milliseconds from now. */
  readonly retryAfter: number;

  /** Names the actor, and what is full. */
  constructor(actorId: string, waiting: number, retryAfter: number) {
    super(
      waiting > 0
        ? `Actor "${actorId}" has ${waiting} calls waiting, and takes no more. Call again in ${retryAfter} ms, or more seldom`
        : `The host of actor "${actorId}" has as many busy actors as it may have in memory. Call again in ${retryAfter} ms, ` +
          "or raise maxActive",
    );
    this.actorId = actorId;
    this.waiting = waiting;
    this.retryAfter = retryAfter;
  }
}

/** Why an actor was not available. */
type Unavailability = "overdue" | "unowned" | "definition";

/** What a {@linkcode ActorUnavailableError} is made with. */
interface ActorUnavailableOptions extends ErrorOptions {
  /** Why it was not available. @default {"overdue"} */
  readonly reason?: Unavailability;
  /** What its host has answered. */
  readonly detail?: string | undefined;
}

/**
 * The actor did not come to the call before its deadline. Nothing of the command was stored; it can be called again.
 *
 * @example Give a call more time
 * ```ts
 * import { type ActorCaller, ActorUnavailableError } from "@flowmade-one/aether/actor";
 *
 * async function surely<S, C>(actor: ActorCaller<S, C>, command: C): Promise<void> {
 *   try {
 *     await actor.call(command, { timeout: 1_000 });
 *   } catch (error) {
 *     if (!(error instanceof ActorUnavailableError)) throw error;
 *     await actor.call(command, { timeout: 60_000 });
 *   }
 * }
 * ```
 *
 * @category Actors
 */
export class ActorUnavailableError extends AetherError {
  static {
    registerClass(this, "ActorUnavailableError");
  }

  /** The actor. */
  readonly actorId: string;
  /** How long the call has waited, in milliseconds. */
  readonly timeout: number;
  /**
   * `overdue`: the actor was busy with other calls, or its host did not answer. `unowned`: no host had the actor.
   * `definition`: its host does not know the kind of the actor, or has an earlier version of the definition.
   */
  readonly reason: "overdue" | "unowned" | "definition";

  /** Names the actor, and why it was not available. */
  constructor(actorId: string, timeout: number, options: ActorUnavailableOptions = {}) {
    const { reason = "overdue", detail, ...rest } = options;
    super(`Actor "${actorId}" ${UNAVAILABLE[reason](timeout, detail)}`, rest);
    this.actorId = actorId;
    this.timeout = timeout;
    this.reason = reason;
  }
}

/**
 * A definition's `timers` function is at fault: it threw, returned a promise, or named a timer that cannot be one. The
 * actor still answers commands, and its other timers hold. It is the `cause` of the warning `timers-invalid`.
 *
 * @example Find it before users do
 * ```ts
 * import { ActorHost, defineActor, InvalidTimersError } from "@flowmade-one/aether/actor";
 * import { type Decider, type Event, InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * type Begun = Event<"Begun", null>;
 * const decider: Decider<number, "begin" | "end", Begun> = {
 *   initialState: () => 0,
 *   evolve: (count) => count + 1,
 *   decide: () => [{ eventType: "Begun", data: null }],
 * };
 * const timers = (count: number) => ({ end: { at: count * NaN, command: "end" as const } });
 * const game = defineActor("game", { decider, timers });
 *
 * await using store = new InMemoryEventStore<Begun>();
 * const { promise, resolve } = Promise.withResolvers<unknown>();
 * await using host = await ActorHost.start({ store, actors: [game], onWarning: ({ cause }) => resolve(cause) });
 * await host.client.get(game, "game-1").call("begin");
 * assert(await promise instanceof InvalidTimersError);
 * ```
 *
 * @category Actors
 */
export class InvalidTimersError extends AetherError {
  static {
    registerClass(this, "InvalidTimersError");
  }

  /** The name of the kind of actors. */
  readonly kind: string;
  /** The timer; `undefined` if it is the function itself. */
  readonly timer: string | undefined;

  /** Names the kind, the timer and what is wrong. */
  constructor(kind: string, timer: string | undefined, fault: string, options?: ErrorOptions) {
    const named = timer === undefined ? "" : ` named the timer "${timer}", and`;
    super(
      `The timers function of "${kind}"${named || " is at fault:"} ${fault}. Correct the definition`,
      options,
    );
    this.kind = kind;
    this.timer = timer;
  }
}
const UNAVAILABLE: Readonly<Record<Unavailability, (timeout: number, detail?: string) => string>> = {
  overdue: (timeout) =>
    `did not come to the call within ${timeout} ms, and nothing of it was stored. Call again, or give it more time`,
  unowned: (timeout) =>
    `had no host for ${timeout} ms, and nothing of the call was stored. Start a host of its cluster, or call again`,
  definition: (timeout, detail) =>
    `had no host that can answer the call for ${timeout} ms, and nothing of it was stored: its host ${detail}. ` +
    "Update the hosts before their callers",
};
