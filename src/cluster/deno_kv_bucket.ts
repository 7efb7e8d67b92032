/**
 * A bucket in Deno KV, for leases. Nothing there expires in time (`expireIn` may be a minute late), and processes cannot
 * watch one another. So each process judges by its own clock: a record is over once it was seen unchanged for its whole
 * time to live.
 *
 * @module
 */
import { isSameFile, type OpenedFile } from "../deno_kv.ts";
import { ClosedError } from "../errors.ts";
import type { Bucket, BucketOrigin, BucketWatch, Entry, PutOptions, WatchUpdate } from "./bucket.ts";
import { type Clock, CLOCK_RATE_ALLOWANCE, systemClock } from "./clock.ts";
import { bucketLost, RevisionConflictError, unanswered } from "./errors.ts";
import {
  type Counter,
  decodeCounter,
  decodeStored,
  encodeCounter,
  encodeStored,
  revisionOf,
  type Stored,
} from "./deno_kv_records.ts";

/** How often waiting processes look, in milliseconds. */
const POLL_MS = 200;
const MICROSECONDS_PER_MS = 1000;
/** The most records of a write: with the counter they are the 10 keys of a read, and the 10 checks of KV Connect. */
const MAX_BATCH = 9;
/** How often a write is tried again while another process has the database locked. */
const LOCKED_ATTEMPTS = 50;

/** A write that waits for its batch. */
interface Write {
  readonly key: string;
  readonly expected: number;
  readonly record: Omit<Stored, "revision"> | undefined;
  /** The bucket that it is for: it is written to no other one. */
  readonly origin: string;
  readonly resolve: (revision: number) => void;
  readonly reject: (error: unknown) => void;
}

/** A record and since when it has been seen unchanged. */
interface Sighting {
  readonly revision: number;
  /** When it will have been seen for its whole time to live. */
  readonly over: number;
}

/** How the bucket is used. */
export interface DenoKvBucketOptions {
  /** The clock. @default {the process's clocks} */
  readonly clock?: Clock | undefined;
  /** The file of the database, if it was opened by its path. */
  readonly file?: OpenedFile | undefined;
}

type KvEntry = Deno.KvEntryMaybe<unknown>;

/** A bucket that is not known yet grants nothing. */
const UNKNOWN: BucketOrigin = { id: "", madeBefore: Infinity };

/** A bucket in Deno KV. */
export class DenoKvBucket implements Bucket {
  readonly #kv: Deno.Kv;
  readonly #prefix: Deno.KvKey;
  readonly #clock: Clock;
  readonly #file: OpenedFile | undefined;
  readonly #sightings = new Map<string, Sighting>();
  #origin: BucketOrigin = UNKNOWN;
  /** The highest revision that was seen. */
  #highest = 0;
  /** The writes that are not begun. */
  #waiting: readonly Write[] = [];
  #isWriting = false;

  /** Keeps all records under a prefix of an open database, which is not closed. */
  constructor(kv: Deno.Kv, prefix: Deno.KvKey, { clock = systemClock, file }: DenoKvBucketOptions = {}) {
    this.#kv = kv;
    this.#prefix = prefix;
    this.#clock = clock;
    this.#file = file;
  }

  /** The bucket that the calls are for now: another one once the keys were deleted. */
  get origin(): BucketOrigin {
    return this.#origin;
  }

  /** The entry under a key: a tombstone if the record has been seen unchanged for too long. */
  async get(key: string): Promise<Entry | undefined> {
    const { id } = this.#origin;
    const [[current], , counted] = await this.#read(`get ${key}`, [key]);
    // The next call is for the bucket that is in the place of the one that was known.
    if (id !== "" && id !== counted.id) throw bucketLost(`get ${key}`);
    if (current!.versionstamp !== null) return this.#judge(key, current!);
    this.#sightings.delete(key);
    return undefined;
  }

