/**
 * What a writer does: saves of every kind, over and over, each of them written down before it is called and when it is
 * answered.
 *
 * @module
 */
import {
  DamagedHistoryError,
  type EventInput,
  OutcomeUnknownError,
  type StoredEvent,
  VersionConflictError,
} from "@flowmade-one/aether/jetstream";
import type { Answer, Attempt, Condition, DamagedPlace, Journal, KnownEvent, TriedEvent } from "./history.ts";

/** The part of a store that is put to the test. */
export interface StoreUnderTest {
  append(
    actorId: string,
    events: readonly TriedEvent[],
    options: { readonly expectedVersion: number | "any"; readonly conditions?: readonly Condition[] },
  ): Promise<readonly StoredEvent[]>;
  saveEvents(events: readonly EventInput[]): Promise<readonly StoredEvent[]>;
  getLatestVersion(actorId: string): Promise<number>;
}

/** What a worker works with. */
export interface WorkSetup {
  readonly store: StoreUnderTest;
  readonly journal: Journal;
  /** Begins the ids of its events and the names of its own actors; unique for each start of a process. */
  readonly name: string;
  /** How long the store may try a save, in milliseconds. */
  readonly timeout: number;
  /** Gives numbers from 0 to 1. */
  readonly random: () => number;
}

/** An append that can be repeated. */
export type Repeatable = Pick<Attempt, "expected" | "events" | "conditions"> & { readonly expected: number };

const HOT_ACTORS = 3;
const WARM_ACTORS = 40;
const MOST_REMEMBERED = 200;

/** Writes until it is told to stop. */
export class Worker {
  readonly #setup: WorkSetup;
  readonly #done: Repeatable[] = [];
  readonly #versions = new Map<string, number>();
  #count = 0;
  #stopped = false;

  constructor(setup: WorkSetup) {
    this.#setup = setup;
  }

