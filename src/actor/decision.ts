/**
 * Commands that are decided on the state in memory, and answered once their events are stored.
 *
 * @module
 */

import { isPromise } from "node:util/types";
import { copyJson } from "../event/json.ts";
import type { Event, NewEvent, StoredEvent } from "../event/types.ts";
import { checkDecision } from "../store/check_options.ts";
import { withCommandId } from "../store/command_id.ts";
import type { Replayed } from "../store/fold.ts";
import { messageOf } from "../text.ts";
import { type CallResult, type CommandCall, type QueryCall, TimerCall } from "./call.ts";
import { enter, leave } from "./chain.ts";
import type { AnyActor } from "./definition.ts";
import { ActorFailedError } from "./errors.ts";
import { StateChanges } from "./state_changes.ts";
import { timersOf } from "./timers.ts";
import { type AnyDecider, asStored, deciderOf } from "./untyped.ts";

/** A command that has been decided on, and what it led to: events, or an error. */
export interface Decided {
  readonly call: CommandCall;
  readonly events: readonly NewEvent<Event>[];
  readonly error?: unknown;
}

/**
 * Decides a command. Its events have their ids from now on, so that the commit can be repeated.
 *
 * @param version The version of the state.
 * @param now The time of its events, in milliseconds since 1970.
 */
export function decide(
  definition: AnyActor,
  call: CommandCall,
  state: unknown,
  version: number,
  now: number,
): Decided {
  const changes = StateChanges.of(definition);
  const seen = changes.look("decide", state);
  const outer = enter(call);
  try {
    const command = call instanceof TimerCall ? commandOf(definition, call, state, version, now) : call;
    if (!command) return { call, events: [] };
    const decided = deciderOf(definition).decide(command.command, state);
    checkDecision(decided);
    const named = call.id === undefined ? decided : withCommandId(decided, call.id);
    const timestamp = timestampOf(now);
    const events = named.map((event) => ({ id: crypto.randomUUID(), timestamp, ...event }));
    const { traceparent } = call;
    return { call, events: traceparent === undefined ? events : events.map(tracedBy(traceparent)) };
  } catch (error) {
    const failure = errorFor(definition, call.actorId, error);
    if (call instanceof TimerCall) call.outcome = { refused: messageOf(failure) };
    return { call, events: [], error: failure };
  } finally {
    leave(outer);
    changes.hasChanged(seen, state, true);
  }
}

/** The command of a timer; `undefined` if the state does not name the timer at this time, or it is not due yet. */
function commandOf(
  definition: AnyActor,
  call: TimerCall,
  state: unknown,
  version: number,
  now: number,
): { readonly command: unknown } | undefined {
  const { name, at } = call.timer;
  const timer = timersOf(definition, state, version).timers.get(name);
  call.outcome = timer?.at !== at ? "dropped" : at > now ? "early" : "fired";
  return call.outcome === "fired" ? timer : undefined;
}

/** Gives events that have no trace context one: those of one commit may come from several callers. */
function tracedBy(traceparent: string): (event: NewEvent<Event>) => NewEvent<Event> {
  return (event) => ({ ...event, metadata: { traceparent, ...event.metadata } });
}

/** Answers a query. */
export function answerQuery(definition: AnyActor, call: QueryCall, state: unknown): void {
  const changes = StateChanges.of(definition);
  const seen = changes.look("query", state);
  const outer = enter(call);
  try {
    const answer = call.answer(state);
    refusePromise("a query", answer);
    call.resolve(answer);
  } catch (error) {
    call.reject(errorFor(definition, call.actorId, error));
  } finally {
    leave(outer);
    changes.hasChanged(seen, state, true);
  }
}

/** @throws {TypeError} If a function that must be synchronous has returned a promise. */
export function refusePromise(name: string, returned: unknown): void {
  if (!isPromise(returned)) return;
  returned.then(undefined, () => {}); // its rejection would end the process
  throw new TypeError(`${name} must return a value, and returned a promise`);
}

let latest = { time: NaN, text: "" };

/** A time as text; many commands are decided in the same millisecond. */
function timestampOf(time: number): string {
  if (time !== latest.time) latest = { time, text: new Date(time).toISOString() };
  return latest.text;
}

/** An error of a decider or a query, as a caller gets it. */
export function errorFor(definition: AnyActor, actorId: string, error: unknown): unknown {
  return isDeclared(definition, error) ? error : new ActorFailedError(actorId, error);
}

/** Whether an error is of a class that the definition declares. */
export function isDeclared(definition: AnyActor, error: unknown): boolean {
  return declaredName(definition, error) !== undefined;
}

/** Under which name a definition declares the class of an error: the nearest class, if the error is of several. */
export function declaredName({ errors }: AnyActor, error: unknown): string | undefined {
  let found: string | undefined;
  try {
    for (const [name, type] of Object.entries(errors)) {
      if (!(error instanceof type)) continue;
      if (found === undefined || type.prototype instanceof errors[found]!) found = name;
    }
  } catch {
    return undefined; // a Proxy may throw when it is read
  }
  return found;
}

/**
 * The state after events that are not stored yet, for the next command of the same commit. `undefined` if it cannot be
 * known before they are: the store may refuse them.
 *
 * @param version The version before the events.
 * @param maxBytes The most bytes of an event.
 */
export function foldAhead(
  definition: AnyActor,
  before: unknown,
  version: number,
  { call, events }: Decided,
  maxBytes: number,
): { readonly state: unknown } | undefined {
  const decider = deciderOf(definition);
  const changes = StateChanges.of(definition);
  try {
    let state = before;
    for (const event of events) {
      const data = copyJson(event.data, "data", maxBytes).value;
      const stored = asStored({ ...event, data }, { actorId: call.actorId, version: ++version });
      const seen = changes.look(event.eventType, state);
      const next = decider.evolve(state, Object.freeze(stored));
      if (changes.hasChanged(seen, state, false)) return undefined;
      refusePromise("evolve()", state = next);
    }
    return { state };
  } catch {
    return undefined;
  }
}

/**
 * Answers decided commands, each with the state and the version that it led to.
 *
 * @param stored Their events.
 * @returns The state after all of them; `undefined` if the fold has failed.
 */
export function answer(
  decider: AnyDecider,
  current: Replayed<unknown>,
  group: readonly Decided[],
  stored: readonly StoredEvent[],
): { readonly value: unknown } | undefined {
  let { state, version } = current;
  let failure: unknown;
  let next = 0;
  for (const { call, events, error } of group) {
    for (let index = 0; index < events.length; index++) {
      const event = stored[next++]!;
      try {
        if (failure === undefined) state = decider.evolve(state, event);
        refusePromise("evolve()", state);
      } catch (cause) {
        failure = new ActorFailedError(call.actorId, cause, true);
      }
      version = event.version;
      call.isStored = true;
    }
    if (error !== undefined) call.reject(error);
    else if (failure !== undefined) call.reject(failure);
    else call.resolve({ version, state } satisfies CallResult<unknown>);
  }
  return failure === undefined ? { value: state } : undefined;
}
