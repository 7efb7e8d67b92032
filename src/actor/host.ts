/**
 * Actors in this process.
 *
 * @module
 */

import { AetherError, InvalidArgumentError } from "../errors.ts";
import type { Clock } from "../cluster/clock.ts";
import type { Coordinator } from "../cluster/coordinator.ts";
import type { Event } from "../event/types.ts";
import { type NatsConnection, requireConnection } from "../nats/connection.ts";
import { checkFunction, checkKnown, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";
import { type Warn, warner, type Warning } from "../warning.ts";
import { OutcomeUnknownError } from "../store/errors.ts";
import type { EventStore, SnapshotStore } from "../store/types.ts";
import { MovedError } from "./commit.ts";
import { ActiveActors } from "./active_actors.ts";
import { CommandCall, QueryCall, TimerCall } from "./call.ts";
import type { ActorEventsOptions, ActorFinder } from "./client.ts";
import { isDeclared } from "./decision.ts";
import type { AnyActor } from "./definition.ts";
import { ActorFailedError } from "./errors.ts";
import { type ActorRequest, checkActors, referTo } from "./reference.ts";
import { ComeHere, RemoteCaller } from "./remote.ts";
import { ShardServer } from "./shard_server.ts";
import type { TimerOutcome } from "./timer.ts";
import { timerClock, TimerRunners } from "./timer_runner.ts";
import { type FireTimer, kindsWithTimers, type TimerSetup } from "./timers.ts";
import { type AnyStore, queryOf, typedEvents } from "./untyped.ts";

/**
 * The cluster that a host is part of.
 *
 * @category Actors
 */
export interface ActorCluster {
  /** This process as a node: the host works on the actors of its shards. It stays the caller's. */
  readonly coordinator: Coordinator;
  /** Carries the calls between processes. It stays the caller's to close. */
  readonly connection: NatsConnection;
  /** The name of the cluster, as in the subjects of the calls: letters, digits, `_` and `-`. @default {"default"} */
  readonly name?: string;
}

/**
 * How a host is started.
 *
 * @typeParam E The union of the events that the store holds.
 *
 * @category Actors
 */
export interface ActorHostOptions<E extends Event> {
  /** Where the actors' events are stored. It stays the caller's to close. */
  readonly store: EventStore<E> & Partial<SnapshotStore>;
  /** The kinds of actors. */
  readonly actors: readonly AnyActor<E>[];
  /** The processes that share the actors. @default {this process has all of them} */
  readonly cluster?: ActorCluster;
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
  cluster: true,
  maxActive: true,
  idleTimeout: true,
  maxWaiting: true,
  onWarning: true,
};
const CLUSTER_OPTIONS: OptionNames<ActorCluster> = { coordinator: true, connection: true, name: true };

/** How long a due timer may take, in milliseconds; then it is sent again. */
const TIMER_TIMEOUT = 5_000;

interface HostParts {
  readonly store: AnyStore;
  readonly clock: Clock;
  readonly warn: Warn;
  readonly definitions: ReadonlyMap<string, AnyActor>;
  readonly actors: ActiveActors;
  readonly cluster: Required<ActorCluster> | undefined;
}

/**
 * Works on actors in this process. Each takes its commands one at a time, keeps its state in memory while it is called,
 * and is its history when it is not.
 *
 * @example Two callers at once
 * ```ts
 * import { ActorHost, type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
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
 *
 * @category Actors
 */
export class ActorHost implements AsyncDisposable {
  readonly #parts: HostParts;
  readonly #remote: RemoteCaller | undefined;
  readonly #server: ShardServer | undefined;
  readonly #timers: TimerRunners | undefined;

  /** Calls actors of this process and of the others of its cluster. */
  readonly client: ActorFinder;

  private constructor(parts: HostParts) {
    const { store, warn, definitions, actors, cluster } = parts;
    this.#parts = parts;
    if (cluster) {
      const { coordinator, connection, name } = cluster;
      const remote = new RemoteCaller(connection, name, coordinator.shardCount);
      this.#remote = remote;
      this.#server = new ShardServer({
        coordinator,
        connection,
        cluster: name,
        definitions,
        actors,
        remote,
        warn,
      });
    }
    if (kindsWithTimers(definitions).length > 0) {
      const { clock, warn } = parts;
      const fire: FireTimer = async (definition, actorId, timer, id, signal) => {
        const content = { timer };
        const request = {
          definition,
          actorId,
          content,
          id,
          timeout: TIMER_TIMEOUT,
          signal,
          origin: { chain: [] },
        };
        return await this.#send(request) as TimerOutcome;
      };
      const stateOf: TimerSetup["stateOf"] = (actorId) => actors.stateOf(actorId);
      this.#timers = new TimerRunners({ store, definitions, clock, fire, stateOf, warn });
    }
    this.client = {
      get: <S, C, E extends Event, A>(
        definition: Parameters<typeof referTo<S, C, E, A>>[1],
        actorId: string,
      ) => ({
        ...referTo(definitions, definition, actorId, (request) => this.#send(request)),
        events: (options?: ActorEventsOptions) => typedEvents<E>(store.subscribe({ ...options, actorId })),
      }),
    };
  }

  /**
   * Starts a host. Nothing is read before the first call.
   *
   * @throws {InvalidArgumentError} If an option is not sound.
   */
  static start<E extends Event>(options: ActorHostOptions<E>): Promise<ActorHost> {
    // A refusal is a rejection.
    return Promise.try(readOptions, options, ({ ...given }: ActorHostOptions<E>) => {
      checkKnown<ActorHostOptions<E>>(given, HOST_OPTIONS);
      const { maxActive = 50_000, idleTimeout = 60_000, maxWaiting = 1_000, onWarning } = given;
      const store: AnyStore = given.store;
      if (typeof store?.append !== "function") {
        throw new InvalidArgumentError("options.store", `must be an event store, and is ${describe(store)}`);
      }
      const definitions = checkActors(given.actors);
      for (const [name, value] of Object.entries({ maxActive, idleTimeout, maxWaiting })) {
        checkCount(`options.${name}`, value);
      }
      checkFunction("options.onWarning", onWarning);
      const cluster = given.cluster && readOptions(given.cluster, checkCluster, "options.cluster");
      const warn = warner(onWarning);
      const clock = timerClock(store);
      const now = clock.wall;
      const actors = new ActiveActors({ store, warn, now, maxActive, idleTimeout, maxWaiting });
      return new ActorHost({ store, definitions, actors, cluster, clock, warn });
    });
  }

  /** How many actors are in memory. */
  get active(): number {
    return this.#parts.actors.size;
  }

  /** Stops. In a cluster, calls that were taken are finished; else what waits is rejected. What is being stored is waited for, as long as its calls wait. */
  async close(): Promise<void> {
    await this.#timers?.close();
    await this.#server?.close();
    await this.#parts.actors.close();
    this.#remote?.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #send(request: ActorRequest): Promise<unknown> {
    const { cluster } = this.#parts;
    const remote = this.#remote;
    return cluster && remote
      ? remote.unknown.send(request, (asked) => this.#sendTo(cluster, remote, asked))
      : this.#callHere(request, undefined);
  }

  async #sendTo(cluster: ActorCluster, remote: RemoteCaller, request: ActorRequest): Promise<unknown> {
    const deadline = performance.now() + request.timeout;
    const named = "command" in request.content
      ? { ...request, id: request.id ?? crypto.randomUUID(), isNamed: request.id !== undefined }
      : request;
    let mayBeStored = request.mayBeStored ?? false;
    for (;;) {
      const owner = cluster.coordinator.shardFor(request.actorId);
      const left = { ...named, mayBeStored, timeout: deadline - performance.now() };
      try {
        if (owner && left.timeout > 0) return await this.#callHere(left, owner);
      } catch (error) {
        if (error instanceof MovedError) mayBeStored ||= error.mayBeStored;
        else if (!mayBeStored || !isOfThisTryOnly(error, request.definition)) throw error;
      }
      const hasCome = (): boolean => {
        const now = cluster.coordinator.shardFor(request.actorId);
        return now !== undefined && now !== owner;
      };
      const answer = await remote.send({ ...left, mayBeStored }, hasCome);
      if (!(answer instanceof ComeHere)) return answer;
      mayBeStored = answer.mayBeStored;
    }
  }

  #callHere(request: ActorRequest, owner: ReturnType<Coordinator["shardFor"]>): Promise<unknown> {
    const { definition, actorId, content, id, timeout, signal, origin } = request;
    const call = "timer" in content
      ? new TimerCall(actorId, content.timer, id!, timeout, signal, origin)
      : "command" in content
      ? new CommandCall(actorId, content.command, id, timeout, signal, origin)
      : new QueryCall(actorId, queryOf(definition, content.query)!, timeout, signal, origin);
    if (call instanceof CommandCall) {
      call.mayBeStored = request.mayBeStored ?? false;
      call.isNamed = request.isNamed ?? false;
    }
    return this.#parts.actors.call(definition, call, owner);
  }
}

