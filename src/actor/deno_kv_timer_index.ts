/**
 * The index of timers in the database of a store in Deno KV.
 *
 * ```text
 * [prefix, namespace, "timer", "head", kind]                 how far the log was read for a kind of actors
 * [prefix, namespace, "timer", "actor", actorId]             the timers of an actor
 * [prefix, namespace, "timer", "due", at, actorId, name]     a timer that waits, in the order of times
 * ```
 *
 * @module
 */

import { DenoKvBucket } from "../cluster/deno_kv_bucket.ts";
import type { LeaseStore } from "../cluster/lease.ts";
import { BucketLeaseStore } from "../cluster/lease_store.ts";
import {
  backendError,
  commitFailure,
  FIRST_BUSY_WAIT,
  LONGEST_BUSY_WAIT,
  whileBusy,
} from "../deno_kv_failures.ts";
import { backoff, settledWithin, sleep } from "../sleep.ts";
import {
  CLOSE_TIMEOUT,
  decodeActor,
  decodeHead,
  encodeActor,
  encodeHead,
  IndexConflict,
  type IndexedActor,
  type IndexHead,
  isHeld,
  type PendingRange,
  type PendingTimer,
  type StoredActor,
  type TimerIndex,
} from "./timer_index.ts";

/** How many entries are read at once. */
const BATCH = 500;
/** How many keys `getMany` takes. */
const KEYS_AT_ONCE = 10;
const BUSY_TRIES = 1_000;

/** An index in Deno KV. */
export class DenoKvTimerIndex implements TimerIndex {
  readonly hasOwnOrder = true;
  readonly leases: LeaseStore;
  readonly #kv: Deno.Kv;
  readonly #base: readonly Deno.KvKeyPart[];

