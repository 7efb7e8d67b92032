/**
 * Timers: what is due when, as a function of an actor's state.
 *
 * @module
 */

import type { Clock } from "../cluster/clock.ts";
import { copyJson, JsonFault, JsonTooLarge } from "../event/json.ts";
import { toTimestamp } from "../event/timestamp.ts";
import { TIMER_PREFIX } from "../store/command_id.ts";
import type { EventStore, SnapshotStore } from "../store/types.ts";
import { describe, nameFault, utf8Length } from "../text.ts";
import type { Warn } from "../warning.ts";
import type { AnyActor } from "./definition.ts";
import { InvalidTimersError } from "./errors.ts";
import type { TimerOutcome, TimerReference } from "./timer.ts";

/** A timer that was checked. */
export interface CheckedTimer {
  /** When it is due, in milliseconds since 1970. */
  readonly at: number;
  /** The command, a copy. */
  readonly command: unknown;
}

/** What a function of timers has named. */
export interface CheckedTimers {
  /** Those that are sound, by name. */
  readonly timers: ReadonlyMap<string, CheckedTimer>;
  /** What is wrong with the others. */
  readonly fault: InvalidTimersError | undefined;
}

/** How many timers an actor may have. */
export const MAX_TIMERS = 100;
const MAX_NAME_BYTES = 128;
const MAX_COMMAND_BYTES = 256 * 1_024;
/** The most bytes of a command's id. */
const MAX_ID_BYTES = 128;

const NONE: CheckedTimers = { timers: new Map(), fault: undefined };

/**
 * Asks a definition for the timers of a state. It never throws: what is wrong is a fault, and the other timers hold.
 *
 * @param version The version of the state: an actor without events has no timers, also if its initial state names some.
 */
export function timersOf(definition: AnyActor, state: unknown, version: number): CheckedTimers {
  if (!definition.timers || version === 0) return NONE;
  let named: unknown;
  try {
    named = definition.timers(state);
  } catch (cause) {
    return faulty(new InvalidTimersError(definition.name, undefined, "it threw an error", { cause }));
  }
  try {
    if (isThenable(named)) {
      Promise.resolve(named).catch(() => {}); // its rejection must not end the process
      return faulty(new InvalidTimersError(definition.name, undefined, "it returned a promise"));
    }
    return checkTimers(definition.name, named);
  } catch (cause) {
    return faulty(
      new InvalidTimersError(definition.name, undefined, "what it returned cannot be read", { cause }),
    );
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { readonly then?: unknown } | null | undefined)?.then === "function";
}

function faulty(fault: InvalidTimersError): CheckedTimers {
  return { timers: NONE.timers, fault };
}

function checkTimers(kind: string, named: unknown): CheckedTimers {
  if (typeof named !== "object" || named === null || Array.isArray(named)) {
    return faulty(
      new InvalidTimersError(kind, undefined, `it returned ${describe(named)} in place of an object`),
    );
  }
  const entries = Object.entries(named).filter(([, timer]) => timer !== undefined);
  if (entries.length > MAX_TIMERS) {
    return faulty(
      new InvalidTimersError(
        kind,
        undefined,
        `it named ${entries.length} timers, and an actor may have ${MAX_TIMERS}`,
      ),
    );
  }
  const timers = new Map<string, CheckedTimer>();
  let fault: InvalidTimersError | undefined;
  for (const [name, timer] of entries) {
    const checked = checkTimer(kind, name, timer);
    if (checked instanceof InvalidTimersError) fault ??= checked;
    else timers.set(name, checked);
  }
  return { timers, fault };
}

function checkTimer(kind: string, name: string, timer: unknown): CheckedTimer | InvalidTimersError {
  // As JSON, which is how the index stores it: there a control character takes six bytes.
  const nameIs = nameFault(name, MAX_NAME_BYTES) ??
    nameFault(JSON.stringify(name).slice(1, -1), MAX_NAME_BYTES);
  if (nameIs) return new InvalidTimersError(kind, name, `its name ${nameIs}`);
  if (typeof timer !== "object" || timer === null || !("at" in timer && "command" in timer)) {
    return new InvalidTimersError(kind, name, `it must be { at, command }, and is ${describe(timer)}`);
  }
  const at = timeOf(timer.at);
  if (at === undefined) {
    const must = "its time must be a valid Date, an RFC 3339 time or milliseconds since 1970";
    return new InvalidTimersError(kind, name, `${must}, and is ${describe(timer.at)}`);
  }
  try {
    const { value, most } = copyJson(timer.command, "command", MAX_COMMAND_BYTES);
    if (most > MAX_COMMAND_BYTES && utf8Length(JSON.stringify(value)) > MAX_COMMAND_BYTES) {
      throw new JsonTooLarge(most);
    }
    return { at, command: value };
  } catch (cause) {
    if (cause instanceof JsonFault) {
      return new InvalidTimersError(kind, name, `${cause.path} ${cause.message}`, { cause });
    }
    if (!(cause instanceof JsonTooLarge)) throw cause;
    return new InvalidTimersError(
      kind,
      name,
      `its command must be at most ${MAX_COMMAND_BYTES} bytes as JSON`,
    );
  }
}

/** A time in milliseconds, never before the one that was meant; `undefined` if it is none of the years 0 to 9999. */
function timeOf(at: unknown): number | undefined {
  const given = typeof at === "number" ? new Date(Math.ceil(at)) : at;
  const text = toTimestamp(given);
  return text === undefined ? undefined : Date.parse(text);
}

/** The id of the command of a timer: the same one in every process, so that it takes effect once. */
export async function timerCommandId(actorId: string, { name, at }: TimerReference): Promise<string> {
  const id = `${TIMER_PREFIX}${actorId}/${name}/${new Date(at).toISOString()}`;
  if (utf8Length(id) <= MAX_ID_BYTES) return id;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(id));
  return `${TIMER_PREFIX}${new Uint8Array(digest).toHex()}`;
}

/** The kinds of actors that have timers. */
export function kindsWithTimers(definitions: ReadonlyMap<string, AnyActor>): AnyActor[] {
  return [...definitions.values()].filter(({ timers }) => timers !== undefined);
}

/** Sends a due timer to its actor, under the id of its command. */
export type FireTimer = (
  definition: AnyActor,
  actorId: string,
  timer: TimerReference,
  id: string,
  signal: AbortSignal,
) => Promise<TimerOutcome>;

/** A state and the version that it is of. */
export interface KnownState {
  readonly state: unknown;
  readonly version: number;
}

/** What timers are worked on with. */
export interface TimerSetup {
  /** Where the events are. */
  readonly store: EventStore & Partial<SnapshotStore>;
  /** All kinds of actors, by name. */
  readonly definitions: ReadonlyMap<string, AnyActor>;
  /** The time by which timers are due, and what waits for it. */
  readonly clock: Clock;
  /** Sends a due timer to its actor. */
  readonly fire: FireTimer;
  /** The stored state of an actor that is in memory here: it need not be read. */
  readonly stateOf?: (actorId: string) => KnownState | undefined;
  /** Takes warnings. */
  readonly warn: Warn;
}
