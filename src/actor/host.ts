/**
 * Actors in this process.
 *
 * @module
 */

import { ClosedError, InvalidArgumentError } from "../errors.ts";
import { copyJson, JsonFault, JsonTooLarge } from "../event/json.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { Deadlines } from "../deadlines.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";
import { type Warn, warner, type Warning } from "../warning.ts";
import { checkActorId } from "../store/check_options.ts";
import { checkCommandId } from "../store/command_id.ts";
import type { EventStore, LogSubscription, SnapshotStore } from "../store/types.ts";
import { ActiveActor } from "./active_actor.ts";
import { type Call, CommandCall, QueryCall } from "./call.ts";
import type { ActorClient, ActorEventsOptions, ActorReference, CallOptions } from "./client.ts";
import { type ActorDefinition, type AnyActor, definitionOf } from "./definition.ts";
import { ActorBusyError } from "./errors.ts";

/**
 * How a host is started.
 *
 * @typeParam E The union of the events that the store holds.
 */
export interface ActorHostOptions<E extends Event> {
  /** Where the actors' events are stored. It stays the caller's to close. */
  readonly store: EventStore<E> & Partial<SnapshotStore>;
  /** The kinds of actors. */
  readonly actors: readonly AnyActor<E>[];
  /** How many actors may be in memory; beyond that those that were not called for longest are released. @default {50_000} */
  readonly maxActive?: number;
  /** How long an actor stays in memory after its last call, in milliseconds. @default {60_000} */
  readonly idleTimeout?: number;
  /** How many calls may wait for one actor. @default {1_000} */
  readonly maxWaiting?: number;
  /** Receives warnings. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

const HOST_OPTIONS: OptionNames<ActorHostOptions<Event>> = {
  store: true,
  actors: true,
  maxActive: true,
  idleTimeout: true,
  maxWaiting: true,
  onWarning: true,
};
const CALL_OPTIONS: OptionNames<CallOptions> = { id: true, timeout: true, signal: true };

const DEFAULT_TIMEOUT = 5_000;
const MAX_TIMEOUT = 24 * 60 * 60 * 1_000;
/** The most bytes of a command as JSON. */
const MAX_COMMAND_BYTES = 256 * 1024;
/** How soon a caller may try again whose actor has too many calls, in milliseconds. */
const RETRY_AFTER = 100;
/** How often, in an idle timeout, actors that are not called are looked for. */
const LOOKS_PER_TIMEOUT = 4;

interface CheckedHost {
  readonly store: EventStore & Partial<SnapshotStore>;
  readonly actors: readonly AnyActor[];
  readonly maxActive: number;
  readonly idleTimeout: number;
  readonly maxWaiting: number;
}

/**
 * Works on actors in this process. Each takes its commands one at a time, keeps its state in memory while it is called,
 * and is its history when it is not.
 *
 * @example Two callers at once
 * ```ts
 * import { ActorHost, defineActor } from "@flowmade-one/aether/actor";
 * import { type Decider, type Event, InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * type Counted = Event<"Counted", { by: number }>;
 * const decider: Decider<number, number, Counted> = {
 *   initialState: () => 0,
 *   evolve: (sum, { data }) => sum + data.by,
 *   decide: (by) => [{ eventType: "Counted", data: { by } }],
 * };
 * const counter = defineActor("counter", { decider });
 * await using store = new InMemoryEventStore<Counted>();
 * await using host = await ActorHost.start({ store, actors: [counter] });
 * const actor = host.client.get(counter, "counter-1");
 * const [first, second] = await Promise.all([actor.call(2), actor.call(3)]);
 * assert.deepEqual([first.state, second.state], [2, 5]);
 * ```
 */
export class ActorHost implements AsyncDisposable {
  readonly #store: EventStore & Partial<SnapshotStore>;
  readonly #definitions: ReadonlyMap<string, AnyActor>;
  readonly #warn: Warn;
  readonly #maxActive: number;
  readonly #idleTimeout: number;
  readonly #maxWaiting: number;
  readonly #deadlines = new Deadlines(true);
  /** Those called last are at the end. */
  readonly #active = new Map<string, ActiveActor>();
  readonly #releasing = new Set<Promise<void>>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #isClosed = false;