  #judge(key: string, current: KvEntry): Entry {
    const now = this.#clock.monotonic();
    const revision = revisionOf(current);
    const stored = decodeStored(current.value) ?? { value: "", ttl: Infinity };
    let sighting = this.#sightings.get(key);
    if (sighting?.revision !== revision) {
      sighting = { revision, over: now + (stored.ttl ?? Infinity) * (1 + CLOCK_RATE_ALLOWANCE) };
      this.#sightings.set(key, sighting);
    }
    return { key, revision, value: now >= sighting.over ? undefined : stored.value };
  }

  /** Replaces the entry whose revision is `expected`. */
  async put(key: string, value: string, { expected, ttl }: PutOptions): Promise<number> {
    return await this.#write(key, expected, ttl === undefined ? { value } : { value, ttl });
  }

  /** Deletes the entry whose revision is `expected`: nothing of it is left, and the counter keeps later revisions above. */
  async remove(key: string, expected: number): Promise<number> {
    const revision = await this.#write(key, expected, undefined);
    this.#sightings.delete(key);
    return revision;
  }

  #write(key: string, expected: number, record: Omit<Stored, "revision"> | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      const origin = this.#origin.id;
      this.#waiting = [...this.#waiting, { key, expected, record, origin, resolve, reject }];
      if (!this.#isWriting) void this.#writeAll();
    });
  }

  /**
   * Writes what waits. Revisions come from one counter, so that one write at a time is taken: those that are asked for at the
   * same time, such as the leases of all segments of a projection, share an atomic operation.
   */
  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch();
      try {
        await this.#writeBatch(batch);
      } catch (error) {
        for (const write of batch) write.reject(error);
      }
    }
    this.#isWriting = false;
  }

  /** Takes the writes of different keys that come next. */
  #nextBatch(): readonly Write[] {
    const batch = new Map<string, Write>();
    const later: Write[] = [];
    for (const write of this.#waiting) {
      if (batch.size === MAX_BATCH || batch.has(write.key)) later.push(write);
      else batch.set(write.key, write);
    }
    this.#waiting = later;
    return [...batch.values()];
  }

  /** Revisions start at the time, so that they also increase over a database made again. */
  async #writeBatch(batch: readonly Write[]): Promise<void> {
    const operation = `write ${batch.map(({ key }) => key).join(", ")}`;
    for (let left = batch; left.length > 0;) {
      const [current, counter, counted] = await this.#read(operation, left.map(({ key }) => key));
      const isTaken = left.map(({ key, expected, origin, reject }, index) => {
        if (origin !== "" && origin !== counted.id) reject(bucketLost(operation));
        else if (revisionOf(current[index]!) !== expected) reject(new RevisionConflictError(key, expected));
        else return true;
        return false;
      });
      const entries = current.filter((_, index) => isTaken[index]);
      left = left.filter((_, index) => isTaken[index]);
      if (left.length === 0) return;
      const revisions = left.map(() => this.#nextRevision(counted));
      const { ok } = await this.#try(operation, () => {
        const next = encodeCounter({ ...counted, revision: revisions.at(-1)! });
        const write = this.#kv.atomic().check(...entries, counter).set(counter.key, next);
        for (const [index, { record }] of left.entries()) {
          const { key } = entries[index]!;
          if (record === undefined) write.delete(key);
          else write.set(key, encodeStored({ ...record, revision: revisions[index]! }));
        }
        return write.commit();
      });
      // Refused: another key took the revision, another process this key, or (over KV Connect) our own repetition.
      if (!ok) continue;
      for (const [index, { resolve }] of left.entries()) resolve(revisions[index]!);
      return;
    }
  }

  #nextRevision(counter: Counter): number {
    const time = Math.floor(this.#clock.wall()) * MICROSECONDS_PER_MS;
    this.#highest = Math.max(this.#highest, counter.revision) + 1;
    return this.#highest = Math.max(this.#highest, time);
  }

  /**
   * Reads records and the counter; the first call makes the bucket.
   */
  async #read(
    operation: string,
    names: readonly string[],
  ): Promise<readonly [readonly KvEntry[], KvEntry, Counter]> {
    // The counter comes first in the order of keys: a namespace that is being cleared loses it before any record.
    const keys = [...names.map((key) => [...this.#prefix, "value", key]), [...this.#prefix, "revision"]];
    for (;;) {
      const entries = await this.#try(operation, () => this.#kv.getMany<unknown[]>(keys));
      const [current, counter] = [entries.slice(0, -1), entries.at(-1)!];
      const counted = decodeCounter(counter.value);
      if (counted === undefined) {
        await this.#make(operation, counter);
        continue;
      }
      if (this.#origin.id !== counted.id) this.#adopt(counted);
      return [current, counter, counted];
    }
  }

  async #make(operation: string, counter: KvEntry): Promise<void> {
    const made = this.#clock.wall();
    const counted = { id: crypto.randomUUID(), made, revision: 0 };
    const first = encodeCounter({ ...counted, revision: this.#nextRevision(counted) });
    await this.#try(operation, () => this.#kv.atomic().check(counter).set(counter.key, first).commit());
  }

  #adopt({ id, made }: Counter): void {
    const age = Math.max(0, this.#clock.wall() - made);
    this.#origin = { id, madeBefore: this.#clock.monotonic() - age };
    this.#sightings.clear();
  }

  async #try<T>(operation: string, run: () => Promise<T>): Promise<T> {
    if (this.#file !== undefined && !isSameFile(this.#file)) {
      const cause = new Error(`the file "${this.#file.path}" was deleted or replaced`);
      throw new ClosedError("connection", { cause });
    }
    for (let attempt = 1;; attempt++) {
      try {
        return await run();
      } catch (error) {
        if (isClosed(error)) throw new ClosedError("connection", { cause: error });
        const locked = error instanceof Error && error.message.includes("database is locked");
        if (!locked || attempt === LOCKED_ATTEMPTS) {
          throw unanswered(operation, { cause: error });
        }
        await new Promise<void>((resolve) => this.#clock.setTimer(resolve, Math.random() * 2 * attempt));
      }
    }
  }

  /** How long until the next look, in milliseconds: no later than when the next record is over. */
  #untilLook(keys: readonly string[]): number {
    const now = this.#clock.monotonic();
    const overs = keys.map((key) => (this.#sightings.get(key)?.over ?? 0) - now).filter((left) => left > 0);
    return Math.min(POLL_MS, ...overs);
  }

  /** Looks at intervals, at whole keys only. */
  watch(patterns: readonly string[], listener: (update: WatchUpdate) => void): BucketWatch {
    let open = true;
    let cancel = (): void => {};
    const look = async (): Promise<void> => {
      try {
        const entries = await Promise.all(patterns.map((key) => this.get(key)));
        if (open) listener({ type: "snapshot", entries: entries.filter((entry) => entry !== undefined) });
      } catch (error) {
        if (open) listener({ type: "unavailable", error });
      }
      if (open) cancel = this.#clock.setTimer(look, this.#untilLook(patterns));
    };
    look();
    return {
      close: () => {
        open = false;
        cancel();
      },
    };
  }
}

/** A closed database has no class of its own in every version of the runtime. */
function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    (error instanceof Error && /database is (closed|not open)|Queue closed/i.test(error.message));
}
