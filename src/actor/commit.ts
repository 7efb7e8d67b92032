/**
 * Storing what a group of commands has decided: one commit, and what becomes of the commands if it is refused or its
 * outcome is unknown.
 *
 * @module
 */

import { AetherError, BackendError, ClosedError } from "../errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { backoff, sleep } from "../sleep.ts";
import { telemetry } from "../telemetry.ts";
import { FencedError, LogReplacedError, OutcomeUnknownError, VersionConflictError } from "../store/errors.ts";
import { waitAfterConflict } from "../store/execute.ts";
import type { EventStore } from "../store/types.ts";
import type { Warn } from "../warning.ts";
import type { Decided } from "./decision.ts";

/** The bounds of the wait between two tries of a commit whose outcome is unknown, in milliseconds. */
const FIRST_WAIT = 50;
const LONGEST_WAIT = 1_000;
/** How often commands are decided again after a conflict. */
const MAX_CONFLICTS = 10;

/** Under what an actor works: a shard that this process owns. */
export interface ActorOwner {
  /** Whether it is owned at this instant. */
  readonly isHeld: boolean;
  /** Higher than that of every earlier owner. */
  readonly fencingToken: number;
}

/** The actor is no longer this process's own: its caller finds the new owner. */
export class MovedError extends Error {
  /** Whether the command may have been stored before: the new owner finds it by its id. */
  readonly mayBeStored: boolean;

  constructor(mayBeStored: boolean) {
    super("the actor is another process's");
    this.mayBeStored = mayBeStored;
  }
}

/**
 * What is to be done after a commit. `conflict`: another writer came first, its events are to be read and the commands
 * decided again. `fewer`: the commands are to be decided again, fewer of them together. `answered`: the commands have got
 * an error. `reload`: they too, and what is in memory may be old.
 */
export type NotStored = "conflict" | "fewer" | "answered" | "reload";

/** The commits of an actor. */
export class Commits {
  readonly #store: EventStore;
  readonly #actorId: string;
  readonly #owner: ActorOwner | undefined;
  readonly #warn: Warn;
  #groupLimit = Infinity;
  #conflicts = 0;
  #sending: readonly Decided[] = [];
  /** What was sent, and is stored or not, though no caller waits for it any more. */
  #unknown: { readonly group: readonly Decided[]; readonly expectedVersion: number } | undefined;

  /** @param owner Under what the actor works; none if this process has all actors. */
  constructor(store: EventStore, actorId: string, owner: ActorOwner | undefined, warn: Warn) {
    this.#warn = warn;
    this.#store = store;
    this.#actorId = actorId;
    this.#owner = owner;
  }

  /** How many commands are decided together: fewer after a commit that was refused. */
  get groupLimit(): number {
    return this.#groupLimit;
  }

  /** Stores what a group has decided on a version. */
  async store(
    group: readonly Decided[],
    expectedVersion: number,
  ): Promise<readonly StoredEvent[] | NotStored> {
    for (const { call, events } of group) call.sent = { events, expectedVersion };
    this.#sending = group;
    try {
      const stored = await this.#append(group, expectedVersion);
      this.#groupLimit *= 2;
      this.#conflicts = 0;
      return stored;
    } catch (error) {
      if (error instanceof OutcomeUnknownError) return await this.#learn(group, expectedVersion, error);
      return await this.#refused(group, error);
    } finally {
      this.#sending = [];
    }
  }

  /** What is being stored. */
  get sending(): readonly Decided[] {
    return this.#sending;
  }

