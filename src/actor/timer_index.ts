/**
 * The index of timers: which actor has which timers, and how far the log has been read for it. It is derived from the
 * events and can be built again. A fault in it makes a timer late, and never fires one that the actor's state does not name.
 *
 * @module
 */

import { InMemoryLeases } from "../cluster/in_memory_leases.ts";
import type { LeaseStore } from "../cluster/lease.ts";
import type { TimerReference } from "./timer.ts";

/** A timer in the index. */
export interface IndexedTimer extends TimerReference {
  /** Whether it was fired: it is not fired again. */
  readonly isFired: boolean;
}

/** What the index holds of an actor. */
export interface IndexedActor {
  /** The actor. */
  readonly actorId: string;
  /** The version of the state that the timers are of. */
  readonly version: number;
  /** Its timers. */
  readonly timers: readonly IndexedTimer[];
  /** What is wrong with its timers, if something is. */
  readonly fault?: string;
}

/** The same with the revision by which it is replaced. */
export interface StoredActor extends IndexedActor {
  /** Changes with each write. */
  readonly revision: string;
}

/** How far the index of a kind of actors goes. */
export interface IndexHead {
  /** The position up to which the log was read; `undefined` for a log that was empty. */
  readonly position?: string;
}

/** A timer that waits, with its actor. */
export interface PendingTimer extends TimerReference {
  /** The actor. */
  readonly actorId: string;
}

/** Which waiting timers are listed, in the order of their times. */
export interface PendingRange {
  /** Only those that are due at this time at the latest, in milliseconds since 1970. */
  readonly until?: number;
  /** Only those behind this one. */
  readonly after?: PendingTimer;
  /** How many. */
  readonly limit: number;
}

/** Another process has written in the meantime. */
export class IndexConflict extends Error {}

/** How long closing an index waits for its storage, in milliseconds: a lease that is not released expires. */
export const CLOSE_TIMEOUT = 500;

/** An index of timers. */
export interface TimerIndex {
  /** Whether the order of waiting timers is stored next to the actors, and may differ from them. */
  readonly hasOwnOrder: boolean;
  /** Leases of those that work on the index. */
  readonly leases: LeaseStore;
  /** How far it goes for a kind of actors; its revision is `undefined` if nothing is stored. */
  head(
    kind: string,
  ): Promise<{ readonly head: IndexHead | undefined; readonly revision: string | undefined }>;
  /** How far it goes, for each kind of actors that it has a record of. */
  heads(): Promise<ReadonlyMap<string, IndexHead>>;
  /** @throws {IndexConflict} If it has another revision. */
  saveHead(kind: string, head: IndexHead, revision: string | undefined): Promise<string>;
  /** What it holds of an actor. */
  get(actorId: string): Promise<StoredActor | undefined>;
  /**
   * Replaces what it holds of an actor, or removes it if there is nothing to hold.
   *
   * @returns The revision; `undefined` if it was removed.
   * @throws {IndexConflict} If it has another revision.
   */
  put(actor: IndexedActor, replaced: StoredActor | undefined): Promise<string | undefined>;
  /** All actors. */
  all(): AsyncIterable<StoredActor>;
  /** Timers that wait. */
  pending(range: PendingRange): Promise<readonly PendingTimer[]>;
  /** Releases its leases, and what was opened for it. It does not wait long for a storage that does not answer. */
  close(): Promise<void>;
}

/** Whether the index has to hold an actor. */
export function isHeld({ timers, fault }: IndexedActor): boolean {
  return timers.length > 0 || fault !== undefined;
}

