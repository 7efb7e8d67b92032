/**
 * An event store of your own: a backend over Maps, and a class that hands it to `BackedEventStore`. Replace the Maps by
 * your database; `tests/examples/own_store_test.ts` runs the conformance suite on it.
 *
 * deno run examples/own_store.ts
 */

import {
  type ActorHead,
  type ActorSummary,
  BackedEventStore,
  type BackwardLogRead,
  checkCondition,
  checkFence,
  checkSizes,
  type Commit,
  type CommitPart,
  type Draft,
  type Event,
  type EventStoreOptions,
  type Finding,
  followLog,
  type HistoryRead,
  InvalidPositionError,
  type ListActorsOptions,
  type LogBatch,
  type LogFollow,
  LogPositions,
  type LogRead,
  NEW_ACTOR,
  newLogId,
  NO_PROOF,
  noteSchemaVersion,
  numberPart,
  setUpStore,
  type Snapshot,
  type StorageBackend,
  type StoredEvent,
  type StoreLimits,
  supersedes,
  type Verified,
  Wakeups,
} from "@flowmade-one/aether/backend";

/** How many hexadecimal digits number an event of the log. */
const DIGITS = 14;
const BATCH = 500;

/** What is stored: one log for each namespace. */
export class MapDatabase {
  readonly #logs = new Map<string, MapLog>();

  /** The log of a namespace. */
  log(namespace: string): MapLog {
    let log = this.#logs.get(namespace);
    if (!log) this.#logs.set(namespace, log = new MapLog());
    return log;
  }
}

class MapLog {
  readonly positions = new LogPositions(newLogId(), DIGITS);
  readonly events: StoredEvent[] = [];
  readonly heads = new Map<string, ActorHead>();
  readonly snapshots = new Map<string, Snapshot>();
  readonly wakeups = new Wakeups();
}

/** An event store over a {@linkcode MapDatabase}. */
export class MapEventStore<E extends Event = Event> extends BackedEventStore<E> {
  constructor(database: MapDatabase, options?: EventStoreOptions<E>) {
    const setup = setUpStore(options);
    super(new MapBackend(database.log(setup.namespace)), setup);
  }
}

class MapBackend implements StorageBackend {
  readonly limits: StoreLimits = {
    actorsPerCommit: 100,
    eventsPerCommit: 1_000,
    bytesPerCommit: 1024 * 1024,
    bytesPerEvent: 512 * 1024,
  };
  readonly #log: MapLog;

  constructor(log: MapLog) {
    this.#log = log;
  }