  #append(group: readonly Decided[], expectedVersion: number): Promise<readonly StoredEvent[]> {
    const owner = this.#owner;
    const events = group.length === 1 ? group[0]!.events : group.flatMap(({ events }) => events);
    const options = owner ? { expectedVersion, fencingToken: owner.fencingToken } : { expectedVersion };
    const append = (): Promise<readonly StoredEvent[]> => this.#store.append(this.#actorId, events, options);
    const traced = group.find(({ call, events }) => events.length > 0 && call.traceparent);
    return traced ? telemetry()?.within(traced.call.traceparent, append) ?? append() : append();
  }

  /** Nothing was stored. */
  async #refused(group: readonly Decided[], error: unknown): Promise<NotStored> {
    if (error instanceof VersionConflictError && this.#conflicts++ < MAX_CONFLICTS) {
      return await this.#conflict();
    }
    if (group.length > 1 && !isOfStore(error)) {
      // One of the commands is at fault, or there are too many: fewer are tried together.
      this.#groupLimit = Math.floor(group.length / 2);
      return "fewer";
    }
    this.#conflicts = 0;
    if (error instanceof BackendError) this.#warnOf(error);
    const reason = error instanceof FencedError && this.#owner ? new MovedError(false) : error;
    for (const { call } of group) call.reject(reason);
    return isOfStore(error) || error instanceof VersionConflictError ? "reload" : "answered";
  }

  async #conflict(): Promise<NotStored> {
    await waitAfterConflict(this.#conflicts, undefined);
    return "conflict";
  }

  /** Whether a commit was given up that may still be stored. Nothing must be decided before that is known. */
  get isUnknown(): boolean {
    return this.#unknown !== undefined;
  }

  /**
   * Finds out what has become of the commit that was given up: else it could be stored after a command of it, which was
   * called again, is refused.
   *
   * @param isNeeded Whether a command still waits for it.
   * @throws {MovedError} If another process owns the actor.
   */
  async settle(isNeeded: () => boolean): Promise<void> {
    for (let attempt = 1; this.#unknown && isNeeded(); attempt++) {
      const { group, expectedVersion } = this.#unknown;
      const { outcome, error } = await this.#repeat(group, expectedVersion);
      if (outcome !== "unknown") this.#unknown = undefined;
      if (error instanceof FencedError && this.#owner) throw new MovedError(false);
      if (outcome === "unknown") await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
    }
  }

  /**
   * Makes the store refuse what earlier owners have sent and is still on its way.
   *
   * @param isNeeded Whether a call still waits for it.
   * @returns Whether it does; it may not if no call waits any more.
   * @throws {MovedError} If another process owns the actor.
   */
  async takeOver(owner: ActorOwner, isNeeded: () => boolean): Promise<boolean> {
    for (let attempt = 1; isNeeded(); attempt++) {
      try {
        await this.#store.takeOver(this.#actorId, owner.fencingToken);
        return true;
      } catch (error) {
        if (error instanceof FencedError) throw new MovedError(false);
        if (!(error instanceof OutcomeUnknownError)) throw error;
      }
      await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
    }
    return false;
  }

  /** Repeats a commit of unknown outcome, which stores it once, until the store answers or no caller waits any more. */
  async #learn(
    group: readonly Decided[],
    expectedVersion: number,
    unknown: OutcomeUnknownError,
  ): Promise<readonly StoredEvent[] | NotStored> {
    let failure: unknown = unknown;
    for (let attempt = 1; group.some(({ call }) => !call.isSettled); attempt++) {
      await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
      const { outcome, stored, error } = await this.#repeat(group, expectedVersion);
      failure = error;
      if (stored) return stored;
      if (outcome === "conflict") return await this.#conflict();
      if (outcome === "unknown") continue;
      // The first try may have been stored all the same: the new owner finds that out, or no process here can.
      for (const { call } of group) {
        if (error instanceof FencedError && this.#owner) call.reject(new MovedError(true));
        else call.expire();
      }
      return "reload";
    }
    this.#unknown = { group, expectedVersion };
    this.#warnOf(failure);
    return "reload";
  }

  /** The store does not take events, or does not answer: that concerns all actors of the host. */
  #warnOf(cause: unknown): void {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message =
      `The events of actor "${this.#actorId}" cannot be stored: ${reason}. The host keeps its actors, ` +
      "because other hosts use the same store. If those can store, call drain() of its coordinator";
    this.#warn({ code: "actor-not-stored", message, cause });
  }

  /** Sends a commit again, with the same ids: an append that was stored is answered with what was stored. */
  async #repeat(group: readonly Decided[], expectedVersion: number): Promise<Repeated> {
    try {
      return { outcome: "stored", stored: await this.#append(group, expectedVersion) };
    } catch (error) {
      if (error instanceof VersionConflictError) return { outcome: "conflict" };
      const isUnknown = error instanceof OutcomeUnknownError || error instanceof BackendError;
      return { outcome: isUnknown ? "unknown" : "failed", error };
    }
  }
}

/** What is known after a commit was sent again. */
interface Repeated {
  readonly outcome: "stored" | "conflict" | "unknown" | "failed";
  readonly stored?: readonly StoredEvent[];
  readonly error?: unknown;
}

/** Whether a failure is the store's, and not that of what was to be stored. */
function isOfStore(error: unknown): boolean {
  return !(error instanceof AetherError) || error instanceof BackendError || error instanceof ClosedError ||
    error instanceof FencedError || error instanceof LogReplacedError;
}
