/**
 * A client: it calls and asks actors, one after the other or several at once, and compares each answer with the log.
 *
 * @module
 */
import { BackendError, ClosedError } from "../../../src/errors.ts";
import { OutcomeUnknownError, VersionConflictError } from "../../../src/store/errors.ts";
import type { Process } from "../../cluster/simulation/process.ts";
import type { World } from "../../cluster/simulation/world.ts";
import { enter } from "./globals.ts";
import type { Begun, Invariants } from "./invariants.ts";
import { type Command, type Ledger, Refused } from "./ledger.ts";
import type { Requests } from "./requests.ts";
import type { Subject } from "./subject.ts";

/** The part of an actor's reference that a client uses. */
export interface LedgerReference {
  call(
    command: Command,
    options: { readonly id: string; readonly timeout: number },
  ): Promise<{ version: number; state: Ledger }>;
  query(name: "ledger"): Promise<Ledger>;
}

/** What clients share. */
export interface ClientSetup {
  readonly world: World;
  readonly subject: Subject;
  readonly invariants: Invariants;
  readonly requests: Requests;
  /** Whether there are no faults: then each call is answered. */
  readonly isQuiet: boolean;
  /** Is called once a caller was told that its call has no effect. */
  readonly onRefused: (call: string) => void;
  /** When the clients end. */
  readonly until: number;
}

/** How many actors there are. */
export const ACTORS = 4;

/** A client in a process. */
export class Client {
  readonly process: Process;
  isDone = false;
  readonly #setup: ClientSetup;
  readonly #find: (actor: string) => LedgerReference;
  #calls = 0;

  constructor(setup: ClientSetup, process: Process, find: (actor: string) => LedgerReference) {
    this.#setup = setup;
    this.process = process;
    this.#find = find;
    enter(process, () =>
      void this.#run().catch((error) => {
        if (error instanceof ClosedError) this.isDone = true; // with its host
        else setup.invariants.broken(`${process.name} got an unexpected error: ${error?.stack ?? error}`);
      }));
  }

  async #run(): Promise<void> {
    const { world, until } = this.#setup;
    const { random } = world;
    while (world.time < until) {
      const actor = this.#actor();
      if (random.chance(0.25)) await this.#ask(actor);
      else if (random.chance(0.3)) await this.#burst(actor);
      else await this.#call(this.#command(actor));
      await new Promise<void>((resolve) => setTimeout(resolve, random.between(0, 150)));
    }
    this.isDone = true;
  }

  #actor(): string {
    return `ledger-${Math.floor(this.#setup.world.random.between(0, ACTORS))}`;
  }

  #command(actor: string): Command {
    const { random } = this.#setup.world;
    return {
      actor,
      call: `${this.process.newId()}:${++this.#calls}`,
      parts: random.pick([1, 1, 2, 3]),
      mayBeRefused: random.chance(0.2),
      ...(random.chance(0.2) && { timer: this.#setup.invariants.timeAfter(random.between(-100, 1_500)) }),
    };
  }

  async #ask(actor: string): Promise<void> {
    const { invariants, subject } = this.#setup;
    const begun = invariants.begin(actor);
    try {
      const state = await this.#find(actor).query("ledger");
      invariants.observed(begun, state.count, state);
    } catch (error) {
      if (!this.#mayFail(error) || !isWithoutEffect(error, subject)) throw error;
    }
  }

  /** Several calls at once: what reaches a host in an order takes effect in it. */
  async #burst(actor: string): Promise<void> {
    const { invariants, requests } = this.#setup;
    const commands = [1, 2, 3, 4].map(() => this.#command(actor));
    await Promise.all(commands.map((command) => this.#call(command)));
    for (const [index, second] of commands.entries()) {
      for (const first of commands.slice(0, index)) {
        if (requests.cameInOrder(first.call, second.call)) invariants.inOrder(first, second);
      }
    }
  }

  /** Without faults a mailbox can be full, and nothing else can fail. */
  #mayFail(error: unknown): boolean {
    const { isQuiet, subject } = this.#setup;
    return !isQuiet || error instanceof subject.ActorBusyError;
  }

  async #call(command: Command): Promise<void> {
    const { world, invariants } = this.#setup;
    const { random } = world;
    const begun = invariants.begin(command.actor);
    const isAnswered = await this.#repeat(command, begun);
    if (isAnswered && random.chance(0.1)) await this.#repeat(command, invariants.begin(command.actor), true);
  }

  /**
   * Calls until the outcome is known.
   *
   * @param mayBeStored Whether it was called before: then only a decision shows that it had no effect.
   * @returns Whether it has taken effect.
   */
  async #repeat(command: Command, begun: Begun, mayBeStored = false): Promise<boolean> {
    const { world, invariants, subject } = this.#setup;
    for (;;) {
      const timeout = world.random.pick([1_500, 4_000, 8_000]);
      try {
        const result = await this.#find(command.actor).call(command, { id: command.call, timeout });
        invariants.acknowledged(begun, command, result);
        return true;
      } catch (error) {
        if (!(error instanceof Refused) && !this.#mayFail(error)) throw error;
        if (error instanceof OutcomeUnknownError) mayBeStored = true;
        else if (error instanceof Refused) invariants.observed(begun, error.count);
        else if (!isWithoutEffect(error, subject)) throw error;
        if (mayBeStored && !(error instanceof Refused)) {
          this.#setup.requests.repeated(command.call);
          await new Promise<void>((resolve) => setTimeout(resolve, 100));
          continue;
        }
        world.note(`${this.process.name}: ${command.call}: ${(error as Error).message}`);
        invariants.hasNoEffect(command);
        this.#setup.onRefused(command.call);
        return false;
      }
    }
  }
}

/** Whether an error means that nothing was stored. */
function isWithoutEffect(error: unknown, subject: Subject): error is Error {
  return error instanceof subject.ActorBusyError || error instanceof subject.ActorUnavailableError ||
    error instanceof BackendError || error instanceof VersionConflictError ||
    (error instanceof subject.ActorFailedError && !error.isStored);
}