  /** How many events it has tried to store. */
  get count(): number {
    return this.#count;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** One lane of saves, one after the other. */
  async run(pause: number, operations = Infinity): Promise<void> {
    const kinds = [
      () => this.append(this.#hot(), 1, "any"),
      () => this.append(this.#hot(), 1, this.#guess(this.#hot())),
      () => this.#appendAsRead(this.#hot()),
      () => this.append(this.#warm(), 1 + this.#below(5), "any"),
      () => this.#appendAsRead(this.#warm()),
      () => this.append(this.#fresh("cold"), 1 + this.#below(2), 0),
      () => this.append(this.#fresh("cold"), 1, "any"),
      () => this.#saveOverActors(),
      () => this.#saveWithGap(),
      () => this.#appendUnderConditions(),
      () => this.#appendUnderConditions(),
      () => this.repeatOne(),
      () => this.look(this.#hot()),
      () => this.look(this.#warm()),
    ];
    for (let done = 0; done < operations && !this.#stopped; done++) {
      await kinds[this.#below(kinds.length)]!();
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, this.#below(2 * pause)));
    }
  }

  /** Appends new events. */
  async append(actorId: string, count: number, expected: number | "any"): Promise<void> {
    await this.save("append", Array.from({ length: count }, () => this.#event(actorId)), expected);
  }

  /** Appends events with their ids once more: nothing may change by it. */
  async repeat({ events, expected, conditions }: Repeatable): Promise<void> {
    await this.save("append", events, expected, conditions);
  }

  /** Repeats one of its own appends. */
  async repeatOne(): Promise<void> {
    const known = this.#done[this.#below(this.#done.length)];
    if (known) await this.repeat(known);
  }

  /** Looks at an actor's version. */
  async look(actorId: string): Promise<number> {
    const { store, journal } = this.#setup;
    const begun = journal.now();
    for (;;) {
      try {
        const latestVersion = await store.getLatestVersion(actorId);
        journal.look({ actorId, begun, ended: journal.now(), latestVersion });
        this.#versions.set(actorId, latestVersion);
        return latestVersion;
      } catch (error) {
        if (error instanceof DamagedHistoryError) {
          journal.damage(error);
          return this.#guess(actorId);
        }
        // No server could be reached, which is no answer; no other error is allowed.
        if (!(error instanceof Error) || error.name !== "BackendError") throw error;
        if (this.#stopped) return 0;
      }
    }
  }

  /** Saves, and writes down what it is told. An unknown outcome is settled as the error says. */
  async save(
    how: Attempt["how"],
    events: readonly TriedEvent[],
    expected?: number | "any",
    conditions?: readonly Condition[],
  ): Promise<void> {
    const { store, journal, timeout } = this.#setup;
    const [{ actorId } = { actorId: "" }] = events;
    for (let expectation = expected;;) {
      const operation = journal.begin({
        how,
        events,
        expected: expectation,
        ...(conditions && { conditions }),
        timeout,
      });
      try {
        const stored = how === "append"
          ? await store.append(actorId, events, {
            expectedVersion: expectation!,
            ...(conditions && { conditions }),
          })
          : await store.saveEvents(events as EventInput[]);
        journal.end(operation, { kind: "stored", events: stored.map(known) });
        for (const { actorId, version } of stored) this.#versions.set(actorId, version);
        const before = stored[0]!.version - 1;
        if (how === "append" && this.#done.length < MOST_REMEMBERED) {
          this.#done.push({ events, expected: before, conditions });
        }
        return;
      } catch (error) {
        journal.end(operation, answerOf(error));
        if (error instanceof VersionConflictError) this.#versions.set(error.actorId, error.currentVersion);
        if (!(error instanceof OutcomeUnknownError) || how !== "append" || this.#stopped) return;
        expectation = error.expectedVersion;
      }
    }
  }

  async #appendAsRead(actorId: string): Promise<void> {
    await this.append(actorId, 1 + this.#below(2), await this.look(actorId));
  }

  /** Two to five actors, of which some are others' too. */
  async #saveOverActors(): Promise<void> {
    const actors = new Set([this.#fresh("batch"), this.#warm()]);
    for (let more = this.#below(4); more > 0; more--) actors.add(this.#warm());
    const events: TriedEvent[] = [];
    for (const actorId of actors) {
      const latest = actorId.startsWith("batch") ? 0 : await this.look(actorId);
      const count = 1 + this.#below(2);
      for (let version = latest + 1; version <= latest + count; version++) {
        events.push({ ...this.#event(actorId), version });
      }
    }
    await this.save("save", events);
  }

  /** Appends to one actor if one or two others are still where they were read: these are written all the time. */
  async #appendUnderConditions(): Promise<void> {
    const own = this.#below(2) === 0 ? this.#fresh("rule") : this.#warm();
    const read = new Set([this.#hot(), this.#below(2) === 0 ? this.#hot() : this.#warm()]);
    read.delete(own);
    const conditions: Condition[] = [];
    for (const actorId of read) conditions.push({ actorId, version: await this.look(actorId) });
    await this.save("append", [this.#event(own)], own.startsWith("rule") ? 0 : "any", conditions);
  }

  /** Versions may leave some out. */
  async #saveWithGap(): Promise<void> {
    const actorId = `gap-${this.#below(10)}`;
    const version = await this.look(actorId) + 1 + this.#below(3);
    await this.save("save", [{ ...this.#event(actorId), version }]);
  }

  #event(actorId: string): TriedEvent {
    const { name } = this.#setup;
    const number = ++this.#count;
    const note = "\u00e9x".repeat(this.#below(100));
    const data = { writer: name, number, note, nested: { list: [number, null, `${number}`] } };
    return { actorId, id: `${name}-${number}`, eventType: `Kind${number % 3}`, data };
  }

  #hot(): string {
    return `hot.${this.#below(HOT_ACTORS)}`;
  }

  #warm(): string {
    return `warm ${this.#below(WARM_ACTORS)}`;
  }

  #fresh(kind: string): string {
    return `${kind}-${this.#setup.name}-${this.#count}`;
  }

  /** Where the actor was when it was last heard of: often enough somebody was faster. */
  #guess(actorId: string): number {
    return this.#versions.get(actorId) ?? 0;
  }

  #below(bound: number): number {
    return Math.floor(this.#setup.random() * bound);
  }
}

/** An event as it is written down. */
export function known({ actorId, id, eventType, data, version, position }: StoredEvent): KnownEvent {
  return { actorId, id, eventType, data, version, position };
}

/** What an error tells the caller. */
export function answerOf(error: unknown): Answer {
  if (error instanceof VersionConflictError) {
    const { actorId, attemptedVersion, currentVersion, sameEvent, isCondition } = error;
    return { kind: "conflict", actorId, attemptedVersion, currentVersion, sameEvent, isCondition };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message} (${error.cause})` : String(error);
  if (error instanceof OutcomeUnknownError) {
    const { expectedVersion, cause } = error;
    const damage = cause instanceof DamagedHistoryError ? { damage: placeOf(cause) } : {};
    return { kind: "unknown", error: text, expectedVersion, ...damage };
  }
  if (error instanceof DamagedHistoryError) return { kind: "damaged", error: text, damage: placeOf(error) };
  return { kind: "refused", error: text };
}

function placeOf({ actorId, position }: DamagedHistoryError): DamagedPlace {
  return { actorId, position };
}