  /** Calls the actors of this host. */
  readonly client: ActorClient = { get: (definition, actorId) => this.#get(definition, actorId) };

  private constructor(options: CheckedHost, warn: Warn) {
    this.#store = options.store;
    this.#definitions = new Map(options.actors.map((actor) => [actor.name, actor]));
    this.#maxActive = options.maxActive;
    this.#idleTimeout = options.idleTimeout;
    this.#maxWaiting = options.maxWaiting;
    this.#warn = warn;
    this.#timer = setInterval(() => this.#releaseIdle(), this.#idleTimeout / LOOKS_PER_TIMEOUT);
    Deno.unrefTimer(this.#timer);
  }

  /**
   * Starts a host. Nothing is read before the first call.
   *
   * @throws {InvalidArgumentError} If an option is not sound.
   */
  // deno-lint-ignore require-await -- so that a refusal is a rejection
  static async start<E extends Event>(options: ActorHostOptions<E>): Promise<ActorHost> {
    return readOptions(options, ({ ...given }) => {
      checkKnown<ActorHostOptions<E>>(given, HOST_OPTIONS);
      const { store, actors, maxActive = 50_000, idleTimeout = 60_000, maxWaiting = 1_000, onWarning } =
        given;
      if (typeof store?.append !== "function") {
        throw new InvalidArgumentError("options.store", "must be an event store");
      }
      checkActors(actors);
      for (const [name, value] of Object.entries({ maxActive, idleTimeout, maxWaiting })) {
        checkCount(`options.${name}`, value);
      }
      checkFunction("options.onWarning", onWarning);
      const checked = { store, actors, maxActive, idleTimeout, maxWaiting } as unknown as CheckedHost;
      return new ActorHost(checked, warner(onWarning));
    });
  }

  /** How many actors are in memory. */
  get active(): number {
    return this.#active.size;
  }

  /**
   * Stops: what waits is rejected, what is being stored is waited for.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    await Promise.all([...this.#active.values()].map((actor) => actor.close(new ClosedError("host"))));
    await Promise.all(this.#releasing);
    this.#deadlines.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #get<S, C, E extends Event, A>(
    definition: ActorDefinition<S, C, E, A>,
    actorId: string,
  ): ActorReference<S, C, E, A> {
    const own = definition as unknown as AnyActor;
    if (this.#definitions.get(definition?.name) !== own) {
      throw new InvalidArgumentError("definition", "is not one of this host: name it in options.actors");
    }
    checkActorId(actorId);
    if (definitionOf(actorId, this.#definitions.values()) !== own) {
      throw new InvalidArgumentError(
        "actorId",
        `must be "${definition.name}-" and a key, as in "${definition.name}-1", and is ${describe(actorId)}`,
      );
    }
    return {
      id: actorId,
      call: async (command: C, options?: CallOptions) => {
        const { id, timeout = DEFAULT_TIMEOUT, signal } = readOptions(options, checkCall);
        signal?.throwIfAborted();
        const call = new CommandCall(actorId, copyCommand(command), id, timeout, signal);
        return await this.#enqueue(own, call) as Awaited<ReturnType<ActorReference<S, C, E, A>["call"]>>;
      },
      query: async (name) => {
        if (!Object.hasOwn(definition.queries, name)) {
          const known = Object.keys(definition.queries).join(", ") || "none";
          throw new InvalidArgumentError("name", `must be one of ${known}, and is ${describe(name)}`);
        }
        const query = definition.queries[name] as (state: unknown) => unknown;
        const call = new QueryCall(actorId, query, DEFAULT_TIMEOUT, undefined);
        return await this.#enqueue(own, call) as A[typeof name];
      },
      events: (options?: ActorEventsOptions) =>
        this.#store.subscribe({ ...options, actorId }) as unknown as LogSubscription<StoredEvent<E>>,
    };
  }

  #enqueue(definition: AnyActor, call: CommandCall | QueryCall): Promise<unknown> {
    if (this.#isClosed) throw new ClosedError("host");
    const actor = this.#actor(definition, call.actorId);
    if (actor.waiting >= this.#maxWaiting) throw new ActorBusyError(actor.id, actor.waiting, RETRY_AFTER);
    this.#deadlines.add(call);
    actor.enqueue(call);
    return this.#answered(call);
  }

  async #answered(call: Call): Promise<unknown> {
    try {
      return await call.promise;
    } finally {
      this.#deadlines.delete(call);
    }
  }

  #actor(definition: AnyActor, actorId: string): ActiveActor {
    let actor = this.#active.get(actorId);
    if (actor) this.#active.delete(actorId); // it goes to the end
    else {
      const setup = { store: this.#store, warn: this.#warn, onIdle: () => this.#releaseSurplus() };
      actor = new ActiveActor(actorId, definition, setup);
    }
    actor.lastUsed = performance.now();
    this.#active.set(actorId, actor);
    if (this.#active.size > this.#maxActive) this.#releaseSurplus();
    return actor;
  }

  #releaseIdle(): void {
    const latest = performance.now() - this.#idleTimeout;
    for (const actor of this.#active.values()) {
      if (actor.lastUsed > latest) return;
      this.#release(actor);
    }
  }

  #releaseSurplus(): void {
    for (const actor of this.#active.values()) {
      if (this.#active.size <= this.#maxActive) return;
      this.#release(actor);
    }
  }

  #release(actor: ActiveActor): void {
    if (actor.isBusy) return;
    this.#active.delete(actor.id);
    const released = actor.passivate().finally(() => this.#releasing.delete(released));
    this.#releasing.add(released);
  }
}

function checkCall(options: CallOptions): CallOptions {
  checkKnown(options, CALL_OPTIONS);
  const { id, timeout, signal } = options;
  if (id !== undefined) checkCommandId(id, "options.id");
  if (timeout !== undefined && !(timeout > 0 && timeout <= MAX_TIMEOUT)) {
    throw new InvalidArgumentError(
      "options.timeout",
      `must be above 0 and at most ${MAX_TIMEOUT} milliseconds, and is ${describe(timeout)}`,
    );
  }
  checkSignal(signal);
  return {
    ...(id !== undefined && { id }),
    ...(timeout !== undefined && { timeout }),
    ...(signal && { signal }),
  };
}

function copyCommand(command: unknown): unknown {
  try {
    const { value, most } = copyJson(command, "command", MAX_COMMAND_BYTES);
    if (most > MAX_COMMAND_BYTES && JSON.stringify(value).length > MAX_COMMAND_BYTES) {
      throw new JsonTooLarge(most);
    }
    return value;
  } catch (error) {
    if (error instanceof JsonFault) {
      throw new InvalidArgumentError(error.path, error.message, { cause: error });
    }
    if (error instanceof JsonTooLarge) {
      throw new InvalidArgumentError("command", `must be at most ${MAX_COMMAND_BYTES} bytes as JSON`);
    }
    throw error;
  }
}

function checkCount(option: string, value: unknown): void {
  if (Number.isSafeInteger(value) && value as number > 0) return;
  throw new InvalidArgumentError(option, `must be a positive integer, and is ${describe(value)}`);
}

function checkActors(actors: unknown): void {
  if (!Array.isArray(actors) || actors.length === 0) {
    throw new InvalidArgumentError("options.actors", "must be a list of one or more definitions");
  }
  const names = new Set<unknown>();
  for (const actor of actors) {
    const name = typeof actor === "object" ? actor?.name : undefined;
    if (typeof name !== "string" || typeof actor.decider?.decide !== "function") {
      throw new InvalidArgumentError("options.actors", "must be made with defineActor()");
    }
    if (names.has(name)) {
      throw new InvalidArgumentError("options.actors", `must have different names, and two are "${name}"`);
    }
    names.add(name);
  }
}
