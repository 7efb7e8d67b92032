/**
 * Storage in this process's memory.
 *
 * @module
 */

import { isInstance, registerClass } from "../../copies.ts";
import type { Draft } from "../../event/draft.ts";
import { noteSchemaVersion } from "../../event/registry.ts";
import type { StoredEvent } from "../../event/types.ts";
import type {
  ActorToken,
  BackwardLogRead,
  HistoryRead,
  LogBatch,
  LogFollow,
  LogRead,
  StorageBackend,
  Verified,
} from "../backend.ts";
import {
  type ActorHead,
  checkCondition,
  checkFence,
  checkSizes,
  type Commit,
  NEW_ACTOR,
  numberPart,
} from "../commit.ts";
import { InvalidPositionError } from "../errors.ts";
import { followLog, Wakeups } from "../follow.ts";
import { DIGITS, LogPositions, newLogId, NO_PROOF } from "../position.ts";
import { type Snapshot, supersedes } from "../snapshot.ts";
import type { ActorSummary, Finding, ListActorsOptions, StoreLimits, VerifyOptions } from "../types.ts";

/** Hexadecimal digits of a position: the event's number in the log. */
const POSITION_WIDTH = 14;
/**
 * The last digits of positions, ready to be used. They include the proof, which is always the same: what is in memory
 * cannot be restored to an earlier state, and has no checksum.
 */
const TAIL_WIDTH = 3;
const TAILS: readonly string[] = DIGITS.map((digits) => digits + NO_PROOF);
const TAIL_MASK = TAILS.length - 1;
/** Events a batch, so that other tasks run during a long read. */
const BATCH_SIZE = 1_000;

/** An actor's events and its newest token. */
class Actor implements ActorHead {
  readonly events: StoredEvent[] = [];
  version = 0;
  fence = 0;
}

/** One namespace's log. */
export class MemoryLog {
  /** The log's random id. */
  readonly id: string = newLogId();
  /** The positions of the log. */
  readonly positions: LogPositions = new LogPositions(this.id, POSITION_WIDTH);
  /** Every event, in commit order. */
  readonly events: StoredEvent[] = [];
  /** Every actor that was saved to or taken over. */
  readonly actors: Map<string, Actor> = new Map();
  /** How many events came in one commit, by the index of the first of them; one if it is not here. */
  readonly commitSizes: Map<number, number> = new Map();
  /** The latest snapshot of each actor and kind. */
  readonly snapshots: Map<string, Snapshot> = new Map();
  /** Wakes the subscribers of every store over this log. */
  readonly wakeups: Wakeups = new Wakeups();
  #positionHead = "";

  /** The position of the event that comes next. Every digit except the last ones is kept, because each save makes one. */
  nextPosition(): string {
    const number = this.events.length + 1;
    const tail = number & TAIL_MASK;
    if (tail === 0 || this.#positionHead === "") {
      this.#positionHead = this.positions.of(
        hex(Math.floor(number / TAILS.length), POSITION_WIDTH - TAIL_WIDTH),
      );
    }
    return this.#positionHead + TAILS[tail]!;
  }
}

function hex(number: number, width: number): string {
  return number.toString(16).padStart(width, "0");
}

/**
 * What in-memory stores keep their events in. Each store has one of its own; pass one to several stores, one after the
 * other or at once, to try out what happens when an application is started again or runs twice.
 *
 * @example A second store over the same storage
 * ```ts
 * import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * const storage = new InMemoryStorage();
 * {
 *   await using store = new InMemoryEventStore({ storage });
 *   await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * }
 * await using restarted = new InMemoryEventStore({ storage });
 * assert.equal(await restarted.getLatestVersion("order-1"), 1);
 * ```
 *
 * @category Stores
 */
export class InMemoryStorage {
  static {
    registerClass(this, "InMemoryStorage/1");
  }

