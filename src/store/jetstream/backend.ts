/**
 * Storage in a JetStream stream.
 *
 * @module
 */

import type { StoredEvent } from "../../event/types.ts";
import type { SideStorage } from "../../side_storage.ts";
import type {
  BackwardLogRead,
  HistoryRead,
  LogBatch,
  LogFollow,
  LogRead,
  StorageBackend,
  Verified,
} from "../backend.ts";
import { Commit, CommitPart, encodeParts, NO_CONDITIONS } from "../commit.ts";
import type { Snapshot } from "../snapshot.ts";
import type { ActorSummary, Finding, ListActorsOptions, StoreLimits, VerifyOptions } from "../types.ts";
import type { JetStreamContext } from "./context.ts";
import { listActors } from "./read/actors.ts";
import { diagnose } from "./diagnose.ts";
import type { KvBucket } from "../../nats/jetstream/kv_bucket.ts";
import type { EndMark } from "./bucket/end_mark.ts";
import { iterating, reading } from "./failures.ts";
import type { Head } from "./write/head.ts";
import { readHistory } from "./read/history.ts";
import { readLog } from "./read/log.ts";
import { followLog } from "./read/log_follow.ts";
import { checkPosition, lastPosition } from "./read/log_position.ts";
import { readLogBackward } from "./read/log_backward.ts";
import type { Snapshots } from "./bucket/snapshots.ts";
import type { ExpiringActors, PreservationReport } from "./retention/expiring_actors.ts";
import { verifyLog } from "./read/verify.ts";
import type { RepairOptions, RepairResult } from "./write/repair.ts";
import type { Writer } from "./write/writer.ts";

/** What a backend is put together from. */
export interface JetStreamParts {
  /** The most that a commit may hold. */
  readonly limits: StoreLimits;
  /** Where the library may keep what belongs to the log. */
  readonly side: SideStorage;
  /** What the log is read with. */
  readonly context: JetStreamContext;
  /** Writes commits. */
  readonly writer: Writer;
  /** The bucket next to the stream. */
  readonly bucket: KvBucket;
  /** Keeps snapshots. */
  readonly snapshots: Snapshots;
  /** Remembers actors before their events expire. */
  readonly expiring: ExpiringActors;
  /** Remembers the end of the log. */
  readonly endMark: EndMark;
  /** Releases everything, and closes the connection if the store opened it. */
  readonly close: () => Promise<void>;
}

/** The backend of a store on JetStream. */
export class JetStreamBackend implements StorageBackend {
  readonly limits: StoreLimits;
  /** Where the library may keep what belongs to the log. */
  readonly side: SideStorage;
  readonly #parts: JetStreamParts;
  readonly #context: JetStreamContext;

  constructor(parts: JetStreamParts) {
    this.limits = parts.limits;
    this.side = parts.side;
    this.#parts = parts;
    this.#context = parts.context;
  }

  readonly #check = (): Promise<void> => this.#context.log.assertSame();

  commit(commit: Commit): Promise<readonly StoredEvent[]> {
    return this.#parts.writer.write(commit, encodeParts(commit.parts, this.limits));
  }

  async takeOver(actorId: string, token: number): Promise<void> {
    const part = new CommitPart(actorId, [], "any");
    const commit = new Commit([part], token, false, undefined, NO_CONDITIONS);
    await this.#parts.writer.write(commit, ["[]"]);
  }

  async getEvents(
    actorId: string,
    fromVersion: number,
    signal?: AbortSignal,
  ): Promise<readonly StoredEvent[]> {
    const read: HistoryRead = {
      fromVersion,
      toVersion: Number.MAX_SAFE_INTEGER,
      direction: "forward",
      limit: Infinity,
      onDamage: undefined,
      ...(signal && { signal }),
    };
    const batches: (readonly StoredEvent[])[] = [];
    for await (const batch of this.#readHistory("getEvents", actorId, read)) batches.push(batch);
    return batches.length === 1 ? batches[0]! : batches.flat();
  }

  readHistory(actorId: string, read: HistoryRead): AsyncIterable<readonly StoredEvent[]> {
    return this.#readHistory("readEvents", actorId, read);
  }

  #readHistory(
    operation: string,
    actorId: string,
    read: HistoryRead,
  ): AsyncIterable<readonly StoredEvent[]> {
    return iterating(operation, this.#check, readHistory(this.#context, actorId, read));
  }

  async getLatestVersion(actorId: string, signal?: AbortSignal): Promise<number> {
    const read = (): Promise<Head> => this.#context.heads.read(actorId, signal);
    return (await reading("getLatestVersion", this.#check, read)).version;
  }

  readLog(read: LogRead): AsyncIterable<LogBatch> {
    return iterating("readAll", this.#check, readLog(this.#context, read));
  }

  readLogBackward(read: BackwardLogRead): AsyncIterable<readonly StoredEvent[]> {
    return iterating("readAll", this.#check, readLogBackward(this.#context, read));
  }

  followLog(follow: LogFollow): AsyncIterable<LogBatch> {
    return iterating("subscribe", this.#check, followLog(this.#context, follow));
  }

  getLastPosition(signal?: AbortSignal): Promise<string | undefined> {
    return reading("getLastPosition", this.#check, () => lastPosition(this.#context, signal));
  }

  listActors(options: ListActorsOptions): AsyncIterable<ActorSummary> {
    return iterating("listActors", this.#check, listActors(this.#context, options));
  }

  async checkPosition(position: string, signal?: AbortSignal): Promise<void> {
    await reading("checkPosition", this.#check, () => checkPosition(this.#context, position, signal));
  }

  verify(options: VerifyOptions): Promise<Verified> {
    return reading("verify", this.#check, () => verifyLog(this.#context, this.#parts.endMark, options));
  }

  diagnose(signal?: AbortSignal): Promise<Finding[]> {
    const { bucket, expiring } = this.#parts;
    return reading("diagnose", this.#check, () => diagnose(this.#context, bucket, expiring, signal));
  }

  saveSnapshot(snapshot: Snapshot, signal?: AbortSignal): Promise<void> {
    return reading("saveSnapshot", this.#check, () => this.#parts.snapshots.save(snapshot, signal));
  }

  getLatestSnapshot(actorId: string, kind: string, signal?: AbortSignal): Promise<Snapshot | undefined> {
    const read = (): Promise<Snapshot | undefined> => this.#parts.snapshots.latest(actorId, kind, signal);
    return reading("getLatestSnapshot", this.#check, read);
  }

  deleteSnapshots(kind: string, signal: AbortSignal): Promise<number> {
    return reading("deleteSnapshots", this.#check, () => this.#parts.snapshots.deleteAll(kind, signal));
  }

  /** Remembers the actors whose last events expire soon. */
  preserveExpiringActors(): Promise<PreservationReport> {
    return reading("preserveExpiringActors", this.#check, () => this.#parts.expiring.preserve());
  }

  /** Passes over the messages of other programs that an actor's history ends with. */
  repairActor(actorId: string, options: RepairOptions): Promise<RepairResult> {
    return reading("repairActor", this.#check, () => this.#parts.writer.repair(actorId, options));
  }

  close(): Promise<void> {
    return this.#parts.close();
  }
}
