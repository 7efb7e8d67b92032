/**
 * Snapshots in a JetStream key-value bucket that keeps one value a key.
 *
 * @module
 */

import type { Warn } from "../../../warning.ts";
import type { Checksum } from "../../checksum.ts";
import { decodeSnapshot, encodeSnapshot, type Snapshot, supersedes } from "../../snapshot.ts";
import type { Bucket } from "./bucket.ts";
import { decodeChecked, encodeChecked } from "../format/checked_json.ts";
import type { EventLog } from "../read/event_log.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";

/** Keeps the latest snapshot of each actor and kind. */
export class Snapshots {
  readonly #bucket: Bucket;
  readonly #log: EventLog;
  readonly #checksum: Checksum;
  readonly #warn: Warn;

  constructor(bucket: Bucket, log: EventLog, checksum: Checksum, warn: Warn) {
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
      return supersedes(snapshot, this.#read(stored, actorId, kind)) ? data : undefined;
    }, signal);
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
    // Both end before one fails: nothing goes on after the result. That the log was replaced explains the other failure.
    await Promise.allSettled([same, get]);
    await same;
    const stored = await get;
    const snapshot = this.#read(stored, actorId, kind);
    if (!snapshot && stored) {
      const message = `the snapshot "${kind}" of "${actorId}" cannot be read and is ignored`;
      this.#warn({ code: "snapshot-ignored", message });
    }
    return snapshot;
  }

  #key(actorId: string, kind: string): string {
    return this.#log.layout.snapshot(actorId, kind);
  }

  #read(stored: StoredMessage | undefined, actorId: string, kind: string): Snapshot | undefined {
    if (!stored) return undefined;
    const json = decodeChecked(stored.data, this.#checksum);
    return json === undefined ? undefined : decodeSnapshot(json, actorId, kind);
  }
}
