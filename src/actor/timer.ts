/**
 * What a timer is.
 *
 * @module
 */

/**
 * A command that is due at a time.
 *
 * @typeParam C The commands.
 *
 * @category Actors
 */
export interface ActorTimer<C> {
  /** When: a `Date`, an RFC 3339 text such as `2026-01-31T09:00:00Z`, or milliseconds since 1970. One in the past is due at once. */
  readonly at: Date | string | number;
  /** What the actor is then sent. */
  readonly command: C;
}

/**
 * The timers of a state, by name. One that is `undefined` does not exist.
 *
 * @typeParam C The commands.
 */
export type ActorTimers<C> = Readonly<Record<string, ActorTimer<C> | undefined>>;

/** Names a timer of an actor. */
export interface TimerReference {
  /** Its name in the definition. */
  readonly name: string;
  /** When it is due, in milliseconds since 1970. */
  readonly at: number;
}

/**
 * What became of a timer: its command took effect, the state does not name it, its time has not come here, or its command
 * was refused.
 */
export type TimerOutcome = "fired" | "dropped" | "early" | { readonly refused: string };