  /** Is empty. */
  constructor() {
    const logs = new Map<string, MemoryLog>();
    const value = (namespace: string): MemoryLog => {
      let log = logs.get(namespace);
      if (!log) logs.set(namespace, log = new MemoryLog());
      return log;
    };
    Object.defineProperty(this, LOG_OF, { value });
  }

  /** Makes `instanceof` recognise storages of another copy of this library in the same program. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return isInstance(this, value);
  }
}

/** The key of a storage's logs. It is no part of its type, and registered, so that another copy of this library finds them. */
const LOG_OF = Symbol.for("@flowmade-one/aether/InMemoryStorage/1/log");

/** The log of a namespace. */
export function logOf(storage: InMemoryStorage, namespace: string): MemoryLog {
  const open: (namespace: string) => MemoryLog = Reflect.get(storage, LOG_OF);
  return open(namespace);
}

/** The backend of an in-memory store. Commits are synchronous, and so atomic. */
export class MemoryBackend implements StorageBackend {
  readonly limits: StoreLimits = Object.freeze({
    actorsPerCommit: 100,
    eventsPerCommit: 1_000,
    bytesPerCommit: 1024 * 1024,
    bytesPerEvent: 512 * 1024,
  });
  readonly #log: MemoryLog;

  constructor(log: MemoryLog) {
    this.#log = log;
  }

  commit(commit: Commit): readonly StoredEvent[] {
    const { parts, conditions } = commit;
    checkSizes(parts, this.limits);
    const { actors, wakeups } = this.#log;
    for (const condition of conditions) {
      checkCondition(condition, actors.get(condition.actorId) ?? NEW_ACTOR);
    }
    const stored: StoredEvent[] = [];
    if (parts.length === 1) {
      const part = parts[0]!;
      const known = actors.get(part.actorId);
      const fence = numberPart(part, known ?? NEW_ACTOR, commit);
      const actor = known ?? this.#actor(part.actorId);
      actor.fence = fence;
      for (const draft of part.drafts) stored.push(this.#store(actor, draft));
    } else {
      // All parts are numbered before any is stored: numbering is what refuses.
      const fences = parts.map((part) => numberPart(part, actors.get(part.actorId) ?? NEW_ACTOR, commit));
      parts.forEach((part, index) => {
        const actor = this.#actor(part.actorId);
        actor.fence = fences[index]!;
        for (const draft of part.drafts) stored.push(this.#store(actor, draft));
      });
    }
    if (stored.length > 1) this.#log.commitSizes.set(this.#log.events.length - stored.length, stored.length);
    wakeups.notify();
    return stored;
  }

  #store(actor: Actor, { event, schemaVersion }: Draft): StoredEvent {
    const log = this.#log;
    event.position = log.nextPosition();
    Object.freeze(event);
    log.events.push(event);
    actor.events.push(event);
    actor.version = event.version;
    noteSchemaVersion(event, schemaVersion);
    return event;
  }

  takeOver(actorId: string, token: number): void {
    const actor = this.#actor(actorId);
    actor.fence = checkFence(actorId, actor.fence, { fencingToken: token, unfenced: false });
  }

  #actor(actorId: string): Actor {
    let actor = this.#log.actors.get(actorId);
    if (!actor) this.#log.actors.set(actorId, actor = new Actor());
    return actor;
  }

  getEvents(actorId: string, fromVersion: number): readonly StoredEvent[] {
    const events = this.#log.actors.get(actorId)?.events;
    if (!events) return [];
    return fromVersion === 1 ? events.slice() : events.slice(lowerBound(events, fromVersion));
  }

  async *readHistory(actorId: string, read: HistoryRead): AsyncIterable<readonly StoredEvent[]> {
    const events = this.#log.actors.get(actorId)?.events ?? [];
    const begin = lowerBound(events, read.fromVersion);
    const end = lowerBound(events, read.toVersion + 1);
    if (read.direction === "forward") {
      for (let from = begin; from < end; from += BATCH_SIZE) {
        yield (events.slice(from, Math.min(from + BATCH_SIZE, end)));
      }
    } else {
      for (let to = end; to > begin; to -= BATCH_SIZE) {
        yield (events.slice(Math.max(to - BATCH_SIZE, begin), to).reverse());
      }
    }
  }

