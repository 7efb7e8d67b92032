/**
 * What is remembered of actors whose events have expired, outside the stream of events: so that an actor that lost all
 * its events is told apart from one that never was, and versions and tokens are not used again.
 *
 * @module
 */

import type { Checksum } from "../checksum.ts";
import type { Snapshot } from "../snapshot.ts";
import type { Bucket } from "./bucket.ts";
import { decodeChecked, encodeChecked } from "./checked_json.ts";
import type { Layout } from "./layout.ts";
import type { StoredMessage } from "./stored_message.ts";

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

/** Keeps records of actors, and of how far the log was swept. */
export class ExpiredActors {
  readonly #bucket: Bucket;
  readonly #layout: Layout;
  readonly #checksum: Checksum;

  constructor(bucket: Bucket, layout: Layout, checksum: Checksum) {
    this.#bucket = bucket;
    this.#layout = layout;
    this.#checksum = checksum;
  }

  /** What is remembered of an actor: by a sweep, or by the snapshot that was taken last. */
  async find(actorId: string): Promise<Pick<ExpiredActor, "version" | "fence"> | undefined> {
    const [record, snapshot] = await Promise.all([
      this.#bucket.get(this.#layout.actorRecord(actorId)),
      this.#bucket.get(this.#layout.snapshots(actorId)),
    ]);
    const swept = this.#read<ExpiredActor>(record);
    const taken = this.#read<Pick<Snapshot, "version">>(snapshot);
    if (!swept && !taken) return undefined;
    return { version: Math.max(swept?.version ?? 0, taken?.version ?? 0), fence: swept?.fence ?? 0 };
  }

  /** Remembers an actor, unless a later commit of it is remembered. */
  async remember(actorId: string, actor: ExpiredActor): Promise<void> {
    const data = encodeChecked(JSON.stringify(actor), this.#checksum);
    await this.#bucket.change(this.#layout.actorRecord(actorId), (stored) => {
      const known = this.#read<ExpiredActor>(stored);
      return known && known.sequence >= actor.sequence ? undefined : data;
    });
  }

  /** The stream sequence up to which the log was swept. */
  async sweptTo(): Promise<number> {
    const stored = await this.#bucket.get(this.#layout.sweepRecord);
    return this.#read<Swept>(stored)?.sequence ?? 0;
  }

  /** Remembers how far the log was swept. */
  async swept(sequence: number): Promise<void> {
    const data = encodeChecked(JSON.stringify({ sequence } satisfies Swept), this.#checksum);
    await this.#bucket.change(this.#layout.sweepRecord, (stored) => {
      return (this.#read<Swept>(stored)?.sequence ?? 0) >= sequence ? undefined : data;
    });
  }

  #read<T>(stored: StoredMessage | undefined): T | undefined {
    return stored && decodeChecked(stored.data, this.#checksum) as T | undefined;
  }
}
