/**
 * What is remembered of actors whose events have expired, outside the stream of events: so that an actor that has
 * lost all its events differs from a new one, and versions and tokens are not used again.
 *
 * @module
 */

import type { Checksum } from "../../checksum.ts";
import { DamagedHistoryError } from "../../errors.ts";
import { furthestVersion } from "../bucket/snapshots.ts";
import type { KvBucket } from "../../../nats/jetstream/kv_bucket.ts";
import { decodeChecked, encodeChecked } from "../format/checked_json.ts";
import type { Layout } from "../format/layout.ts";
import type { StreamInfo } from "../../../nats/jetstream/api_types.ts";
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

/** How far runs have read the log. */
export interface Swept {
  /** Every commit up to this stream sequence was read. */
  readonly sequence: number;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

/** How often what is stored is compared with what the server counts. */
const COUNT_TRIES = 2;

function unreadable(actorId: string): DamagedHistoryError {
  return new DamagedHistoryError("what is remembered of its expired events cannot be read", { actorId });
}

/** The results of two reads. Both end before one fails: nothing continues after the result. */
async function both<A, B>(reads: readonly [Promise<A>, Promise<B>]): Promise<readonly [A, B]> {
  await Promise.allSettled(reads);
  return await Promise.all(reads);
}

/** Keeps records of actors, and of how far runs have read the log. */
export class ExpiredActors {
  readonly #bucket: KvBucket;
  readonly #layout: Layout;
  readonly #checksum: Checksum;

  constructor(bucket: KvBucket, layout: Layout, checksum: Checksum) {
    this.#bucket = bucket;
    this.#layout = layout;
    this.#checksum = checksum;
  }

  /** What is remembered of an actor: the record of a run, or its snapshots, each of its own version. */
  async find(
    actorId: string,
    signal?: AbortSignal,
  ): Promise<Pick<ExpiredActor, "version" | "fence"> | undefined> {
    const [record, snapshots] = await this.#stored(actorId, signal);
    const swept = this.#actor(record);
    if (record && !swept) throw unreadable(actorId);
    const taken = snapshots.map(({ data }) => furthestVersion(decodeChecked(data, this.#checksum)));
    const version = Math.max(swept?.version ?? 0, ...taken);
    return swept || version > 0 ? { version, fence: swept?.fence ?? 0 } : undefined;
  }

  /**
   * The record of an actor, and its snapshots. A missing record is confirmed by the server's count: a server
   * answers the same for a record that it cannot read.
   */
  async #stored(
    actorId: string,
    signal: AbortSignal | undefined,
  ): Promise<readonly [StoredMessage | undefined, readonly StoredMessage[]]> {
    const key = this.#layout.actorRecord(actorId);
    const filter = this.#layout.snapshots(actorId);
    for (let attempt = 1;; attempt++) {
      const found = await both([this.#bucket.get(key, signal), this.#bucket.getEach(filter, signal)]);
      if (found[0]) return found;
      const [records, snapshots] = await both([
        this.#bucket.count(key, signal),
        this.#bucket.count(filter, signal),
      ]);
      if (records === 0 && snapshots <= found[1].length) return found;
      // Perhaps one was stored between both questions.
      if (attempt === COUNT_TRIES) throw unreadable(actorId);
    }
  }

  /** Remembers an actor, unless a later commit of it is remembered. */
  async remember(actorId: string, actor: ExpiredActor, signal?: AbortSignal): Promise<void> {
    const data = encodeChecked(JSON.stringify(actor), this.#checksum);
    await this.#bucket.change(this.#layout.actorRecord(actorId), (stored) => {
      const known = this.#actor(stored);
      // A later commit has no lower version or token: such a record is forged.
      const isLater = known !== undefined && known.sequence >= actor.sequence &&
        known.version >= actor.version && known.fence >= actor.fence;
      return isLater ? undefined : data;
    }, signal);
  }

  /**
   * The stream sequence up to which runs have read the log. A record of more than the log has is ignored, and
   * replaced by the next run: otherwise actors that expire would not be remembered.
   *
   * @param end The sequence of the log's last message.
   */
  async preservedTo(end: number, signal?: AbortSignal): Promise<number> {
    const stored = await this.#bucket.get(this.#layout.progressRecord, signal);
    return this.#swept(stored, end);
  }

  /**
   * Whether the beginning of a log that keeps everything has expired: it had a retention before, and runs have read what is
   * gone. Otherwise that is lost.
   */
  async explainsMissing({ first_seq, last_seq }: StreamInfo["state"]): Promise<boolean> {
    if (first_seq <= 1) return false;
    return await this.preservedTo(last_seq).then((sequence) => sequence >= first_seq - 1, () => false);
  }

  /**
   * Remembers how far the log was read. A run that began earlier may set it back, and work is repeated.
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

  /** The content of a record, which any program that may write to the bucket can replace. */
  #read<T>(stored: StoredMessage | undefined): { readonly [Field in keyof T]?: unknown } {
    return (stored && decodeChecked(stored.data, this.#checksum) as T | null | undefined) ?? {};
  }
}
