/**
 * Storage in Deno KV.
 *
 * @module
 */

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
import { Commit, CommitPart, encodeParts, NO_CONDITIONS } from "../commit.ts";
import { StoreClosedError } from "../errors.ts";
import { followLog, type Wakeups } from "../follow.ts";
import type { Snapshot } from "../snapshot.ts";
import type { ActorSummary, Finding, ListActorsOptions, StoreLimits, VerifyOptions } from "../types.ts";
import { backendError } from "../../deno_kv_failures.ts";
import { packEvent } from "./event_format.ts";
import type { Heads } from "./heads.ts";
import { readHistory } from "./history.ts";
import type { KvPositions } from "./kv_positions.ts";
import { MAX_CHECKS_REMOTE } from "../../deno_kv_limits.ts";
import { actorOf, following } from "./layout.ts";
import type { LogRecord } from "./log_record.ts";
import { checkPosition, lastPosition, readLog, readLogBackward } from "./log.ts";
import type { CommitReader } from "./commit_reader.ts";
import { firstEntry } from "./scan.ts";
import type { Snapshots } from "./snapshots.ts";
import { verifyRecords } from "./verify.ts";
import type { GroupWriter } from "./writer.ts";

/**
 * The most that a commit may hold. KV Connect can check ten keys at once, that of the log and those of nine actors. The
 * limits are the same on every database, so that what works on one machine works on the next. The bytes leave room for keys and for the log in
 * an atomic operation.
 */
export const KV_LIMITS: StoreLimits = Object.freeze({
  actorsPerCommit: MAX_CHECKS_REMOTE - 1,
  eventsPerCommit: 1_000,
  bytesPerCommit: 512 * 1024,
  bytesPerEvent: 256 * 1024,
});

/** What a backend is put together from. */
export interface KvParts {
  /** The handle that writes. */
  readonly kv: Deno.Kv;
  /** The log that the store was opened on. */
  readonly log: LogRecord;
  /** The log's positions. */
  readonly positions: KvPositions;
  /** Reads records. */
  readonly reader: CommitReader;
  /** The heads of actors. */
  readonly heads: Heads;
  /** Writes commits. */
  readonly writer: GroupWriter;
  /** Keeps snapshots. */
  readonly snapshots: Snapshots;
  /** Is notified of what this store commits. */
  readonly wakeups: Wakeups;
  /** How often subscribers look for what other processes stored, in milliseconds. */
  readonly pollInterval: number;
  /** Findings about the database. */
  readonly findings: readonly Finding[];
  /** Closes the handles that the store opened. */
  readonly close: () => void;
}

/** The backend of a store in Deno KV. */
export class KvBackend implements StorageBackend {
  /** The handle that writes. */
  readonly kv: Deno.Kv;
  readonly limits: StoreLimits = KV_LIMITS;
  readonly maxCommitsInOrder = 32;
  readonly #parts: KvParts;
  #closed = false;

  constructor(parts: KvParts) {
    this.kv = parts.kv;
    this.#parts = parts;
  }

  async commit(commit: Commit): Promise<readonly StoredEvent[]> {
    const bodies = encodeParts(commit.parts, this.limits, packEvent);
    return await this.#parts.writer.write(commit, bodies);
  }