  /** Nothing awaits between the checks and the writes: the commit is atomic. A database needs a transaction here. */
  commit(commit: Commit): readonly StoredEvent[] {
    const { parts, conditions } = commit;
    checkSizes(parts, this.limits);
    for (const condition of conditions) checkCondition(condition, this.#head(condition.actorId));
    // All parts are numbered before any is stored: numbering is what refuses.
    const fences = parts.map((part: CommitPart) => numberPart(part, this.#head(part.actorId), commit));
    const stored = parts.flatMap(({ actorId, drafts }, index) => {
      const version = drafts.at(-1)!.event.version;
      this.#log.heads.set(actorId, { version, fence: fences[index]! });
      return drafts.map((draft) => this.#store(draft));
    });
    this.#log.wakeups.notify();
    return stored;
  }

  #store({ event, schemaVersion }: Draft): StoredEvent {
    const { events, positions } = this.#log;
    event.position = positions.of((events.length + 1).toString(16).padStart(DIGITS, "0") + NO_PROOF);
    Object.freeze(event);
    noteSchemaVersion(event, schemaVersion);
    events.push(event);
    return event;
  }

  takeOver(actorId: string, token: number): void {
    const head = this.#head(actorId);
    const fence = checkFence(actorId, head.fence, { fencingToken: token, unfenced: false });
    this.#log.heads.set(actorId, { ...head, fence });
  }

  #head(actorId: string): ActorHead {
    return this.#log.heads.get(actorId) ?? NEW_ACTOR;
  }

  getEvents(actorId: string, fromVersion: number): readonly StoredEvent[] {
    return this.#log.events.filter((event) => event.actorId === actorId && event.version >= fromVersion);
  }

  async *readHistory(actorId: string, read: HistoryRead): AsyncIterable<readonly StoredEvent[]> {
    const events = this.getEvents(actorId, read.fromVersion).filter(({ version }) =>
      version <= read.toVersion
    );
    const ordered = read.direction === "forward" ? events : events.toReversed();
    for (let at = 0; at < ordered.length; at += BATCH) yield ordered.slice(at, at + BATCH);
  }

  getLatestVersion(actorId: string): number {
    return this.#head(actorId).version;
  }

  async *readLog({ after }: Pick<LogRead, "after">): AsyncIterable<LogBatch> {
    const { events } = this.#log;
    const end = events.length;
    let at = after === "end" ? end : after === "start" || after === "first-kept" ? 0 : this.#placeOf(after);
    for (; at < end; at += BATCH) {
      const batch = events.slice(at, Math.min(at + BATCH, end));
      yield { events: batch, position: batch.at(-1)!.position };
    }
  }

  async *readLogBackward({ from }: Pick<BackwardLogRead, "from">): AsyncIterable<readonly StoredEvent[]> {
    const { events } = this.#log;
    for (let to = from === undefined ? events.length : this.#placeOf(from); to > 0; to -= BATCH) {
      yield events.slice(Math.max(to - BATCH, 0), to).reverse();
    }
  }

  followLog(follow: LogFollow): AsyncIterable<LogBatch> {
    return followLog({
      wakeups: this.#log.wakeups,
      readLog: (read) => this.readLog(read),
      getLastPosition: () => this.getLastPosition(),
    }, follow);
  }

  getLastPosition(): Promise<string | undefined> {
    return Promise.resolve(this.#log.events.at(-1)?.position);
  }

  /** How many events the log has up to a position, including its event. */
  #placeOf(position: string): number {
    const { events, positions } = this.#log;
    const place = parseInt(positions.bodyOf(position), 16);
    if (place < 1) throw new InvalidPositionError(position, "malformed");
    if (place > events.length) throw new InvalidPositionError(position, "ahead");
    if (events[place - 1]!.position !== position) throw new InvalidPositionError(position, "diverged");
    return place;
  }

  checkPosition(position: string): void {
    this.#placeOf(position);
  }

  async *listActors({ actorPrefix = "" }: ListActorsOptions): AsyncIterable<ActorSummary> {
    for (const [actorId, { version: latestVersion }] of this.#log.heads) {
      if (latestVersion > 0 && actorId.startsWith(actorPrefix)) yield { actorId, latestVersion };
    }
  }

  verify(): Promise<Verified> {
    const { events, heads } = this.#log;
    const actors = [...heads.values()].filter(({ version }) => version > 0).length;
    return Promise.resolve({
      commits: events.length,
      events: events.length,
      actors,
      lastPosition: events.at(-1)?.position,
      faults: [],
    });
  }

  diagnose(): Promise<Finding[]> {
    return Promise.resolve([{
      code: "in-memory",
      severity: "warning",
      message: "The events are in Maps of this process.",
      advice: "Replace the Maps by a database.",
    }]);
  }

  saveSnapshot(snapshot: Snapshot): Promise<void> {
    const key = JSON.stringify([snapshot.actorId, snapshot.kind]);
    if (supersedes(snapshot, this.#log.snapshots.get(key))) this.#log.snapshots.set(key, snapshot);
    return Promise.resolve();
  }

  getLatestSnapshot(actorId: string, kind: string): Promise<Snapshot | undefined> {
    return Promise.resolve(this.#log.snapshots.get(JSON.stringify([actorId, kind])));
  }

  deleteSnapshots(kind: string): Promise<number> {
    const { snapshots } = this.#log;
    const keys = [...snapshots].filter(([, snapshot]) => snapshot.kind === kind).map(([key]) => key);
    for (const key of keys) snapshots.delete(key);
    return Promise.resolve(keys.length);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

if (import.meta.main) {
  await using store = new MapEventStore(new MapDatabase());
  await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
  for await (const { position, eventType } of store.readAll()) console.log(position, eventType);
}
