/**
 * The actors that are in memory.
 *
 * @module
 */

import { ClosedError } from "../errors.ts";
import { Deadlines } from "../deadlines.ts";
import { MAX_TIMER_MS } from "../sleep.ts";
import type { Replayed } from "../store/fold.ts";
import { type OpenSpan, telemetry } from "../telemetry.ts";
import { ActiveActor, type ActorSetup } from "./active_actor.ts";
import type { ActorOwner } from "./commit.ts";
import type { Call, CommandCall, QueryCall } from "./call.ts";
import type { AnyActor } from "./definition.ts";
import { ActorBusyError } from "./errors.ts";
import { ActorHistory } from "./history.ts";
import { Preloads } from "./preloads.ts";
import { deciderOf } from "./untyped.ts";

/** How soon a caller may try again whose actor has too many calls, in milliseconds. */
const RETRY_AFTER = 100;
/** How many busy actors there may be in memory beyond the bound: an actor is not released before its calls are answered. */
const MAX_SURPLUS = 1_000;
/** How often, in an idle timeout, actors that are not called are looked for. */
const LOOKS_PER_TIMEOUT = 4;

/** What the table works with. */
export interface ActiveActorsSetup extends Omit<ActorSetup, "onIdle" | "owner"> {
  /** How many actors may be in memory. */
  readonly maxActive: number;
  /** How long an actor stays in memory after its last call, in milliseconds. */
  readonly idleTimeout: number;
  /** How many calls may wait for one actor. */
  readonly maxWaiting: number;
}

/** Loads actors when they are called, and releases those that are not. */
export class ActiveActors {
  readonly #setup: ActiveActorsSetup;
  readonly #deadlines = new Deadlines(true);
  /** Those called last are at the end. */
  readonly #active = new Map<string, ActiveActor>();
  /** Where the next one to release is looked for. From the beginning, each look would skip all that were released before. */
  #oldest = this.#active.values();
  readonly #preloads = new Preloads();
  readonly #releasing = new Set<Promise<void>>();
  readonly #timer: ReturnType<typeof setInterval>;
  #isSettling = false;
  #isClosed = false;

  /** Is empty at first. */
  constructor(setup: ActiveActorsSetup) {
    this.#setup = setup;
    const interval = Math.min(setup.idleTimeout / LOOKS_PER_TIMEOUT, MAX_TIMER_MS); // a longer one would be over at once
    this.#timer = setInterval(() => this.#releaseIdle(), interval);
    Deno.unrefTimer(this.#timer);
  }

  /** How many actors are in memory, without those that were read before they moved here. */
  get size(): number {
    return this.#active.size;
  }

  /** How many there are with those: together they keep to the bound. */
  get #inMemory(): number {
    return this.#active.size + this.#preloads.size;
  }

