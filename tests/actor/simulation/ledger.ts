/**
 * The actors of the simulation. Their events show on which state they were decided, so that a wrong one is found in the log.
 *
 * @module
 */
import type { ActorDefinition } from "../../../src/actor/definition.ts";
import type { ActorTimer } from "../../../src/actor/timer.ts";
import type { Event, NewEvent } from "../../../src/event/types.ts";
import type { Subject } from "./subject.ts";

/** What a client asks for. */
export interface Command {
  /** The actor that is meant. */
  readonly actor: string;
  /** Names the command: another one for each. */
  readonly call: string;
  /** How many events it leads to. */
  readonly parts: number;
  /** Whether it is refused if the number of events so far is even. */
  readonly mayBeRefused: boolean;
  /** When the actor is to be sent a command by a timer, in place of a timer before. */
  readonly timer?: number;
}

/** A part of a command has taken effect. */
export type Noted = Event<"Noted", {
  readonly call: string;
  readonly part: number;
  /** How many events the actor had when the command was decided. */
  readonly basis: number;
  /** The actor, and when its timer is due. */
  readonly timer?: { readonly actor: string; readonly at: number };
}>;

/** The beginning of the names of commands that a timer sends. */
export const BY_TIMER = "timer:";

/** What an actor knows. */
export interface Ledger {
  /** How many events it has. */
  readonly count: number;
  /** A digest of all of them. */
  readonly digest: number;
  /** The timer, and the command that has set it. */
  readonly pending: { readonly actor: string; readonly at: number; readonly by: string } | null;
}

/** The command does not fit the state. */
export class Refused extends Error {
  /** How many events the actor had. */
  readonly count: number;

  constructor(count: number) {
    super("refused");
    this.count = count;
  }
}

export const EMPTY: Ledger = { count: 0, digest: 0, pending: null };

/** Folds an event. */
export function evolve({ count, digest, pending }: Ledger, { data }: Noted): Ledger {
  let mixed = digest;
  for (const char of `${data.call}/${data.part}`) {
    mixed = Math.imul(mixed ^ char.charCodeAt(0), 0x01000193) >>> 0;
  }
  const { call, timer } = data;
  const next = call.startsWith(BY_TIMER) ? null : timer ? { ...timer, by: call } : pending;
  return { count: count + 1, digest: mixed, pending: next };
}

export type LedgerDefinition = ActorDefinition<Ledger, Command, Noted, { ledger: Ledger }>;

/** Defines the actors. */
export function defineLedger(subject: Subject, onDecision: (command: Command) => void): LedgerDefinition {
  return subject.defineActor("ledger", {
    decider: {
      initialState: (): Ledger => EMPTY,
      evolve,
      decide(command: Command, { count }: Ledger): NewEvent<Noted>[] {
        onDecision(command);
        if (command.mayBeRefused && count % 2 === 0) throw new Refused(count);
        return Array.from({ length: command.parts }, (_, index) => ({
          eventType: "Noted",
          data: {
            call: command.call,
            part: index + 1,
            basis: count,
            ...(command.timer !== undefined && { timer: { actor: command.actor, at: command.timer } }),
          },
        }));
      },
      snapshot: { kind: "ledger", schemaVersion: 1, every: 6 },
    },
    timers: ({ pending }): { due?: ActorTimer<Command> } => {
      if (!pending) return {};
      const { actor, at, by } = pending;
      return { due: { at, command: { actor, call: BY_TIMER + by, parts: 1, mayBeRefused: false } } };
    },
    queries: { ledger: (state) => state },
    errors: { Refused },
  });
}