  async takeOver(actorId: string, token: number): Promise<void> {
    const part = new CommitPart(actorId, [], "any");
    await this.#parts.writer.write(
      new Commit([part], token, false, undefined, NO_CONDITIONS),
      ["[]"],
    );
  }

  async getEvents(actorId: string, fromVersion: number): Promise<readonly StoredEvent[]> {
    const read: HistoryRead = {
      fromVersion,
      toVersion: Number.MAX_SAFE_INTEGER,
      direction: "forward",
      limit: Infinity,
      onDamage: undefined,
    };
    let events: readonly StoredEvent[] = [];
    for await (const batch of this.#readHistory("getEvents", actorId, read)) {
      events = events.length === 0 ? batch : events.concat(batch);
    }
    return events;
  }

  readHistory(actorId: string, read: HistoryRead): AsyncIterable<readonly StoredEvent[]> {
    return this.#readHistory("readEvents", actorId, read);
  }

  #readHistory(
    operation: string,
    actorId: string,
    read: HistoryRead,
  ): AsyncIterable<readonly StoredEvent[]> {
    const { reader, heads } = this.#parts;
    const known = heads.cached(actorId)?.version ?? 0;
    return this.#iterating(
      operation,
      readHistory(reader, actorId, read, known, (latest) => heads.note(actorId, latest)),
      read.onDamage,
    );
  }

  async getLatestVersion(actorId: string): Promise<number> {
    return await this.#reading("getLatestVersion", async () => {
      const { version } = await this.#parts.heads.read(actorId);
      if (version === 0) await this.#parts.log.assertSame();
      return version;
    });
  }

  readLog({ after, limit, onDamage, onPart }: LogRead): AsyncIterable<LogBatch> {
    const { reader, positions } = this.#parts;
    return this.#iterating(
      "readAll",
      readLog(reader, positions, { after, bounded: true, limit, onDamage, onPart }),
      onDamage,
    );
  }

  readLogBackward(read: BackwardLogRead): AsyncIterable<readonly StoredEvent[]> {
    const { reader, positions } = this.#parts;
    return this.#iterating("readAll", readLogBackward(reader, positions, read), read.onDamage);
  }

  followLog(follow: LogFollow): AsyncIterable<LogBatch> {
    const { reader, positions, wakeups, pollInterval } = this.#parts;
    return followLog({
      wakeups,
      pollInterval,
      getLastPosition: () => this.getLastPosition(),
      readLog: ({ after, onDamage }) =>
        this.#iterating("subscribe", readLog(reader, positions, { after, bounded: false, onDamage })),
    }, follow);
  }

  getLastPosition(): Promise<string | undefined> {
    return this.#reading("getLastPosition", async () => {
      const position = await lastPosition(this.#parts.reader);
      if (position === undefined) await this.#parts.log.assertSame();
      return position;
    });
  }

  listActors({ actorPrefix = "" }: ListActorsOptions): AsyncIterable<ActorSummary> {
    return this.#iterating("listActors", this.#actors(actorPrefix));
  }

  /** A token is in the log as soon as its actor has a commit: these have none since. */
  listTokens(): AsyncIterable<ActorToken> {
    return this.#iterating("listTokens", this.#tokens());
  }

  async *#tokens(): AsyncIterable<ActorToken> {
    for await (const actorId of this.#actorIds("")) {
      const { fence: token, guard } = await this.#parts.heads.read(actorId);
      if (guard !== null && token > 0) yield { actorId, token };
    }
  }

  async *#actors(actorPrefix: string): AsyncIterable<ActorSummary> {
    for await (const actorId of this.#actorIds(actorPrefix)) {
      const { version: latestVersion } = await this.#parts.heads.read(actorId);
      if (latestVersion > 0) yield { actorId, latestVersion };
    }
  }

  /** Jumps from actor to actor. Keys are ordered by their bytes, so that those of one prefix are next to each other. */
  async *#actorIds(actorPrefix: string): AsyncIterable<string> {
    const { reader } = this.#parts;
    const { kv, layout } = reader;
    const end = [...layout.events, -Infinity]; // numbers come after strings
    let start: Deno.KvKey = layout.actor(actorPrefix);
    for (;;) {
      const entry = await firstEntry(kv, { start, end });
      if (!entry) return;
      const actorId = actorOf(entry.key);
      if (actorId === undefined) { // another program has written the key; verify() finds it
        start = following(entry.key);
        continue;
      }
      if (!actorId.startsWith(actorPrefix)) return;
      yield actorId;
      start = layout.afterActor(actorId);
    }
  }

  async checkPosition(position: string): Promise<void> {
    const { reader, positions } = this.#parts;
    await this.#reading("checkPosition", () => checkPosition(reader, positions, position));
  }

  verify(options: VerifyOptions): Promise<Verified> {
    return this.#reading("verify", async () => {
      const { log, reader } = this.#parts;
      await log.assertSame();
      const found = await verifyRecords(reader, options);
      if (found.faults.length > 0) await log.assertSame();
      return found;
    });
  }

  diagnose(): Promise<Finding[]> {
    return this.#reading("diagnose", async () => {
      const { log, findings } = this.#parts;
      await log.assertSame();
      return [...findings];
    });
  }

  saveSnapshot(snapshot: Snapshot): Promise<void> {
    return this.#reading("saveSnapshot", () => this.#parts.snapshots.save(snapshot));
  }

  getLatestSnapshot(actorId: string, kind: string): Promise<Snapshot | undefined> {
    return this.#reading("getLatestSnapshot", () => this.#parts.snapshots.latest(actorId, kind));
  }

  deleteSnapshots(kind: string, signal: AbortSignal): Promise<number> {
    return this.#reading("deleteSnapshots", () => this.#parts.snapshots.deleteAll(kind, signal));
  }

  /** Runs a read; its errors get a type. */
  async #reading<T>(operation: string, read: () => Promise<T>): Promise<T> {
    try {
      this.#parts.log.assertFile();
      return await read();
    } catch (error) {
      throw await this.#explain(operation, error);
    }
  }

  /** Iterates; errors get a type. A log that has nothing may be another one. */
  async *#iterating<T>(
    operation: string,
    items: AsyncIterable<T>,
    onDamage?: unknown,
  ): AsyncGenerator<T> {
    const { log } = this.#parts;
    try {
      log.assertFile();
      if (onDamage) await log.assertSame(); // faults are not thrown
      let isEmpty = true;
      for await (const item of items) {
        isEmpty = false;
        yield item;
      }
      if (isEmpty) await log.assertSame();
    } catch (error) {
      throw await this.#explain(operation, error);
    }
  }

  async #explain(operation: string, error: unknown): Promise<unknown> {
    if (this.#closed) return new StoreClosedError({ cause: error });
    return await this.#parts.log.explain(backendError(operation, error));
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#parts.close();
    return Promise.resolve();
  }
}
