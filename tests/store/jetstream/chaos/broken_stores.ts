/**
 * Stores as somebody might write them: each breaks the contract in its own way, over a real store.
 *
 * @module
 */
import {
  BackendError,
  DamagedHistoryError,
  type EventInput,
  type JetStreamEventStore,
  OutcomeUnknownError,
  type StoredEvent,
  VersionConflictError,
} from "@flowmade-one/aether/jetstream";
import type { Condition, TriedEvent } from "./history.ts";
import type { StoreUnderTest } from "./work.ts";

type Stored = readonly StoredEvent[];
type Expectation = {
  readonly expectedVersion: number | "any";
  readonly conditions?: readonly Condition[];
};

/** Calls the real store; the others override what they break. */
export class Unbroken implements StoreUnderTest {
  /** @param far The store behind a network that loses messages. @param near One beside the server. */
  constructor(protected readonly far: JetStreamEventStore, protected readonly near: JetStreamEventStore) {}

  append(actorId: string, events: readonly TriedEvent[], expectation: Expectation): Promise<Stored> {
    return this.far.append(actorId, events, expectation).catch((error: unknown) => {
      if (error instanceof OutcomeUnknownError) return this.settle(actorId, error);
      throw error;
    });
  }

  saveEvents(events: readonly EventInput[]): Promise<Stored> {
    return this.far.saveEvents(events);
  }

  getLatestVersion(actorId: string): Promise<number> {
    return this.far.getLatestVersion(actorId);
  }

  /** What to do where no answer came. */
  protected settle(_actorId: string, error: OutcomeUnknownError): Promise<Stored> {
    return Promise.reject(error);
  }
}

/** No answer: so it appends once more, behind whatever is there now. */
export class RetriesBlindly extends Unbroken {
  protected override settle(actorId: string, { events }: OutcomeUnknownError): Promise<Stored> {
    const again = events.map(({ id, eventType, data }) => ({ id, eventType, data }));
    return this.near.append(actorId, again, { expectedVersion: "any" });
  }
}

/** No answer: so it saves the same versions once more, and takes its own events for somebody else's. */
export class ConflictsWithItself extends Unbroken {
  protected override settle(_actorId: string, { events }: OutcomeUnknownError): Promise<Stored> {
    return this.near.saveEvents(events);
  }
}

/** No answer: it will have been stored. */
export class HopesForTheBest extends Unbroken {
  protected override async settle(_actorId: string, { events }: OutcomeUnknownError): Promise<Stored> {
    const position = await this.near.getLastPosition() ?? "";
    return events.map((event) => ({ ...event, position }));
  }
}

/** No answer, and a look finds nothing: it will not have been stored, and is reported as refused. */
export class TakesSilenceForRefusal extends Unbroken {
  protected override async settle(
    actorId: string,
    { events, expectedVersion }: OutcomeUnknownError,
  ): Promise<Stored> {
    const stored = await this.near.getEvents(actorId, expectedVersion + 1);
    if (stored[0]?.id === events[0]?.id) return stored;
    throw new BackendError("append", "it was not stored");
  }
}

/** Stores less than it was given. */
export class LeavesOutWhatIsNested extends Unbroken {
  override append(actorId: string, events: readonly TriedEvent[], expectation: Expectation): Promise<Stored> {
    const stripped = events.map((event) => {
      const { nested: _, ...data } = event.data as Record<string, unknown>;
      return { ...event, data };
    });
    return super.append(actorId, stripped, expectation);
  }
}

/** Answers with the version that it thinks the event has. */
export class AnswersFromMemory extends Unbroken {
  override async append(
    actorId: string,
    events: readonly TriedEvent[],
    expectation: Expectation,
  ): Promise<Stored> {
    const stored = await super.append(actorId, events, expectation);
    return stored.map((event, index) => ({ ...event, version: index + 1 }));
  }
}

/** Saves the events of several actors one after the other. */
export class SavesOneByOne extends Unbroken {
  override async saveEvents(events: readonly EventInput[]): Promise<Stored> {
    const stored: StoredEvent[] = [];
    for (const event of events) stored.push(await this.far.saveEvent(event));
    return stored;
  }
}

