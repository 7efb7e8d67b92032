/**
 * Under which ownership an actor works: a shard that this process owns, or none if the process has all actors. What an
 * earlier owner has sent may still be stored, until the store refuses it.
 *
 * @module
 */

import { type CommandCall, mayBeStored, type QueryCall } from "./call.ts";
import { type ActorOwner, type Commits, MovedError } from "./commit.ts";
import type { Decided } from "./decision.ts";

/** The ownership of one actor. */
export class Ownership {
  readonly #owner: ActorOwner | undefined;
  readonly #commits: Commits;
  /** Whether the store refuses what earlier owners have sent to it. */
  #isFenced = false;

  constructor(owner: ActorOwner | undefined, commits: Commits) {
    this.#owner = owner;
    this.#commits = commits;
  }

  /** Whether another process may own the actor now. */
  get isLost(): boolean {
    return this.#owner !== undefined && !this.#owner.isHeld;
  }

  /** @throws {MovedError} If another process may own the actor now: its history holds what was stored here. */
  assertHeld(): void {
    if (this.isLost) throw new MovedError(false);
  }

  /** A commit of this owner was stored, so that those of earlier owners are refused. */
  noteStored(): void {
    this.#isFenced = true;
  }

  /** Whether the store has to refuse what earlier owners have sent, before calls are decided. */
  isToFence(calls: readonly (CommandCall | QueryCall)[]): boolean {
    return !this.#isFenced && this.#owner !== undefined && calls.some(mayBeStored);
  }

  /**
   * Makes the store refuse what earlier owners have sent: a command that one of them may still store is decided after that.
   *
   * @returns Whether it does: not if no such call waits any more.
   * @throws {MovedError} If another process may own the actor now.
   */
  async fence(calls: readonly (CommandCall | QueryCall)[]): Promise<boolean> {
    this.assertHeld();
    this.#isFenced = await this.#commits.takeOver(this.#owner!, () => calls.some(mayBeStored));
    return this.#isFenced;
  }

  /**
   * Whether a command without an effect may have been called before, by a client that is not known here, and an earlier
   * owner may still store that try: it is decided again once that cannot happen any more.
   */
  isOpen(group: readonly Decided[]): boolean {
    if (this.#isFenced || !this.#owner) return false;
    const named = group.filter(({ call }) => call.isNamed);
    for (const { call } of named) call.mayBeStored = true;
    return named.length > 0;
  }

  /** Whether a command cannot be decided yet: it came while the actor was loaded. */
  isTooEarly(call: CommandCall): boolean {
    return this.#commits.isUnknown || !this.#isFenced && this.#owner !== undefined && mayBeStored(call);
  }
}