/** Whether an error leaves open what became of an earlier try of the same command. */
function isOfThisTryOnly(error: unknown, definition: AnyActor): boolean {
  return error instanceof AetherError && !(error instanceof ActorFailedError) &&
    !(error instanceof OutcomeUnknownError) && !isDeclared(definition, error);
}

function checkCluster(given: ActorCluster): Required<ActorCluster> {
  checkKnown(given, CLUSTER_OPTIONS, "options.cluster");
  const { coordinator, connection, name = "default" } = given;
  if (typeof coordinator?.shardFor !== "function") {
    throw new InvalidArgumentError(
      "options.cluster.coordinator",
      `must be a Coordinator, and is ${describe(coordinator)}`,
    );
  }
  requireConnection("options.cluster.connection", connection);
  checkClusterName("options.cluster.name", name);
  ShardServer.assertFree(coordinator, name);
  return { coordinator, connection, name };
}

/** Refuses what cannot be a level of a subject. */
export function checkClusterName(argument: string, name: unknown): void {
  if (typeof name === "string" && /^[A-Za-z0-9_-]{1,128}$/.test(name)) return;
  throw new InvalidArgumentError(
    argument,
    `must be 1 to 128 letters, digits, _ and -, and is ${describe(name)}`,
  );
}

function checkCount(option: string, value: unknown): void {
  if (Number.isSafeInteger(value) && value as number > 0) return;
  throw new InvalidArgumentError(option, `must be a positive integer, and is ${describe(value)}`);
}