  /**
   * Hands a call to its actor.
   *
   * @param owner The shard under which the actor may work; none if this process has all actors.
   * @throws {ActorBusyError | ClosedError} If it is not taken.
   */
  call(definition: AnyActor, call: CommandCall | QueryCall, owner?: ActorOwner): Promise<unknown> {
    if (this.#isClosed) throw new ClosedError("host");
    const { maxWaiting, maxActive } = this.#setup;
    if (this.#active.size >= maxActive + MAX_SURPLUS && !this.#active.has(call.actorId)) {
      throw new ActorBusyError(call.actorId, 0, RETRY_AFTER); // all of them are busy
    }
    const actor = this.#actor(definition, call, owner);
    if (actor.waiting >= maxWaiting) throw new ActorBusyError(actor.id, actor.waiting, RETRY_AFTER);
    call.timedBy(this.#deadlines);
    const span = telemetry()?.begin("aether.command", {
      attributes: { "aether.actor_id": call.actorId },
      traceparent: call.origin.traceparent,
    });
    call.traceparent = span?.traceparent;
    actor.enqueue(call);
    // Not before: an actor without a call would be released at once if all others are busy.
    if (this.#inMemory > maxActive) this.#releaseSurplus();
    return span ? traced(call, span) : call.promise;
  }

  /** The stored state of an actor, if it is in memory. */
  stateOf(actorId: string): Replayed<unknown> | undefined {
    return this.#active.get(actorId)?.current;
  }

  /** The ids of the actors that work under an owner, those called last first. */
  idsOf(owner: ActorOwner, most: number): string[] {
    const own = [...this.#active.values()].filter((actor) => actor.owner === owner);
    return own.reverse().slice(0, most).map(({ id }) => id);
  }

  /** Reads the state of an actor that is to move here, if there is room: its first call then reads what has come since. */
  async preload(definition: AnyActor, actorId: string): Promise<void> {
    const isWanted = (): boolean =>
      !this.#isClosed && this.#inMemory < this.#setup.maxActive && !this.#active.has(actorId);
    if (!isWanted()) return;
    const history = new ActorHistory(actorId, deciderOf(definition), this.#setup);
    try {
      await history.preload();
      if (isWanted()) this.#preloads.add(actorId, history);
    } catch {
      // The first call reads it again, and reports what is wrong.
    }
  }

  /** Finishes the calls of the actors that work under an owner, and releases them: also those that come meanwhile. */
  async releaseOf(owner: ActorOwner): Promise<void> {
    for (;;) {
      const own = [...this.#active.values()].filter((actor) => actor.owner === owner);
      if (own.length === 0) return;
      await Promise.all(own.map(async (actor) => {
        await actor.passivate();
        // A call that came meanwhile is the actor's still: another one of the same id would not keep the order.
        if (!actor.hasCalls && this.#active.get(actor.id) === actor) this.#active.delete(actor.id);
      }));
    }
  }

  /** Rejects what waits, and waits for what is being stored. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    const error = new ClosedError("host"); // one for all: there may be many
    await Promise.all([...this.#active.values()].map((actor) => actor.close(error)));
    await Promise.all(this.#releasing); // each of them waits for its time only
    this.#deadlines.close();
  }

  #actor(definition: AnyActor, call: Call, owner: ActorOwner | undefined): ActiveActor {
    const { actorId } = call;
    let actor = this.#active.get(actorId);
    if (actor) this.#active.delete(actorId); // it goes to the end
    // What an actor of an earlier ownership knows may be old.
    if (!actor || actor.owner !== owner) {
      const { store, warn, now } = this.#setup;
      const onIdle = this.#onIdle;
      const history = this.#preloads.take(actorId);
      actor = new ActiveActor(actorId, definition, { store, warn, now, onIdle, owner }, history);
    }
    actor.lastUsed = call.begun;
    this.#active.set(actorId, actor);
    return actor;
  }

  #releaseIdle(): void {
    const latest = performance.now() - this.#setup.idleTimeout;
    this.#preloads.removeOld();
    for (const actor of this.#active.values()) {
      if (actor.lastUsed > latest) return;
      if (actor.isUnsettled) void this.#settleIdle(latest);
      else this.#release(actor);
    }
  }

  /** Releases actors of which a commit was given up, once it is known what became of it: one after the other. */
  async #settleIdle(latest: number): Promise<void> {
    if (this.#isSettling) return;
    this.#isSettling = true;
    for (const actor of this.#active.values()) {
      if (actor.lastUsed > latest || this.#isClosed) break;
      if (!actor.isUnsettled || actor.isBusy) continue;
      await actor.settle();
      if (actor.isUnsettled) break; // the store does not answer: later
      this.#release(actor);
    }
    this.#isSettling = false;
  }

  readonly #onIdle = (): void => {
    if (this.#inMemory > this.#setup.maxActive) this.#releaseSurplus();
  };

  #releaseSurplus(): void {
    this.#preloads.remove(this.#inMemory - this.#setup.maxActive);
    for (let left = this.#active.size; left > 0 && this.#active.size > this.#setup.maxActive; left--) {
      let { value: actor } = this.#oldest.next();
      if (!actor) {
        this.#oldest = this.#active.values();
        actor = this.#oldest.next().value;
      }
      if (actor) this.#release(actor);
    }
  }

  #release(actor: ActiveActor): void {
    if (actor.isBusy) return;
    if (actor.isUnsettled) return;
    this.#active.delete(actor.id);
    const released = actor.passivate().finally(() => this.#releasing.delete(released));
    this.#releasing.add(released);
  }
}

async function traced(call: Call, span: OpenSpan<"aether.command">): Promise<unknown> {
  try {
    const answer = await call.promise;
    span.end();
    return answer;
  } catch (error) {
    span.end(error);
    throw error;
  }
}