/** The order of timers: by time, actor and name. */
export function compareTimers(a: PendingTimer, b: PendingTimer): number {
  return a.at - b.at || compareTexts(a.actorId, b.actorId) || compareTexts(a.name, b.name);
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Chooses the timers that wait. */
export function pendingOf(
  actors: Iterable<IndexedActor>,
  { until = Infinity, after, limit }: PendingRange,
): readonly PendingTimer[] {
  const found: PendingTimer[] = [];
  for (const { actorId, timers } of actors) {
    for (const { name, at, isFired } of timers) {
      if (isFired || at > until) continue;
      const timer = { actorId, name, at };
      if (!after || compareTimers(timer, after) > 0) found.push(timer);
    }
  }
  return found.sort(compareTimers).slice(0, limit);
}

/** The first waiting timers of a range for which a condition holds. */
export async function pendingWhere(
  index: TimerIndex,
  { after, ...range }: PendingRange,
  holds: (timer: PendingTimer) => boolean,
): Promise<readonly PendingTimer[]> {
  const { limit } = range;
  const found: PendingTimer[] = [];
  for (let last = after; found.length < limit;) {
    const page = await index.pending({ ...range, ...(last && { after: last }) });
    found.push(...page.filter(holds));
    if (page.length < limit) break;
    last = page.at(-1);
  }
  return found.slice(0, limit);
}

/** An actor as text. */
export function encodeActor({ version, timers, fault }: IndexedActor): string {
  const rows = timers.map(({ name, at, isFired }) => isFired ? [name, at, 1] : [name, at]);
  return JSON.stringify({ version, timers: rows, ...(fault !== undefined && { fault }) });
}

/** Reads an actor back. What cannot be read counts as at fault: the actor is asked again. */
export function decodeActor(actorId: string, text: unknown, revision: string): StoredActor {
  const { version, timers, fault } = parse(text) as Readonly<Record<string, unknown>>;
  if (typeof version !== "number" || !Array.isArray(timers)) {
    return { actorId, version: 0, timers: [], revision, fault: "its record cannot be read" };
  }
  // Many of them are in memory for long: a list of the right size, and no members that are added later.
  const stored = { actorId, version, timers: timers.filter(isTimer).map(decodeTimer), revision };
  return typeof fault === "string" ? { ...stored, fault } : stored;
}

function isTimer(row: unknown): row is [name: string, at: number, isFired?: unknown] {
  return Array.isArray(row) && typeof row[0] === "string" && Number.isSafeInteger(row[1]);
}

function decodeTimer([name, at, isFired]: [name: string, at: number, isFired?: unknown]): IndexedTimer {
  return { name: sharedText(name), at, isFired: isFired === 1 };
}

const names = new Map<string, string>();
/** How many names are shared: a definition has a few. */
const MAX_NAMES = 1_000;

/** The same text, in memory once: each record that is read has its own copy of the name. */
function sharedText(name: string): string {
  const known = names.get(name);
  if (known !== undefined) return known;
  if (names.size < MAX_NAMES) names.set(name, name);
  return name;
}

/** A head as text. */
export function encodeHead(head: IndexHead): string {
  return JSON.stringify({ ...head, isBuilt: true });
}

/** Reads a head back; `undefined` if it cannot be read: the index is built again. */
export function decodeHead(text: unknown): IndexHead | undefined {
  const { position, isBuilt } = parse(text) as Readonly<Record<string, unknown>>;
  if (isBuilt !== true) return undefined;
  return typeof position === "string" ? { position } : {};
}

function parse(text: unknown): object {
  try {
    const value: unknown = JSON.parse(String(text));
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** What several indexes in memory share. */
interface MemoryIndex {
  readonly actors: Map<string, StoredActor>;
  readonly heads: Map<string, { readonly head: IndexHead; readonly revision: string }>;
  readonly leases: InMemoryLeases;
  revision: number;
}

const indexes = new WeakMap<object, MemoryIndex>();

/** An index in memory, which lives as long as an object: each one for the same object is the same. */
export class InMemoryTimerIndex implements TimerIndex {
  readonly hasOwnOrder = false;
  readonly #index: MemoryIndex;

  /** @param owner The object. */
  constructor(owner: object) {
    let index = indexes.get(owner);
    if (!index) {
      const leases = new InMemoryLeases();
      indexes.set(
        owner,
        index = { actors: new Map(), heads: new Map(), leases, revision: 0 },
      );
    }
    this.#index = index;
  }

  get leases(): LeaseStore {
    return this.#index.leases;
  }

  head(kind: string): ReturnType<TimerIndex["head"]> {
    return Promise.resolve(this.#index.heads.get(kind) ?? { head: undefined, revision: undefined });
  }

  heads(): Promise<ReadonlyMap<string, IndexHead>> {
    return Promise.resolve(new Map([...this.#index.heads].map(([kind, { head }]) => [kind, head])));
  }

  saveHead(kind: string, head: IndexHead, replaced: string | undefined): Promise<string> {
    const { heads } = this.#index;
    if (heads.get(kind)?.revision !== replaced) return Promise.reject(new IndexConflict());
    const revision = String(++this.#index.revision);
    heads.set(kind, { head, revision });
    return Promise.resolve(revision);
  }

  get(actorId: string): Promise<StoredActor | undefined> {
    return Promise.resolve(this.#index.actors.get(actorId));
  }

  put(actor: IndexedActor, replaced: StoredActor | undefined): Promise<string | undefined> {
    const { actors } = this.#index;
    if (actors.get(actor.actorId)?.revision !== replaced?.revision) {
      return Promise.reject(new IndexConflict());
    }
    if (!isHeld(actor)) {
      actors.delete(actor.actorId);
      return Promise.resolve(undefined);
    }
    const revision = String(++this.#index.revision);
    actors.set(actor.actorId, { ...actor, revision });
    return Promise.resolve(revision);
  }

  async *all(): AsyncIterable<StoredActor> {
    yield* this.#index.actors.values();
  }

  pending(range: PendingRange): Promise<readonly PendingTimer[]> {
    return Promise.resolve(pendingOf(this.#index.actors.values(), range));
  }

  /** Does nothing: the leases are those of every index for the object. */
  async close(): Promise<void> {}
}
