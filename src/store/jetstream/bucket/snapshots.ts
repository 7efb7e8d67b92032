/**
 * Snapshots in a JetStream key-value bucket that keeps one value for each key.
 *
 * @module
 */

import { isVersion } from "../../../event/draft.ts";
import type { Warn } from "../../../warning.ts";
import type { Checksum } from "../../checksum.ts";
import { decodeSnapshot, encodeSnapshot, type Snapshot, supersedes } from "../../snapshot.ts";
import type { KvBucket } from "../../../nats/jetstream/kv_bucket.ts";
import { decodeChecked, encodeChecked } from "../format/checked_json.ts";
import type { EventLog } from "../read/event_log.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";

/**
 * What is stored under the key of a snapshot: the snapshot, or only its version once it was deleted. If the events of
 * the actor expire, its snapshots can be the only protection of its versions: the furthest one is kept in every record.
 */
interface SnapshotRecord {
  /** The furthest version that any snapshot of this actor and kind had, if that was another one. */
  readonly furthest?: number;
  /** Whether the snapshot was deleted. */
  readonly isDeleted?: boolean;
}

/** How many snapshots are deleted at once. */
const DELETED_AT_ONCE = 64;

/** The furthest version that a record of snapshots protects; 0 if it is not a record. */
export function furthestVersion(json: unknown): number {
  const { version, furthest } = (json ?? {}) as { readonly version?: unknown; readonly furthest?: unknown };
  return Math.max(isVersion(version) ? version : 0, isVersion(furthest) ? furthest : 0);
}

/** Keeps the latest snapshot of each actor and kind. */
export class Snapshots {
  readonly #bucket: KvBucket;
  readonly #log: EventLog;
  readonly #checksum: Checksum;
  readonly #warn: Warn;

  constructor(bucket: KvBucket, log: EventLog, checksum: Checksum, warn: Warn) {
    this.#bucket = bucket;
    this.#log = log;
    this.#checksum = checksum;
    this.#warn = warn;
  }

  /** Keeps a snapshot, unless a newer one is stored. */
  async save(snapshot: Snapshot, signal: AbortSignal | undefined): Promise<void> {
    const { actorId, kind } = snapshot;
    const data = encodeChecked(encodeSnapshot(snapshot), this.#checksum);
    await this.#bucket.change(this.#key(actorId, kind), (stored) => {
      const json = this.#json(stored);
      if (!supersedes(snapshot, decodeRecord(json, actorId, kind))) return undefined;
      const furthest = furthestVersion(json);
      return furthest > snapshot.version ? this.#encode({ ...snapshot, furthest }) : data;
    }, signal);
  }

  /** Deletes the snapshots of a kind; returns how many there were. */
  async deleteAll(kind: string, signal: AbortSignal): Promise<number> {
    const log = this.#log.until(signal);
    await log.info(); // a bucket may outlive the log that its records are of
    let deleted = 0;
    let deleting: Promise<void>[] = [];
    const finish = async (): Promise<void> => {
      const outcomes = await Promise.allSettled(deleting); // all end before one fails: nothing continues after the result
      deleting = [];
      for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    };
    const remove = async (key: string): Promise<void> => {
      if (await this.#delete(key, signal)) deleted++;
    };
    try {
      for await (const record of this.#bucket.each(log.layout.snapshotsOfKind(kind), signal)) {
        if (isDeleted(this.#json(record))) continue;
        deleting.push(remove(record.subject));
        if (deleting.length === DELETED_AT_ONCE) await finish();
      }
    } finally {
      await finish();
    }
    return deleted;
  }

  /** Replaces a snapshot by its version. */
  async #delete(key: string, signal: AbortSignal): Promise<boolean> {
    let wasStored = false;
    await this.#bucket.change(key, (stored) => {
      const json = this.#json(stored);
      if (!stored || isDeleted(json)) return undefined;
      wasStored = true;
      return this.#encode({ isDeleted: true, furthest: furthestVersion(json) });
    }, signal);
    return wasStored;
  }

  /** The stored snapshot; one that cannot be read is ignored with a warning. */
  async latest(
    actorId: string,
    kind: string,
    signal: AbortSignal | undefined,
  ): Promise<Snapshot | undefined> {
    // A bucket may outlive the log that its records are of.
    const same = this.#log.until(signal).info();
    const get = this.#bucket.get(this.#key(actorId, kind), signal);
    // Both end before one fails: nothing continues after the result. That the log was replaced explains the other failure.
    await Promise.allSettled([same, get]);
    await same;
    const stored = await get;
    const json = this.#json(stored);
    const snapshot = decodeRecord(json, actorId, kind);
    if (!snapshot && stored && !isDeleted(json)) {
      const message = `the snapshot "${kind}" of "${actorId}" cannot be read and is ignored`;
      this.#warn({ code: "snapshot-ignored", message });
    }
    return snapshot;
  }

  #key(actorId: string, kind: string): string {
    return this.#log.layout.snapshot(actorId, kind);
  }

  #json(stored: StoredMessage | undefined): unknown {
    return stored && decodeChecked(stored.data, this.#checksum);
  }

  #encode(record: SnapshotRecord): Uint8Array {
    return encodeChecked(JSON.stringify(record), this.#checksum);
  }
}

function isDeleted(json: unknown): boolean {
  return (json as SnapshotRecord | null | undefined)?.isDeleted === true;
}

/** The snapshot of a record. */
function decodeRecord(json: unknown, actorId: string, kind: string): Snapshot | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const { furthest, ...snapshot } = json as SnapshotRecord;
  return decodeSnapshot(furthest === undefined ? json : snapshot, actorId, kind);
}
