/**
 * An event store that is called over the network: the in-memory store of this library, which each process reaches by
 * messages that are late, lost or repeated.
 *
 * @module
 */
import type { NewEvent, StoredEvent } from "../../../src/event/types.ts";
import { BackendError } from "../../../src/errors.ts";
import { OutcomeUnknownError } from "../../../src/store/errors.ts";
import { InMemoryEventStore } from "../../../src/store/memory/mod.ts";
import type { EventStore, SnapshotStore } from "../../../src/store/types.ts";
import type { Process } from "../../cluster/simulation/process.ts";
import type { World } from "../../cluster/simulation/world.ts";
import { enter } from "./globals.ts";
import type { Noted } from "./ledger.ts";
import type { Faults } from "./nats.ts";

/** The part of a store that hosts use. */
export type HostStore = EventStore & Partial<SnapshotStore>;

/** How long a call waits for its answer, in ms. */
const TIMEOUT = 1_200;
/** Few, so that a mailbox takes more than one commit. */
const EVENTS_PER_COMMIT = 5;

/** What takes note of appends that are stored. */
export type OnStored = (process: Process | undefined, events: readonly StoredEvent[], token?: number) => void;

/** What may be stored although no answer comes. */
interface SentAppend {
  /** The error of which its sender learns that. */
  readonly unanswered: () => Error;
  /** The calls that it is of. */
  readonly calls: readonly string[];
}

/** The servers of the store. */
export class StoreServers {
  /** The log itself. */
  readonly log: InMemoryEventStore = new InMemoryEventStore();
  /** Is called once, with the process whose append is stored next. */
  atNextAppend: ((process: Process) => void) | undefined;
  /** Is called once, with the process that sends the next append; returns how long that is on its way. */
  holdNextAppend: ((process: Process) => number) | undefined;
  /** Until when no server answers. */
  unavailableUntil = 0;
  readonly #world: World;
  readonly #faults: Faults;
  readonly #onStored: OnStored;
  readonly #known = new Set<string>();
  /** Appends that are held up on their way, by the calls that they are of. */
  readonly #held = new Map<string, () => void>();

  constructor(world: World, faults: Faults, onStored: OnStored) {
    this.#world = world;
    this.#faults = faults;
    this.#onStored = onStored;
  }

  /** The store as one process has it. */
  connect(process: Process): HostStore {
    const { log } = this;
    const call = <T>(operation: string, run: () => Promise<T>, append?: SentAppend): Promise<T> =>
      this.#call(process, operation, run, append);
    const part: Partial<HostStore> = {
      limits: { ...log.limits, eventsPerCommit: EVENTS_PER_COMMIT },
      append: (actorId, events, options) =>
        call(`append to ${actorId} over ${options.expectedVersion}`, async () => {
          const stored = await log.append(actorId, events, options);
          this.atNextAppend?.(process);
          this.atNextAppend = undefined;
          // A repeated append is answered with what is stored.
          if (this.#known.has(stored[0]!.position)) return stored;
          this.#onStored(process, stored, options.fencingToken);
          for (const { id, version, position } of stored) {
            this.#known.add(position);
            this.#world.note(`${process.name}: stored ${id} of ${actorId} at ${version}`);
          }
          return stored;
        }, {
          unanswered: () => new OutcomeUnknownError([], options.expectedVersion as number),
          calls: events.map(({ data }) => (data as Noted["data"]).call),
        }),
      takeOver: (actorId, token) =>
        call(
          `take over ${actorId}`,
          () => log.takeOver(actorId, token),
          { unanswered: () => new OutcomeUnknownError([], 0), calls: [] },
        ),
      getLatestVersion: (actorId) => call(`version of ${actorId}`, () => log.getLatestVersion(actorId)),
      getEvents: (actorId, from) => call(`events of ${actorId}`, () => log.getEvents(actorId, from)),
      async *readEvents(actorId, options): AsyncGenerator<StoredEvent> {
        yield* await call(`read ${actorId}`, () => Array.fromAsync(log.readEvents(actorId, options)));
      },
      saveSnapshot: (snapshot) => call(`snapshot of ${snapshot.actorId}`, () => log.saveSnapshot(snapshot)),
      getLatestSnapshot: (actorId, kind) =>
        call(`latest snapshot of ${actorId}`, () => log.getLatestSnapshot(actorId, kind)),
    };
    return part as HostStore;
  }

  /** A caller was told that its call has no effect: an append of it that is held up arrives now, the worst of all times. */
  arrive(call: string): void {
    this.#held.get(call)?.();
  }

  /** A program without a host appends an event. */
  async write(event: NewEvent<Noted>, actorId: string, basis: number): Promise<void> {
    this.#world.note(`a writer: ${event.data.call} to ${actorId} over ${basis}`);
    this.#onStored(
      undefined,
      await this.log.append(actorId, [event], { expectedVersion: basis, unfenced: true }),
    );
  }

  #call<T>(process: Process, operation: string, run: () => Promise<T>, append?: SentAppend): Promise<T> {
    const { random } = this.#world;
    return new Promise((resolve, reject) => {
      const cancel = process.clock.setTimer(() => {
        this.#world.note(`${process.name}: ${operation}: no answer`);
        const unreachable = (): Error => new BackendError(operation, "no answer", { reason: "unreachable" });
        enter(process, () => reject((append?.unanswered ?? unreachable)()));
      }, TIMEOUT);
      const arrive = async (): Promise<void> => {
        if (this.#world.time < this.unavailableUntil) return;
        let answer: () => void;
        try {
          const value = await run();
          answer = () => resolve(value);
        } catch (error) {
          this.#world.note(`${process.name}: ${operation}: ${error}`);
          answer = () => reject(error);
        }
        this.#send(process, () =>
          enter(process, () => {
            cancel();
            answer();
          }));
      };
      if (new Set(append?.calls).size > 1 && this.holdNextAppend) {
        return this.#hold(process, append!, () => void arrive());
      }
      this.#send(process, () => void arrive());
      if (random.chance(this.#faults.twice)) this.#send(process, () => void arrive());
    });
  }

  #hold(process: Process, { calls }: SentAppend, arrive: () => void): void {
    for (const call of calls) this.#held.set(call, arrive);
    this.#world.after(this.holdNextAppend!(process), arrive);
    this.holdNextAppend = undefined;
  }

  #send(process: Process, deliver: () => void): void {
    const { random } = this.#world;
    if (process.isCut || random.chance(this.#faults.loss)) return;
    const delay = random.chance(this.#faults.late)
      ? random.between(0, this.#faults.delay)
      : random.between(0.2, 4);
    this.#world.after(delay, deliver);
  }
}