  getLatestVersion(actorId: string): number {
    return this.#log.actors.get(actorId)?.version ?? 0;
  }

  async *readLog(
    { after, limit = Infinity, onPart }: Pick<LogRead, "after" | "limit" | "onPart">,
  ): AsyncIterable<LogBatch> {
    const { events, commitSizes } = this.#log;
    const end = events.length;
    let from = 0;
    if (after === "end") from = end;
    else if (after !== "start" && after !== "first-kept") from = this.#placeOf(after);
    const size = Math.max(1, Math.min(BATCH_SIZE, limit));
    let begun = from;
    for (; from < end; from += size) {
      const batch = events.slice(from, Math.min(from + size, end));
      for (let index = from; onPart && index < from + batch.length; index++) {
        const event = events[index]!;
        if (index >= begun + (commitSizes.get(begun) ?? 1)) begun = index;
        // Tokens are not kept with events here: `listTokens` has them.
        onPart({ commitId: String(begun), actorId: event.actorId, fence: 0, events: [event] });
      }
      yield { events: batch, position: batch.at(-1)!.position };
    }
  }

  /** How many events the log has up to the place of a position, including it. */
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

  async *readLogBackward({ from }: Pick<BackwardLogRead, "from">): AsyncIterable<readonly StoredEvent[]> {
    const { events } = this.#log;
    for (let to = from === undefined ? events.length : this.#placeOf(from); to > 0; to -= BATCH_SIZE) {
      yield events.slice(Math.max(to - BATCH_SIZE, 0), to).reverse();
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

  async *listTokens(): AsyncIterable<ActorToken> {
    for (const [actorId, { fence: token }] of this.#log.actors) if (token > 0) yield { actorId, token };
  }

  async *listActors({ actorPrefix = "" }: ListActorsOptions): AsyncIterable<ActorSummary> {
    for (const [actorId, { version: latestVersion }] of this.#log.actors) {
      if (latestVersion > 0 && actorId.startsWith(actorPrefix)) yield { actorId, latestVersion };
    }
  }

  verify(options: VerifyOptions): Promise<Verified> {
    const { events, actors } = this.#log;
    const lastPosition = events.at(-1)?.position;
    const populated = [...actors.values()].filter(({ version }) => version > 0).length;
    const commits = events.length;
    options.onProgress?.({ commits, events: events.length });
    return Promise.resolve({ commits, events: events.length, actors: populated, lastPosition, faults: [] });
  }

  diagnose(): Promise<Finding[]> {
    return Promise.resolve([{
      code: "in-memory",
      severity: "warning",
      message: "The events live in this process's memory: they are gone when it ends",
      advice:
        "Use it for tests and prototypes; open a DenoKvEventStore or a JetStreamEventStore to keep events",
    }]);
  }

  saveSnapshot(snapshot: Snapshot): Promise<void> {
    const { snapshots } = this.#log;
    const key = snapshotKey(snapshot.actorId, snapshot.kind);
    if (supersedes(snapshot, snapshots.get(key))) snapshots.set(key, snapshot);
    return Promise.resolve();
  }

  getLatestSnapshot(actorId: string, kind: string): Promise<Snapshot | undefined> {
    return Promise.resolve(this.#log.snapshots.get(snapshotKey(actorId, kind)));
  }

  deleteSnapshots(kind: string): Promise<number> {
    const { snapshots } = this.#log;
    const before = snapshots.size;
    for (const [key, snapshot] of snapshots) if (snapshot.kind === kind) snapshots.delete(key);
    return Promise.resolve(before - snapshots.size);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function snapshotKey(actorId: string, kind: string): string {
  return JSON.stringify([actorId, kind]);
}

/** The index of the first event whose version is at least `version`. */
function lowerBound(events: readonly StoredEvent[], version: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (events[middle]!.version < version) low = middle + 1;
    else high = middle;
  }
  return low;
}
