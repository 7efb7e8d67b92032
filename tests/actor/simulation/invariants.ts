/**
 * What must hold at every step, whatever happens. The order of an actor's events in the log is the order in which its
 * commands took effect: each answer must fit it, and the times at which the calls began and ended.
 *
 * @module
 */
import type { StoredEvent } from "../../../src/event/types.ts";
import type { Process } from "../../cluster/simulation/process.ts";
import { Violation } from "../../cluster/simulation/invariants.ts";
import { BY_TIMER, type Command, EMPTY, evolve, type Ledger, type Noted } from "./ledger.ts";
import type { Ownership } from "./ownership.ts";

/** A call, from its beginning. */
export interface Begun {
  readonly actor: string;
  /** The version that a call was answered with before this one began. */
  readonly floor: number;
}

/** What an actor did so far. */
interface Record {
  /** Its states, by version. */
  readonly states: Ledger[];
  /** The version of the last event of each command. */
  readonly effects: Map<string, number>;
  /** The highest version that a caller knows. */
  known: number;
}

/** Watches over the promises. */
export class Invariants {
  readonly #actors = new Map<string, Record>();
  readonly #ownership: Ownership;
  readonly #now: () => number;
  readonly #times = new Set<number>();
  readonly #answers = new Map<string, number>();
  readonly #storedBy = new Map<string, Process>();
  readonly #withoutEffect = new Set<string>();
  #violation: Violation | undefined;
  /** How many answers there were. */
  answered = 0;

  constructor(ownership: Ownership, now: () => number) {
    this.#ownership = ownership;
    this.#now = now;
  }

  /** Throws what was found, also inside code that would swallow it. */
  rethrow(): void {
    if (this.#violation !== undefined) throw this.#violation;
  }

  /** Notes a broken promise. */
  broken(message: string): void {
    this.#violation ??= new Violation(message);
  }

  #of(actor: string): Record {
    let record = this.#actors.get(actor);
    if (!record) {
      record = { states: [EMPTY], effects: new Map(), known: 0 };
      this.#actors.set(actor, record);
    }
    return record;
  }

  /** A decider runs. */
  decided(process: Process | undefined, { actor, call }: Command): void {
    if (!process || !this.#ownership.isOwner(process, actor)) {
      this.broken(`${process?.name} decided ${call} without owning ${actor}`);
    }
  }

  /** A host sends an answer that depends on the state. */
  answers(process: Process, actor: string): void {
    if (!this.#ownership.isOwner(process, actor)) {
      this.broken(`${process.name} answered for ${actor} without owning it`);
    }
  }

  /** The store has taken a commit: the whole of each command, decided on the state before it, once. */
  stored(process: Process | undefined, events: readonly StoredEvent[], token?: number): void {
    for (const { actorId, version, data } of events as readonly StoredEvent<Noted>[]) {
      const { states, effects } = this.#of(actorId);
      const { call, part, basis } = data;
      if (version !== states.length) this.broken(`${actorId} has a gap before version ${version}`);
      if (process && !this.#ownership.wasGranted(process, actorId, token)) {
        this.broken(`${process.name} stored ${call} under ${token}, which it was not given for ${actorId}`);
      }
      const before = effects.get(call);
      if (part === 1 ? before !== undefined : before !== version - 1) {
        this.broken(`${call} took effect twice, or in pieces: part ${part} at version ${version}`);
      }
      if (basis !== version - part) {
        this.broken(`${call} was decided on version ${basis}, and stored at ${version - part + 1}`);
      }
      if (this.#withoutEffect.has(call)) {
        this.broken(`${call} took effect after its caller was told that it will not`);
      }
      if (call.startsWith(BY_TIMER)) this.#fired(actorId, call, states.at(-1)!);
      effects.set(call, version);
      if (process) this.#storedBy.set(call, process);
      states.push(evolve(states.at(-1)!, { data } as Noted));
    }
  }

  /** A timer has fired: its time has come, and the state before names it. */
  #fired(actorId: string, call: string, { pending }: Ledger): void {
    if (pending?.by !== call.slice(BY_TIMER.length)) {
      return this.broken(`${call} fired, and ${actorId} had no such timer`);
    }
    if (this.#now() < pending.at) this.broken(`${call} fired at ${this.#now()}, and is due at ${pending.at}`);
  }

  /** A time for a timer that no other timer has. */
  timeAfter(delay: number): number {
    let time = Math.ceil(Math.max(1, this.#now() + delay));
    while (this.#times.has(time)) time++;
    this.#times.add(time);
    return time;
  }

  /** The timers that actors have now. */
  timers(): NonNullable<Ledger["pending"]>[] {
    return [...this.#actors.values()].flatMap(({ states }) => states.at(-1)!.pending ?? []);
  }

  /** The version of an actor. */
  versionOf(actor: string): number {
    return this.#of(actor).states.length - 1;
  }

  /** A call begins. */
  begin(actor: string): Begun {
    return { actor, floor: this.#of(actor).known };
  }

  /** A command is answered: its effect is in the log, behind all that was answered before it began. */
  acknowledged(
    { actor, floor }: Begun,
    { call, parts }: Command,
    result: { version: number; state: Ledger },
  ): void {
    const record = this.#of(actor);
    const { version } = result;
    this.answered++;
    if (record.effects.get(call) !== version) {
      return this.broken(
        `${call} was answered with version ${version}, and has ${record.effects.get(call) ?? "none"}`,
      );
    }
    this.#sameState(actor, version, result.state, call);
    const earlier = this.#answers.get(call);
    if (earlier === undefined && version - parts < floor) {
      this.broken(`${call} took effect at ${version}, before ${floor}, which was answered before it began`);
    }
    this.#answers.set(call, version);
    record.known = Math.max(record.known, version);
  }

  /** A query, or a command that was refused, is answered: from a state that was not old when the call began. */
  observed({ actor, floor }: Begun, count: number, state?: Ledger): void {
    this.answered++;
    const record = this.#of(actor);
    if (count >= record.states.length) {
      this.broken(`${actor} was seen at version ${count}, which is not stored`);
    }
    if (count < floor) this.broken(`${actor} was seen at version ${count}, after ${floor} was answered`);
    if (state) this.#sameState(actor, count, state, "a query");
    record.known = Math.max(record.known, count);
  }

  /** A caller is told that a command has no effect. */
  hasNoEffect({ actor, call }: Command): void {
    this.#withoutEffect.add(call);
    if (this.#of(actor).effects.has(call)) {
      this.broken(`${call} took effect, and its caller is told that it did not`);
    }
  }

  /** Whether a caller was told that its command has no effect. */
  isWithoutEffect(call: string): boolean {
    return this.#withoutEffect.has(call);
  }

  #sameState(actor: string, version: number, state: Ledger, what: string): void {
    const { digest } = this.#of(actor).states[version] ?? {};
    if (state.count !== version || state.digest !== digest) {
      this.broken(`${what} was answered with a state that ${actor} did not have at version ${version}`);
    }
  }

  /** The process that has stored a command. */
  storedBy(call: string): Process | undefined {
    return this.#storedBy.get(call);
  }

  /** Commands of one client that arrived at one host in an order take effect in that order. */
  inOrder(first: Command, second: Command): void {
    const { effects } = this.#of(first.actor);
    const [before, after] = [effects.get(first.call), effects.get(second.call)];
    if (before !== undefined && after !== undefined && before > after) {
      this.broken(`${second.call} took effect before ${first.call}, which came first`);
    }
  }
}
