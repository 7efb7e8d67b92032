/**
 * Functions of a definition that change the state they are given, against their contract.
 *
 * An actor uses its state again, so that such a change would stay: the events of commands that are decided together would
 * be folded into it twice. The first calls, and then fewer and fewer, are looked at. Once a change is found, the actors of
 * the definition begin again with what is stored, and decide one command a commit.
 *
 * @module
 */

import { serialize } from "node:v8";
import type { Warn } from "../warning.ts";
import type { AnyActor } from "./definition.ts";

/** How many calls of a function are looked at before it is only every power of two. */
const FIRST_LOOKS = 8;

const known = new WeakMap<AnyActor, StateChanges>();

/** What changes the states of a kind of actors. */
export class StateChanges {
  readonly #kind: string;
  readonly #looks = new Map<string, number>();
  #found = 0;
  #isLasting = false;

  private constructor(kind: string) {
    this.#kind = kind;
  }

  /** What all actors of a definition in this process have found. */
  static of(definition: AnyActor): StateChanges {
    let changes = known.get(definition);
    if (!changes) known.set(definition, changes = new StateChanges(definition.name));
    return changes;
  }

  /** How much was found: commands of which something is known are decided one by one. */
  get found(): number {
    return this.#found;
  }

  /** Whether `decide` or a query changes states: what is in memory is not to be relied on after its call. */
  get isLasting(): boolean {
    return this.#isLasting;
  }

  /**
   * Looks at a state before a function is called with it.
   *
   * @param name The function; for `evolve` the type of the event.
   * @returns `undefined` if this call is not to be looked at, or the state cannot be.
   */
  look(name: string, state: unknown): Uint8Array | undefined {
    if (typeof state !== "object" || state === null) return undefined;
    const count = this.#looks.get(name) ?? 0;
    this.#looks.set(name, count + 1);
    if (count >= FIRST_LOOKS && (count & (count - 1)) !== 0) return undefined;
    return bytesOf(state);
  }

  /**
   * Looks at the state after the call.
   *
   * @returns Whether the call has changed it.
   */
  hasChanged(before: Uint8Array | undefined, state: unknown, isLasting: boolean): boolean {
    if (!before) return false;
    const after = bytesOf(state);
    if (after?.length === before.length && after.every((byte, index) => byte === before[index])) return false;
    if (this.#found === 0 || isLasting && !this.#isLasting) this.#found++;
    this.#isLasting ||= isLasting;
    return true;
  }

  /** Reports what was found. */
  warn(warn: Warn): void {
    const what = this.#isLasting ? "decide() or a query" : "evolve()";
    const until = this.#isLasting ? "is read again for each command" : "takes one command a commit";
    const message =
      `${what} of the actors "${this.#kind}" changes the state that it is given, and must leave it ` +
      `as it is: return another object. Until then each of these actors ${until}`;
    warn({ code: "state-changed", message });
  }
}

function bytesOf(state: unknown): Uint8Array | undefined {
  try {
    return serialize(state);
  } catch {
    return undefined; // it has a function, for example
  }
}
