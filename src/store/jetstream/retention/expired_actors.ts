/**
 * What is remembered of actors whose events have expired, outside the stream of events: so that an actor that lost all
 * its events is told apart from one that never was, and versions and tokens are not used again.
 *
 * @module
 */

import type { Checksum } from "../../checksum.ts";
import { DamagedHistoryError } from "../../errors.ts";
import { furthestVersion } from "../bucket/snapshots.ts";
import type { KvBucket } from "../../../nats/jetstream/kv_bucket.ts";
import { decodeChecked, encodeChecked } from "../format/checked_json.ts";
import type { Layout } from "../format/layout.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";

/** What is remembered of an actor. */
export interface ExpiredActor {
  /** The version of its latest event. */
  readonly version: number;
  /** Its newest fencing token. */
  readonly fence: number;
  /** The stream sequence of its last commit. */
  readonly sequence: number;
}

/** How far the log was swept. */
export interface Swept {
  /** Every commit up to this stream sequence was looked at. */
  readonly sequence: number;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

/** Keeps records of actors, and of how far the log was swept. */
export class ExpiredActors {
  readonly #bucket: KvBucket;
  readonly #layout: Layout;
  readonly #checksum: Checksum;

  constructor(bucket: KvBucket, layout: Layout, checksum: Checksum) {
    this.#bucket = bucket;
    this.#layout = layout;
    this.#checksum = checksum;
  }

  /** What is remembered of an actor: by a run, or by its snapshots, of which each kind has its own version. */
  async find(
    actorId: string,
    signal?: AbortSignal,
  ): Promise<Pick<ExpiredActor, "version" | "fence"> | undefined> {
    const reads = [
      this.#bucket.get(this.#layout.actorRecord(actorId), signal),
      this.#bucket.getEach(this.#layout.snapshots(actorId), signal),
    ] as const;
    await Promise.allSettled(reads); // both end before one fails: nothing goes on after the result
    const [record, snapshots] = await Promise.all(reads);
    const swept = this.#actor(record);
    if (record && !swept) {
      throw new DamagedHistoryError("what is remembered of its expired events cannot be read", { actorId });
    }
    const taken = snapshots.map(({ data }) => furthestVersion(decodeChecked(data, this.#checksum)));
    const version = Math.max(swept?.version ?? 0, ...taken);
    return swept || version > 0 ? { version, fence: swept?.fence ?? 0 } : undefined;
  }

  /** Remembers an actor, unless a later commit of it is remembered. */
  async remember(actorId: string, actor: ExpiredActor, signal?: AbortSignal): Promise<void> {
    const data = encodeChecked(JSON.stringify(actor), this.#checksum);
    await this.#bucket.change(this.#layout.actorRecord(actorId), (stored) => {
      const known = this.#actor(stored);
      // A later commit has no lower version or token: a record that says so is forged.
      const isLater = known !== undefined && known.sequence >= actor.sequence &&
        known.version >= actor.version && known.fence >= actor.fence;
      return isLater ? undefined : data;
    }, signal);
  }

  /**
   * The stream sequence up to which the log was swept. A record of more than the log has is not believed, and is
   * replaced by the next run: with it, what expires would not be remembered.
   *
   * @param end The sequence of the log's last message.
   */
  async preservedTo(end: number, signal?: AbortSignal): Promise<number> {
    const stored = await this.#bucket.get(this.#layout.progressRecord, signal);
    return this.#swept(stored, end);
  }

  /**
   * Remembers how far the log was read. A run that began earlier may set it back, which repeats work.
   *
   * @param end The sequence of the log's last message.
   */
  async setPreservedTo(sequence: number, end: number, signal?: AbortSignal): Promise<void> {
    const data = encodeChecked(JSON.stringify({ sequence } satisfies Swept), this.#checksum);
    await this.#bucket.change(this.#layout.progressRecord, (stored) => {
      return this.#swept(stored, end) >= sequence ? undefined : data;
    }, signal);
  }

  #actor(stored: StoredMessage | undefined): ExpiredActor | undefined {
    const { version, fence, sequence } = this.#read<ExpiredActor>(stored);
    return isCount(version) && isCount(fence) && isCount(sequence) ? { version, fence, sequence } : undefined;
  }

  #swept(stored: StoredMessage | undefined, end: number): number {
    const { sequence } = this.#read<Swept>(stored);
    return isCount(sequence) && sequence <= end ? sequence : 0;
  }

  /** What a record holds; another writer of the bucket can put anything there. */
  #read<T>(stored: StoredMessage | undefined): { readonly [Field in keyof T]?: unknown } {
    return (stored && decodeChecked(stored.data, this.#checksum) as T | null | undefined) ?? {};
  }
}
