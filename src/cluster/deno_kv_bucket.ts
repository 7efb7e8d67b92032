/**
 * A bucket in Deno KV, fit for leases. Nothing there expires in time (`expireIn` may be a minute late) and processes cannot watch
 * one another, so that everybody judges for himself: a record is over once he has seen it unchanged for its whole
 * time to live by his own clock.
 *
 * @module
 */
import { ClosedError } from "../errors.ts";
import type { Bucket, BucketWatch, Entry, PutOptions, WatchUpdate } from "./bucket.ts";
import { type Clock, systemClock } from "./clock.ts";
import { RevisionConflictError, unanswered } from "./errors.ts";

/** How much longer than its time to live a record is watched, since the rates of two clocks differ. */
const CLOCK_RATE_ALLOWANCE = 1.01;
/** How often waiting processes look, in ms. */
const POLL_MS = 200;
const MICROSECONDS_PER_MS = 1000;
/** How often a write is tried again while another process has the database locked. */
const LOCKED_ATTEMPTS = 50;

/** A record as it is stored. */
interface Stored {
  readonly revision: number;
  readonly value?: string;
  /** In ms. */
  readonly ttl?: number;
}

/** A record and since when it has been seen unchanged. */
interface Sighting {
  readonly revision: number;
  /** When it will have been seen for its whole time to live. */
  readonly over: number;
}

/** A bucket in Deno KV. */
export class DenoKvBucket implements Bucket {
  readonly #kv: Deno.Kv;
  readonly #prefix: Deno.KvKey;
  readonly #clock: Clock;
  readonly #sightings = new Map<string, Sighting>();

  /** Keeps everything under a prefix of an open database, which is not closed. */
  constructor(kv: Deno.Kv, prefix: Deno.KvKey, clock: Clock = systemClock) {
    this.#kv = kv;
    this.#prefix = prefix;
    this.#clock = clock;
  }

  /** The entry under a key: a tombstone if the record has been seen unchanged for too long. */
  async get(key: string): Promise<Entry | undefined> {
    const { value: stored } = await this.#try(`get ${key}`, () => this.#kv.get<Stored>(this.#key(key)));
    if (stored !== null) return this.#judge(key, stored);
    this.#sightings.delete(key);
    return undefined;
  }

  #judge(key: string, stored: Stored): Entry {
    const now = this.#clock.monotonic();
    const { revision } = stored;
    let sighting = this.#sightings.get(key);
    if (sighting?.revision !== revision) {
      sighting = { revision, over: now + (stored.ttl ?? Infinity) * CLOCK_RATE_ALLOWANCE };
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

  /** Revisions come from one counter, which starts at the time: they rise over all keys, and over a database made again. */
  async #write(key: string, expected: number, record: Omit<Stored, "revision"> | undefined): Promise<number> {
    const counterKey: Deno.KvKey = [...this.#prefix, "revision"];
    for (;;) {
      const [current, counter] = await this.#try(
        `read ${key}`,
        () => this.#kv.getMany<[Stored, number]>([this.#key(key), counterKey]),
      );
      if ((current.value?.revision ?? 0) !== expected) throw new RevisionConflictError(key, expected);
      const revision = Math.max(
        (counter.value ?? 0) + 1,
        Math.floor(this.#clock.wall()) * MICROSECONDS_PER_MS,
      );
      const { ok } = await this.#try(`write ${key}`, () => {
        const write = this.#kv.atomic().check(current, counter).set(counterKey, revision);
        if (record === undefined) write.delete(this.#key(key));
        else write.set(this.#key(key), { ...record, revision } satisfies Stored);
        return write.commit();
      });
      // Refused: another key took the revision, another process this key, or (over KV Connect) our own repetition.
      if (ok) return revision;
    }
  }

  #key(key: string): Deno.KvKey {
    return [...this.#prefix, "entry", key];
  }

  async #try<T>(operation: string, run: () => Promise<T>): Promise<T> {
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

  /** How long until something may be there to see: at the latest when the next record is over. */
  #untilLook(keys: readonly string[]): number {
    const now = this.#clock.monotonic();
    const overs = keys.map((key) => (this.#sightings.get(key)?.over ?? 0) - now).filter((left) => left > 0);
    return Math.min(POLL_MS, ...overs);
  }

  /** Looks now and then, at whole keys only. */
  watch(patterns: readonly string[], listener: (update: WatchUpdate) => void): BucketWatch {
    let open = true;
    let cancel = (): void => {};
    const look = async (): Promise<void> => {
      try {
        const entries = await Promise.all(patterns.map((key) => this.get(key)));
        if (open) listener({ type: "snapshot", entries: entries.filter((entry) => entry !== undefined) });
      } catch {
        // Not reachable, or closed: those who wait find out by their own calls.
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