  /** @param base The first parts of every key of the store. */
  constructor(kv: Deno.Kv, base: readonly Deno.KvKeyPart[]) {
    this.#kv = kv;
    this.#base = [...base, "timer"];
    // The index is written by compare-and-set, which decides between two workers in any case.
    this.leases = new BucketLeaseStore(new DenoKvBucket(kv, [...this.#base, "lease"]), {}, {
      outlivesBucket: false,
    });
  }

  async head(kind: string): ReturnType<TimerIndex["head"]> {
    const { value, versionstamp } = await this.#reading(() => this.#kv.get([...this.#base, "head", kind]));
    return { head: decodeHead(value), revision: versionstamp ?? undefined };
  }

  async heads(): Promise<ReadonlyMap<string, IndexHead>> {
    const list = (): Promise<Deno.KvEntry<unknown>[]> =>
      Array.fromAsync(this.#kv.list({ prefix: [...this.#base, "head"] }));
    const heads = new Map<string, IndexHead>();
    for (const { key, value } of await this.#reading(list)) {
      const head = decodeHead(value);
      if (head) heads.set(String(key.at(-1)), head);
    }
    return heads;
  }

  async saveHead(kind: string, head: IndexHead, revision: string | undefined): Promise<string> {
    const key = [...this.#base, "head", kind];
    return await this.#commit((operation) =>
      operation.check({ key, versionstamp: revision ?? null }).set(key, encodeHead(head))
    );
  }

  async get(actorId: string): Promise<StoredActor | undefined> {
    const { value, versionstamp } = await this.#reading(() => this.#kv.get(this.#actor(actorId)));
    return versionstamp === null ? undefined : decodeActor(actorId, value, versionstamp);
  }

  async put(actor: IndexedActor, replaced: StoredActor | undefined): Promise<string | undefined> {
    const key = this.#actor(actor.actorId);
    const isKept = isHeld(actor);
    const revision = await this.#commit((operation) => {
      operation.check({ key, versionstamp: replaced?.revision ?? null });
      for (const due of this.#dueKeys(replaced)) operation.delete(due);
      for (const due of this.#dueKeys(actor)) operation.set(due, true);
      return isKept ? operation.set(key, encodeActor(actor)) : operation.delete(key);
    });
    return isKept ? revision : undefined;
  }

  async *all(): AsyncIterable<StoredActor> {
    const prefix = [...this.#base, "actor"];
    for (let start: Deno.KvKey | undefined = undefined;;) {
      const selector: Deno.KvListSelector = start ? { start, end: [...prefix, true] } : { prefix };
      const list = (): Promise<Deno.KvEntry<unknown>[]> =>
        Array.fromAsync(this.#kv.list(selector, { limit: BATCH, batchSize: BATCH }));
      const entries = await this.#reading(list);
      for (const { key, value, versionstamp } of entries) {
        const actorId = key.at(-1);
        if (typeof actorId === "string") yield decodeActor(actorId, value, versionstamp);
      }
      if (entries.length < BATCH) return;
      start = [...entries.at(-1)!.key, false];
    }
  }

  async pending({ until, after, limit }: PendingRange): Promise<readonly PendingTimer[]> {
    const prefix = [...this.#base, "due"];
    const found: PendingTimer[] = [];
    let start: Deno.KvKey = after ? [...prefix, after.at, after.actorId, after.name, false] : prefix;
    const end = until === undefined ? [...prefix, true] : [...prefix, until, true];
    while (found.length < limit) {
      const wanted = Math.min(BATCH, limit - found.length);
      const entries = await this.#reading(() =>
        Array.fromAsync(this.#kv.list({ start, end }, { limit: wanted, batchSize: wanted }))
      );
      found.push(...await this.#known(entries));
      if (entries.length < wanted) break;
      start = [...entries.at(-1)!.key, false];
    }
    return found;
  }

  /** Leaves out, and deletes, what no actor of the index has. */
  async #known(entries: readonly Deno.KvEntry<unknown>[]): Promise<PendingTimer[]> {
    const found: PendingTimer[] = [];
    for (let begin = 0; begin < entries.length; begin += KEYS_AT_ONCE) {
      const some = entries.slice(begin, begin + KEYS_AT_ONCE);
      const keys = some.map(({ key }) => this.#actor(String(key.at(-2))));
      const actors = await this.#reading(() => this.#kv.getMany(keys));
      for (const [index, { key }] of some.entries()) {
        const [at, actorId, name] = key.slice(-3) as [number, string, string];
        const { value, versionstamp } = actors[index]!;
        const { timers } = decodeActor(actorId, value, versionstamp ?? "");
        const isKnown = timers.some((timer) => timer.name === name && timer.at === at && !timer.isFired);
        if (isKnown) found.push({ actorId, name, at });
        else await this.#kv.atomic().check(actors[index]!).delete(key).commit();
      }
    }
    return found;
  }

  /** Releases its leases. The database is the store's. */
  async close(): Promise<void> {
    await settledWithin(this.leases.close(), CLOSE_TIMEOUT);
  }

  #actor(actorId: string): Deno.KvKey {
    return [...this.#base, "actor", actorId];
  }

  #dueKeys(actor: IndexedActor | undefined): Deno.KvKey[] {
    const waiting = actor?.timers.filter(({ isFired }) => !isFired) ?? [];
    return waiting.map(({ at, name }) => [...this.#base, "due", at, actor!.actorId, name]);
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await whileBusy(read);
    } catch (error) {
      throw backendError("timers", error);
    }
  }

  /** @throws {IndexConflict} If a check fails. */
  async #commit(build: (operation: Deno.AtomicOperation) => Deno.AtomicOperation): Promise<string> {
    for (let attempt = 1;; attempt++) {
      try {
        const result = await build(this.#kv.atomic()).commit();
        if (!result.ok) throw new IndexConflict();
        return result.versionstamp;
      } catch (error) {
        if (error instanceof IndexConflict) throw error;
        if (commitFailure(error) !== "busy" || attempt === BUSY_TRIES) throw backendError("timers", error);
      }
      await sleep(backoff(attempt, FIRST_BUSY_WAIT, LONGEST_BUSY_WAIT));
    }
  }
}