/** Takes the expected version for a suggestion. */
export class IgnoresExpectations extends Unbroken {
  override append(actorId: string, events: readonly TriedEvent[]): Promise<Stored> {
    return super.append(actorId, events, { expectedVersion: "any" });
  }
}

/** Checks conditions, and then stores, with a pause between. */
export class ChecksConditionsFirst extends Unbroken {
  /** Called in the pause. */
  pause: () => Promise<void> = () => Promise.resolve();

  override async append(
    actorId: string,
    events: readonly TriedEvent[],
    { expectedVersion, conditions = [] }: Expectation,
  ): Promise<Stored> {
    for (const { actorId, version } of conditions) {
      const currentVersion = await this.far.getLatestVersion(actorId);
      const conflict = { actorId, attemptedVersion: version + 1, currentVersion, isCondition: true };
      if (currentVersion !== version) throw new VersionConflictError(conflict);
    }
    await this.pause();
    return await super.append(actorId, events, { expectedVersion });
  }
}

/** Reports that a condition does not hold, without a look at the actor. */
export class InventsConditions extends Unbroken {
  override append(actorId: string, events: readonly TriedEvent[], expectation: Expectation): Promise<Stored> {
    const [condition] = expectation.conditions ?? [];
    if (!condition) return super.append(actorId, events, expectation);
    const { actorId: of, version } = condition;
    const conflict = { actorId: of, attemptedVersion: version + 1, currentVersion: version + 7 };
    return Promise.reject(new VersionConflictError({ ...conflict, isCondition: true }));
  }
}

/** Refuses by the versions that it remembers, and does not ask whether they still hold. */
export class RefusesFromMemory extends Unbroken {
  readonly #versions = new Map<string, number>();

  override append(actorId: string, events: readonly TriedEvent[], expectation: Expectation): Promise<Stored> {
    const { expectedVersion } = expectation;
    const currentVersion = this.#versions.get(actorId);
    if (typeof expectedVersion === "number" && (currentVersion ?? expectedVersion) !== expectedVersion) {
      const attemptedVersion = expectedVersion + 1;
      throw new VersionConflictError({ actorId, attemptedVersion, currentVersion: currentVersion! });
    }
    this.#versions.set(actorId, 0);
    return super.append(actorId, events, expectation);
  }
}

/** Takes each conflict for damage. */
export class ReportsConflictsAsDamage extends Unbroken {
  override append(actorId: string, events: readonly TriedEvent[], expectation: Expectation): Promise<Stored> {
    return super.append(actorId, events, expectation).catch((error: unknown) => {
      if (!(error instanceof VersionConflictError)) throw error;
      throw new DamagedHistoryError("its last commit cannot be read", { actorId });
    });
  }

  override async getLatestVersion(actorId: string): Promise<number> {
    if (await super.getLatestVersion(actorId) === 0) return 0;
    throw new DamagedHistoryError("its last commit cannot be read", { actorId });
  }
}

/** Reads versions from a cache that nobody renews. */
export class ReadsFromMemory extends Unbroken {
  readonly #versions = new Map<string, Promise<number>>();

  override getLatestVersion(actorId: string): Promise<number> {
    const known = this.#versions.get(actorId) ?? super.getLatestVersion(actorId);
    this.#versions.set(actorId, known);
    return known;
  }
}

/** Answers at once for new actors, and stores their events when it is told to. */
export class StoresLater extends Unbroken {
  /** What it has not stored yet. */
  readonly waiting: (() => Promise<Stored>)[] = [];

  override append(actorId: string, events: readonly TriedEvent[], expectation: Expectation): Promise<Stored> {
    if (expectation.expectedVersion !== 0) return super.append(actorId, events, expectation);
    this.waiting.push(() => super.append(actorId, events, expectation));
    const timestamp = new Date().toISOString();
    return Promise.resolve(
      events.map((event, index) => ({ ...event, version: index + 1, timestamp, position: "" })),
    );
  }
}
