/**
 * Stores that break the contract on purpose, each in one way: what the conformance suite must find.
 *
 * @module
 */

import type { EventInput, NewEvent, StoredEvent } from "../../src/event/types.ts";
import { BackedEventStore } from "../../src/store/backed_event_store.ts";
import type { LogBatch, LogFollow, LogRead } from "../../src/store/backend.ts";
import { type Commit, NEW_ACTOR, numberPart } from "../../src/store/commit.ts";
import { VersionConflictError } from "../../src/store/errors.ts";
import { logOf as logOfStorage, MemoryBackend, type MemoryLog } from "../../src/store/memory/backend.ts";
import { InMemoryEventStore, InMemoryStorage } from "../../src/store/memory/mod.ts";
import { type EventStoreOptions, setUpStore } from "../../src/store/store_options.ts";
import { rawLogOf } from "../../src/store/raw_log.ts";
import type { Snapshot, SnapshotInput } from "../../src/store/snapshot.ts";
import type { AppendOptions, ReadAllOptions, ReadEventsOptions, SaveOptions } from "../../src/store/types.ts";
import type { BackendUnderTest, EventStoreHarness, StoreUnderTest } from "../../src/testing/mod.ts";

/** A store that is broken, and the cases that must say so. */
export interface BrokenStore {
  /** What it does wrong. */
  readonly defect: string;
  /** Opens it. */
  readonly harness: EventStoreHarness;
  /** The names of the cases. */
  readonly caughtBy: readonly string[];
}

type Opening = EventStoreOptions & { readonly storage: InMemoryStorage };
type Committed = readonly StoredEvent[] | Promise<readonly StoredEvent[]>;

const MODEL = "random histories go as in the model";
const ONE_ORDER = "writers, readers and subscribers of one store object agree on one order of whole commits";

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** The log that a store lies in. */
function logOf({ storage, namespace = "default" }: Opening): MemoryLog {
  return logOfStorage(storage, namespace);
}

/** A harness of stores over one storage. */
export function opens(open: (options: Opening) => StoreUnderTest): EventStoreHarness {
  return {
    setUp(): BackendUnderTest {
      const storage = new InMemoryStorage();
      return { open: (options) => open({ ...options, storage }) };
    },
  };
}

/** A harness of stores that are sound above a broken backend. */
function over(Backend: new (log: MemoryLog, options: Opening) => MemoryBackend): EventStoreHarness {
  return opens((options) => new BackedEventStore(new Backend(logOf(options), options), setUpStore(options)));
}

/** A memory backend whose log its subclasses can reach. */
class Backend extends MemoryBackend {
  readonly log: MemoryLog;

  constructor(log: MemoryLog, _options: Opening) {
    super(log);
    this.log = log;
  }

  override commit(commit: Commit): readonly StoredEvent[] {
    return super.commit(commit);
  }

  check({ parts, ...commit }: Commit): void {
    for (const part of parts) {
      numberPart(part, this.log.actors.get(part.actorId) ?? NEW_ACTOR, { parts, ...commit });
    }
  }
}

/** Saves through one door, so that a defect is written once. */
abstract class Store extends InMemoryEventStore {
  abstract change<T extends NewEvent>(event: T): T;

  override saveEvent(event: EventInput, options?: SaveOptions): Promise<StoredEvent> {
    return super.saveEvent(this.change(event), options);
  }
  override saveEvents(events: readonly EventInput[], options?: SaveOptions): Promise<StoredEvent[]> {
    return super.saveEvents(events.map((event) => this.change(event)), options);
  }
  override append(id: string, events: readonly NewEvent[], options: AppendOptions): Promise<StoredEvent[]> {
    return super.append(id, events.map((event) => this.change(event)), options);
  }
}

/** A store that takes some actor ids for others. */
function folding(fold: (actorId: string) => string): EventStoreHarness {
  return over(
    class extends Backend {
      override commit(commit: Commit): readonly StoredEvent[] {
        const parts = commit.parts.map((part) => ({ ...part, actorId: fold(part.actorId) }));
        return super.commit({ ...commit, parts });
      }
      override getEvents(actorId: string, fromVersion: number): readonly StoredEvent[] {
        return super.getEvents(fold(actorId), fromVersion);
      }
      override getLatestVersion(actorId: string): number {
        return super.getLatestVersion(fold(actorId));
      }
    } as unknown as new (log: MemoryLog, options: Opening) => MemoryBackend,
  );
}

