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
import { MAX_LEASE_TTL } from "./lease.ts";
import { decodeRecord, encodeRecord, isRevisionBefore } from "./record.ts";

/** How often waiting processes look, in milliseconds. */
const POLL_MS = 200;
const MICROSECONDS_PER_MS = 1000;
/** How often a write is tried again while another process has the database locked. */
const LOCKED_ATTEMPTS = 50;
/** Keeps the revisions of records that cannot be read apart, and above those of all others. */
const UNREADABLE_REVISIONS = 2 ** 40;

/** A record as it is stored. */
interface Stored {
  readonly revision: number;
  readonly value: string;
  /** In milliseconds. */
  readonly ttl?: number;
}

/** The record that the first use of a namespace makes: it names the bucket, and counts revisions over all of its keys. */
interface Counter {
  /** Unique to the bucket. */
  readonly id: string;
  /** When it was made, on the wall clock. */
  readonly made: number;
  /** The latest revision. */
  readonly revision: number;
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
    const [current] = await this.#read(`get ${key}`, key);
    if (current.versionstamp !== null) return this.#judge(key, current);
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

  /** Revisions come from one counter, which starts at the time, so that they also increase over a database made again. */
  async #write(key: string, expected: number, record: Omit<Stored, "revision"> | undefined): Promise<number> {
    const operation = `write ${key}`;
    for (;;) {
      const [current, counter, counted] = await this.#read(operation, key);
      if (revisionOf(current) !== expected) throw new RevisionConflictError(key, expected);
      const next = this.#next(counted);
      const { revision } = next;
      const { ok } = await this.#try(operation, () => {
        const write = this.#kv.atomic().check(current, counter).set(
          counter.key,
          encodeRecord("counter", next),
        );
        if (record === undefined) write.delete(current.key);
        else write.set(current.key, encodeRecord("entry", { ...record, revision }));
        return write.commit();
      });
      // Refused: another key took the revision, another process this key, or (over KV Connect) our own repetition.
      if (ok) return revision;
    }
  }

  #next(counter: Counter): Counter {
    const time = Math.floor(this.#clock.wall()) * MICROSECONDS_PER_MS;
    this.#highest = Math.max(this.#highest, counter.revision) + 1;
    this.#highest = Math.max(this.#highest, time);
    return { ...counter, revision: this.#highest };
  }

  /**
   * Reads a record and the counter, in the bucket that is known; the first call makes the bucket.
   *
   * @throws {BackendError} If another bucket is in its place: the next call is for that one.
   */
  async #read(operation: string, key: string): Promise<readonly [KvEntry, KvEntry, Counter]> {
    const { id } = this.#origin;
    // The counter comes first in the order of keys: a namespace that is being cleared loses it before any record.
    const keys: [Deno.KvKey, Deno.KvKey] = [[...this.#prefix, "value", key], [...this.#prefix, "revision"]];
    for (;;) {
      const [current, counter] = await this.#try(operation, () => this.#kv.getMany<[unknown, unknown]>(keys));
      const counted = decodeCounter(counter.value);
      if (counted === undefined) {
        await this.#make(operation, counter);
        continue;
      }
      if (this.#origin.id !== counted.id) this.#adopt(counted);
      if (id !== "" && id !== counted.id) throw bucketLost(operation);
      return [current, counter, counted];
    }
  }

  async #make(operation: string, counter: KvEntry): Promise<void> {
    const made = this.#clock.wall();
    const first = encodeRecord("counter", this.#next({ id: crypto.randomUUID(), made, revision: 0 }));
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
      } catch {
        // Unreachable or closed: those that wait learn it from their own calls.
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

function decodeStored(stored: unknown): Stored | undefined {
  const { revision, value, ttl } = decodeRecord("entry", textOf(stored)) ?? {};
  const isSound = isRevision(revision) && typeof value === "string" &&
    (ttl === undefined || (typeof ttl === "number" && ttl > 0 && ttl <= MAX_LEASE_TTL));
  return isSound ? { revision, value, ...(ttl === undefined ? {} : { ttl }) } : undefined;
}

function decodeCounter(stored: unknown): Counter | undefined {
  const { id, made, revision } = decodeRecord("counter", textOf(stored)) ?? {};
  const isSound = typeof id === "string" && id !== "" && typeof made === "number" && isRevision(revision);
  return isSound ? { id, made, revision } : undefined;
}

function textOf(stored: unknown): string | undefined {
  return typeof stored === "string" ? stored : undefined;
}

function isRevision(value: unknown): value is number {
  return isRevisionBefore(value, Number.MAX_SAFE_INTEGER - UNREADABLE_REVISIONS);
}

/** The revision of a record; 0 if there is none; one of its own for a record that cannot be read. */
function revisionOf({ value, versionstamp }: KvEntry): number {
  if (versionstamp === null) return 0;
  return decodeStored(value)?.revision ??
    Number.MAX_SAFE_INTEGER - Number(BigInt(`0x${versionstamp}`) % BigInt(UNREADABLE_REVISIONS));
}

/** A closed database has no class of its own in every version of the runtime. */
function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    (error instanceof Error && /database is (closed|not open)|Queue closed/i.test(error.message));
}