/** Stands in for commits that take their time; TypeScript's return type of the memory backend is narrower. */
function slowly(
  commit: (backend: Backend, commit: Commit) => Promise<readonly StoredEvent[]>,
): EventStoreHarness {
  return opens((options) => {
    const backend = new Backend(logOf(options), options);
    const store = Object.create(backend, {
      commit: { value: (value: Commit): Committed => commit(backend, value) },
    });
    for (const name of METHODS) {
      Object.defineProperty(store, name, { value: (backend[name] as () => unknown).bind(backend) });
    }
    return new BackedEventStore(store, setUpStore(options));
  });
}

/** A position with the proof that every position in memory has. */
function proven<T>(position: T): T | string {
  return typeof position === "string" && position.includes("-") ? position.slice(0, -6) + "000000" : position;
}

const METHODS = [
  "takeOver",
  "getEvents",
  "readHistory",
  "getLatestVersion",
  "readLog",
  "followLog",
  "getLastPosition",
  "checkPosition",
  "listActors",
  "verify",
  "diagnose",
  "saveSnapshot",
  "getLatestSnapshot",
  "deleteSnapshots",
  "close",
] as const;

/** Every broken store. */
export const brokenStores: readonly BrokenStore[] = [
  {
    defect: "loses the last event when it is opened again",
    harness: opens((options) => {
      const log = logOf(options);
      const last = log.events.pop();
      const actor = last && log.actors.get(last.actorId);
      actor?.events.pop();
      if (actor) actor.version = actor.events.at(-1)?.version ?? 0;
      return new InMemoryEventStore(options);
    }),
    caughtBy: [
      "everything is stored after the store was reopened, the last event and the tokens included",
      "saves that were under way are stored when close resolves, or say that they are not",
      MODEL,
    ],
  },
  {
    defect: "accepts a version that equals the latest",
    harness: over(
      class extends Backend {
        override commit(commit: Commit): readonly StoredEvent[] {
          for (const { actorId, drafts, expected } of commit.parts) {
            const actor = this.log.actors.get(actorId);
            if (expected === "given" && actor?.version === drafts[0]!.givenVersion) actor!.version--;
          }
          return super.commit(commit);
        }
      },
    ),
    caughtBy: [
      "saveEvent refuses a version at or below the latest",
      "of many writers at one version exactly one wins",
      "saveEvents stores nothing if one of several actors conflicts",
      MODEL,
    ],
  },
  {
    defect: "checks, and then stores, with a pause between",
    harness: slowly(async (backend, commit) => {
      backend.check(commit);
      await turn();
      for (const { actorId, expected, drafts } of commit.parts) {
        const actor = backend.log.actors.get(actorId);
        if (actor && expected !== "any" && expected !== "exists") {
          actor.version = expected === "given" ? drafts[0]!.givenVersion! - 1 : expected;
        }
      }
      return backend.commit(commit);
    }),
    caughtBy: [
      "of many writers at one version exactly one wins",
      "concurrent appends under one expected version leave one winner, and the others conflict",
      ONE_ORDER,
    ],
  },
  {
    defect: "keeps the caller's own objects",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        readonly #data = new Map<string, unknown>();
        override async saveEvent(event: EventInput, save?: SaveOptions): Promise<StoredEvent> {
          const saved = await super.saveEvent(event, save);
          this.#data.set(saved.position, event.data);
          return saved;
        }
        override async getEvents(actorId: string, fromVersion?: number): Promise<StoredEvent[]> {
          const events = await super.getEvents(actorId, fromVersion);
          return events.map((event) => ({ ...event, data: this.#data.get(event.position) ?? event.data }));
        }
      }(options)
    ),
    caughtBy: [
      "changing an event after it was passed in changes nothing that is stored",
      "what is handed out is frozen through and through",
    ],
  },
  {
    defect: "freezes the caller's own objects",
    harness: opens((options) =>
      new class extends Store {
        override change<T extends NewEvent>(event: T): T {
          Object.freeze(event.data);
          return event;
        }
      }(options)
    ),
    caughtBy: ["the caller's own objects are neither frozen nor changed"],
  },
  {
    defect: "shows a commit before it is whole",
    harness: slowly(async (backend, commit) => {
      backend.check(commit);
      const stored: StoredEvent[] = [];
      for (const part of commit.parts) {
        stored.push(...backend.commit({ ...commit, parts: [part] }));
        if (commit.parts.length > 1) await turn();
      }
      return stored;
    }),
    caughtBy: [ONE_ORDER],
  },
  {
    defect: "stores a part of a commit of which another part conflicts",
    harness: over(
      class extends Backend {
        override commit(commit: Commit): readonly StoredEvent[] {
          return commit.parts.flatMap((part) => super.commit({ ...commit, parts: [part] }));
        }
      },
    ),
    caughtBy: [
      "saveEvents stores nothing if one of several actors conflicts",
      "a commit of several actors is refused whole where one of them is fenced",
      MODEL,
    ],
  },
  {
    defect: "does not see what another store object has saved",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        readonly #latest = new Map<string, number>();
        override async getLatestVersion(actorId: string): Promise<number> {
          const latest = this.#latest.get(actorId) ?? await super.getLatestVersion(actorId);
          this.#latest.set(actorId, latest);
          return latest;
        }
        override async append(
          id: string,
          events: readonly NewEvent[],
          append: AppendOptions,
        ): Promise<StoredEvent[]> {
          const saved = await super.append(id, events, append);
          this.#latest.delete(id);
          return saved;
        }
      }(options)
    ),
    caughtBy: ["every read of another store object sees what was saved"],
  },
  {
    defect: "skips what is saved while a subscription turns from history to live",
    harness: over(
      class extends Backend {
        override async *followLog(follow: LogFollow): AsyncIterable<LogBatch> {
          const { onReady, ...read } = follow;
          yield* this.readLog(read);
          await turn();
          const after = await this.getLastPosition() ?? "start";
          yield* super.followLog({ ...read, onReady, after });
        }
      },
    ),
    caughtBy: ["there is no gap and no duplicate where history turns into live"],
  },
  {
    defect: "delivers the last event of the history again as the first live one",
    harness: over(
      class extends Backend {
        override async *followLog(follow: LogFollow): AsyncIterable<LogBatch> {
          const { onReady, ...read } = follow;
          for await (const batch of this.readLog(read)) {
            yield batch;
            yield { events: batch.events.slice(-1), position: batch.position };
            follow = { ...follow, after: batch.position };
          }
          yield* super.followLog({ ...follow, onReady });
        }
      },
    ),
    caughtBy: [
      "a subscription delivers the history, and then what comes",
      "there is no gap and no duplicate where history turns into live",
    ],
  },
  {
    defect: "keeps a subscription's position where only events came that its filter leaves out",
    harness: over(
      class extends Backend {
        override async *followLog(follow: LogFollow): AsyncIterable<LogBatch> {
          const { eventTypes } = follow.filter;
          for await (const batch of super.followLog(follow)) {
            if (!eventTypes || batch.events.some((event) => eventTypes.includes(event.eventType))) {
              yield batch;
            }
          }
        }
      },
    ),
    caughtBy: ["filters choose what is delivered, and move the position past what they leave out"],
  },
  {
    defect: "reports a conflict with its own write where an append is repeated",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override async append(
          id: string,
          events: readonly NewEvent[],
          append: AppendOptions,
        ): Promise<StoredEvent[]> {
          const { expectedVersion } = append;
          const currentVersion = await this.getLatestVersion(id);
          if (
            typeof expectedVersion === "number" && expectedVersion !== currentVersion && events.length > 0
          ) {
            const attemptedVersion = expectedVersion + 1;
            throw new VersionConflictError({ actorId: id, attemptedVersion, currentVersion });
          }
          return await super.append(id, events, append);
        }
      }(options)
    ),
    caughtBy: [
      "an append with ids can be repeated: it resolves with what is stored, once",
      MODEL,
    ],
  },
  {
    defect: "sends a commit again when it takes its time, and does not know it again",
    harness: slowly(async (backend, commit) => {
      const stored = backend.commit(commit);
      await turn();
      return stored.length % 2 === 0 ? backend.commit(commit) : stored;
    }),
    caughtBy: ["append numbers on from the expected version", MODEL],
  },
  {
    defect: "takes a refusal for an acknowledgement",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override async saveEvent(event: EventInput, save?: SaveOptions): Promise<StoredEvent> {
          try {
            return await super.saveEvent(event, save);
          } catch (error) {
            if (!(error instanceof VersionConflictError)) throw error;
            const position = await this.getLastPosition() ?? "";
            return { id: "x", timestamp: new Date().toISOString(), ...event, position } as StoredEvent;
          }
        }
      }(options)
    ),
    caughtBy: [
      "saveEvent refuses a version at or below the latest",
      "of many writers at one version exactly one wins",
      MODEL,
    ],
  },
  {
    defect: "takes a position for a place, whatever event was there",
    harness: over(
      class extends Backend {
        override readLog(read: LogRead): AsyncIterable<LogBatch> {
          return super.readLog({ ...read, after: proven(read.after) });
        }
        override checkPosition(position: string): void {
          super.checkPosition(proven(position));
        }
      },
    ),
    caughtBy: ["a position is refused if its proof is not that of the commit at its place"],
  },
  {
    defect: "has no proof in its positions, and is restored to an earlier state",
    harness: {
      setUp(): BackendUnderTest {
        const storage = new InMemoryStorage();
        const log = logOfStorage(storage, "default");
        let length = 0;
        return {
          open: (options) => new InMemoryEventStore({ ...options, storage }),
          backUp: () => void (length = log.events.length),
          restore: () => {
            for (const { actorId } of log.events.splice(length)) {
              const actor = log.actors.get(actorId)!;
              actor.events.pop();
              actor.version = actor.events.at(-1)?.version ?? 0;
            }
          },
        };
      },
    },
    caughtBy: [
      "positions of events that a restore has lost are refused after the log has grown past them",
      "a position that a filtered subscription has come to is refused if a restore has lost its place",
      "a snapshot of an event that a restore has lost is refused by a replay",
    ],
  },
  {
    defect: "takes a log that was made again for the one that it was opened on",
    harness: {
      setUp(): BackendUnderTest {
        const storage = new InMemoryStorage();
        const { events, actors, snapshots } = logOfStorage(storage, "default");
        return {
          open: (options) => new InMemoryEventStore({ ...options, storage }),
          deleteLog: () => {
            events.length = 0;
            actors.clear();
            snapshots.clear();
          },
        };
      },
    },
    caughtBy: [
      "a log that was made again in place of another one gets nothing from stores of that one",
      "a log that was made again in place of another one is not read by stores of that one",
      "a log that was deleted is missed by every call that writes or reads",
    ],
  },
  {
    defect: "shows readers the log in different orders",
    harness: over(
      class extends Backend {
        #reads = 0;
        override async *readLog(read: LogRead): AsyncIterable<LogBatch> {
          const swaps = ++this.#reads % 2 === 0;
          for await (const { events, position } of super.readLog(read)) {
            const shown = [...events];
            const { length } = shown;
            if (swaps && length > 1) {
              [shown[length - 2], shown[length - 1]] = [shown[length - 1]!, shown[length - 2]!];
            }
            yield { events: shown, position };
          }
        }
      },
    ),
    caughtBy: [
      ONE_ORDER,
      "after every position, inside a commit too, a read goes on exactly behind it",
      MODEL,
    ],
  },
  {
    defect: "takes the actor ids `a.b` and `a b` for one",
    harness: folding((actorId) => actorId.replaceAll(" ", ".")),
    caughtBy: ["no two actor ids share events, for any ids", MODEL],
  },
  {
    defect: "normalises actor ids",
    harness: folding((actorId) => actorId.normalize("NFC")),
    caughtBy: ["no two actor ids share events, for any ids"],
  },
  {
    defect: "cuts long actor ids",
    harness: folding((actorId) => actorId.slice(0, 511)),
    caughtBy: ["no two actor ids share events, for any ids"],
  },
  {
    defect: "drops options that it does not know",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override append(
          id: string,
          events: readonly NewEvent[],
          { retenton: _, ...known }: AppendOptions & { readonly retenton?: unknown },
        ): Promise<StoredEvent[]> {
          return super.append(id, events, known);
        }
      }(options)
    ),
    caughtBy: ["options that a call does not know are refused by their name"],
  },
  {
    defect: "ignores fencing tokens",
    harness: over(
      class extends Backend {
        override commit({ fencingToken: _, ...commit }: Commit): readonly StoredEvent[] {
          return super.commit({ ...commit, fencingToken: undefined, unfenced: true });
        }
      },
    ),
    caughtBy: [
      "a save under a token refuses every later save under a lower one, or none",
      "takeOver stores a token alone: no event and no version",
      "a writer on another store object, with the actor in memory, is fenced off",
      MODEL,
    ],
  },
  {
    defect: "forgets fencing tokens when it is opened again",
    harness: opens((options) => {
      for (const actor of logOf(options).actors.values()) actor.fence = 0;
      return new InMemoryEventStore(options);
    }),
    caughtBy: ["tokens outlive the store object that stored them, taken over or saved", MODEL],
  },
  {
    defect: 'takes "exists" for "any"',
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override append(
          id: string,
          events: readonly NewEvent[],
          append: AppendOptions,
        ): Promise<StoredEvent[]> {
          const expectedVersion = append.expectedVersion === "exists" ? "any" : append.expectedVersion;
          return super.append(id, events, { ...append, expectedVersion });
        }
      }(options)
    ),
    caughtBy: ['append under "exists" stores after any version, and refuses an actor without events', MODEL],
  },
  {
    defect: "looks at nothing where there is nothing to store",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override append(
          id: string,
          events: readonly NewEvent[],
          append: AppendOptions,
        ): Promise<StoredEvent[]> {
          return events.length === 0 ? Promise.resolve([]) : super.append(id, events, append);
        }
      }(options)
    ),
    caughtBy: ["an empty append checks the expected version and the conditions, and stores nothing"],
  },
  {
    defect: "reads on behind the position that it is to end at",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override readAll({ until: _, ...read }: ReadAllOptions = {}): AsyncIterable<never> {
          return super.readAll(read) as AsyncIterable<never>;
        }
      }(options)
    ),
    caughtBy: ["readAll ends at the position that it is asked for, itself included"],
  },
  {
    defect: "says that a subscription has caught up when it has begun",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override subscribe(...parameters: Parameters<InMemoryEventStore["subscribe"]>): never {
          const subscription = super.subscribe(...parameters);
          return new Proxy(subscription, {
            get: (target, name) => {
              if (name === "caughtUp") return () => Promise.resolve(true);
              const value = Reflect.get(target, name, target);
              return typeof value === "function" ? value.bind(target) : value;
            },
          }) as never;
        }
      }(options)
    ),
    caughtBy: ["a subscription reports when its loop has done with what was in the log"],
  },
  {
    defect: "goes on behind the commit that a page has ended in",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override async *readAll(
          read: Parameters<InMemoryEventStore["readAll"]>[0] = {},
        ): AsyncIterableIterator<never> {
          const isNext = read.after !== undefined && read.limit === 7 && read.direction === "forward";
          const at = { direction: "backward", until: read.after!, limit: 1 } as const;
          const [ended] = isNext && read.after !== "start" ? await Array.fromAsync(super.readAll(at)) : [];
          for await (const event of super.readAll(read)) {
            if (event.timestamp !== ended?.timestamp) yield event as never;
          }
        }
      }(options)
    ),
    caughtBy: ["a page ends in the middle of a commit of any size, and the next read goes on there"],
  },
  {
    defect: "reads backward behind the place that it is to end at",
    harness: over(
      class extends Backend {
        override async *readLogBackward(): AsyncIterable<readonly StoredEvent[]> {
          yield* super.readLogBackward({ from: undefined });
        }
      },
    ),
    caughtBy: ["readAll reads the log backward, between two places, with a filter and a limit"],
  },
  {
    defect: "ignores conditions",
    harness: over(
      class extends Backend {
        override commit(commit: Commit): readonly StoredEvent[] {
          const parts = commit.parts.map((part) => ({ ...part, required: undefined }));
          return super.commit({ ...commit, parts, conditions: [] });
        }
      },
    ),
    caughtBy: [
      "a commit is refused where the actor of a condition is at another version, and the error names it",
      "a condition may be on an actor that the commit writes to",
    ],
  },
  {
    defect: "checks conditions, and then stores, with a pause between",
    harness: slowly(async (backend, commit) => {
      backend.commit({ ...commit, parts: [] });
      await turn();
      return backend.commit({ ...commit, conditions: [] });
    }),
    caughtBy: ["of commits that depend on each other's actors exactly one is stored"],
  },
  {
    defect: "counts a takeover as a version",
    harness: over(
      class extends Backend {
        override takeOver(actorId: string, token: number): void {
          super.takeOver(actorId, token);
          this.log.actors.get(actorId)!.version++;
        }
      },
    ),
    caughtBy: ["takeOver stores a token alone: no event and no version", MODEL],
  },
  {
    defect: "writes positions as numbers of any width",
    harness: opens((options) => {
      const log = logOf(options);
      Object.assign(log, { nextPosition: () => `${log.id}-${log.events.length + 1}` });
      return new InMemoryEventStore(options);
    }),
    caughtBy: ["positions are text of one width, rise by <, and are the same in every read"],
  },
  {
    defect: "takes positions of another log",
    harness: over(
      class extends Backend {
        override readLog(read: Pick<LogRead, "after">): AsyncIterable<LogBatch> {
          const { after } = read;
          return super.readLog({ after: after[12] === "-" ? this.log.id + after.slice(12) : after });
        }
      },
    ),
    caughtBy: ["positions of another log are refused, and those of another namespace"],
  },
  {
    defect: "waits at a position that the log has not reached",
    harness: over(
      class extends Backend {
        override async *readLog(read: Pick<LogRead, "after">): AsyncIterable<LogBatch> {
          const last = await this.getLastPosition();
          if (read.after.startsWith(this.log.id) && last && read.after > last) return;
          yield* super.readLog(read);
        }
      },
    ),
    caughtBy: ["a position that the log has not reached is refused"],
  },
  {
    defect: "begins again at the whole commit where a position lies inside it",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override async *readAll(read: ReadAllOptions = {}): AsyncIterable<never> {
          const { after = "start" } = read;
          const all = await Array.fromAsync(super.readAll());
          const index = all.findIndex(({ position }) => position === after);
          let begin = index;
          while (begin > 0 && all[begin - 1]!.actorId === all[index]!.actorId) begin--;
          const again = begin > 0 ? all[begin - 1]!.position : after;
          yield* super.readAll({ ...read, after: again }) as AsyncIterable<never>;
        }
      }(options)
    ),
    caughtBy: ["after every position, inside a commit too, a read goes on exactly behind it"],
  },
  {
    defect: "takes a prefix for whole levels",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override async *readAll(read: ReadAllOptions = {}): AsyncIterable<never> {
          const { actorPrefix, ...rest } = read;
          for await (const event of super.readAll(rest)) {
            if (!actorPrefix || `${event.actorId}.`.startsWith(`${actorPrefix}.`)) yield event as never;
          }
        }
      }(options)
    ),
    caughtBy: [
      "filters choose by type, by actor and by a plain prefix of the actor's id, and by all of them",
      MODEL,
    ],
  },
  {
    defect: "drops metadata",
    harness: opens((options) =>
      new class extends Store {
        override change<T extends NewEvent>(event: T): T {
          return Object(event) === event ? { ...event, metadata: undefined } : event;
        }
      }(options)
    ),
    caughtBy: [
      "metadata is kept as it was given, and is absent where none was",
      "saveEvent stores an event under the version that it carries, and getEvents returns it",
    ],
  },
  {
    defect: "changes data silently to what JSON can carry",
    harness: opens((options) =>
      new class extends Store {
        override change<T extends NewEvent>(event: T): T {
          try {
            return { ...event, data: JSON.parse(JSON.stringify(event.data)) };
          } catch {
            return event;
          }
        }
      }(options)
    ),
    caughtBy: ["data that JSON cannot carry faithfully is refused by its path"],
  },
  {
    defect: "goes on after close",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override close(): Promise<void> {
          return Promise.resolve();
        }
      }(options)
    ),
    caughtBy: ["a closed store refuses every call"],
  },
  {
    defect: "hands out what it has read ahead when it is closed or aborted",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override async *readEvents(id: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent> {
          yield* await Array.fromAsync(super.readEvents(id, options));
        }
      }(options)
    ),
    caughtBy: [
      "close ends every iteration in its middle with StoreClosedError, and subscriptions normally",
      "an abort ends every iteration in its middle with the signal's reason",
    ],
  },
  {
    defect: "drops what is under way when it is closed",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        #open = true;
        override async append(
          id: string,
          events: readonly NewEvent[],
          append: AppendOptions,
        ): Promise<StoredEvent[]> {
          await turn();
          return this.#open ? await super.append(id, events, append) : [];
        }
        override close(): Promise<void> {
          this.#open = false;
          return super.close();
        }
      }(options)
    ),
    caughtBy: ["saves that were under way are stored when close resolves, or say that they are not"],
  },
  {
    defect: 'appends under "any" after a version that it has read, once',
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override async append(
          id: string,
          events: readonly NewEvent[],
          append: AppendOptions,
        ): Promise<StoredEvent[]> {
          if (append.expectedVersion !== "any") return await super.append(id, events, append);
          const expectedVersion = await this.getLatestVersion(id);
          await turn();
          return await super.append(id, events, { ...append, expectedVersion });
        }
      }(options)
    ),
    caughtBy: ['concurrent appends under "any" are all stored, whole', ONE_ORDER],
  },
  {
    defect: "does not heed a signal",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override append(
          id: string,
          events: readonly NewEvent[],
          { signal: _, ...append }: AppendOptions,
        ): Promise<StoredEvent[]> {
          return super.append(id, events, append);
        }
      }(options)
    ),
    caughtBy: ["a save whose signal has fired rejects with its reason and stores nothing"],
  },
  {
    defect: "declares smaller limits than it keeps",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override get limits(): InMemoryEventStore["limits"] {
          return { ...super.limits, bytesPerEvent: 100 * 1024, bytesPerCommit: 300 * 1024 };
        }
      }(options)
    ),
    caughtBy: [
      "an event takes as many bytes as declared, and not one more",
      "a commit takes as many bytes as declared, and not many more",
      "bytes are counted in UTF-8, not in characters",
    ],
  },
  {
    defect: "keeps all namespaces in one log",
    harness: opens(({ namespace: _, ...options }) => new InMemoryEventStore(options)),
    caughtBy: ["namespaces of one backend share nothing"],
  },
  {
    defect: "keeps snapshots of versions that the actor has not reached",
    harness: opens((options) => {
      const backend = new Backend(logOf(options), options);
      return new class extends InMemoryEventStore {
        override saveSnapshot<S>(snapshot: SnapshotInput<S>): Promise<void> {
          return backend.saveSnapshot(snapshot as Snapshot<S>);
        }
      }(options);
    }),
    caughtBy: [
      "a version that the actor has not reached is refused",
      "a snapshot comes back as it was saved, frozen, and is no event",
      MODEL,
    ],
  },
  {
    defect: "deletes the snapshots of every kind that begins with the name",
    harness: over(
      class extends Backend {
        override deleteSnapshots(kind: string): Promise<number> {
          const found = [...this.log.snapshots].filter(([, snapshot]) => snapshot.kind.startsWith(kind));
          for (const [key] of found) this.log.snapshots.delete(key);
          return Promise.resolve(found.length);
        }
      },
    ),
    caughtBy: ["deleting the snapshots of a kind leaves other kinds and the events"],
  },
  {
    defect: "remembers how far a snapshot went that was deleted",
    harness: over(
      class extends Backend {
        readonly #furthest = new Map<string, number>();

        override saveSnapshot(snapshot: Snapshot): Promise<void> {
          const { actorId, kind, version } = snapshot;
          const furthest = this.#furthest.get(`${actorId} ${kind}`) ?? 0;
          return version < furthest ? Promise.resolve() : super.saveSnapshot(snapshot);
        }

        override deleteSnapshots(kind: string): Promise<number> {
          for (const { actorId, kind: of, version } of this.log.snapshots.values()) {
            if (of === kind) this.#furthest.set(`${actorId} ${kind}`, version);
          }
          return super.deleteSnapshots(kind);
        }
      },
    ),
    caughtBy: ["after a deletion any snapshot is taken, also one of a lower version"],
  },
  {
    defect: "chooses by the types that events are stored under",
    harness: opens((options) =>
      new class extends InMemoryEventStore {
        override async *readAll(read: ReadAllOptions = {}): AsyncIterable<never> {
          const { eventTypes } = read;
          const stored = new Map<string, string>();
          for await (const { position, eventType } of rawLogOf(this).read("start", undefined)) {
            stored.set(position, eventType);
          }
          for await (const event of super.readAll(read)) {
            if (!eventTypes || eventTypes.includes(stored.get(event.position)!)) yield event as never;
          }
        }
      }(options)
    ),
    caughtBy: [
      "a type that was renamed is read and chosen under its new name",
      "a type that was split is read as several events, which share version, position and time",
    ],
  },
];
