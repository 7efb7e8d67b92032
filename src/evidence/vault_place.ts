/**
 * Where a vault keeps its records: in memory, in Deno KV, or in a bucket of NATS.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { isUnanswered, RevisionConflictError } from "../cluster/errors.ts";
import type { NamedBucketOptions } from "../cluster/jetstream/open.ts";
import { closeKv, openKv } from "../deno_kv.ts";
import { backendError, whileBusy } from "../deno_kv_failures.ts";
import type { NatsConnection } from "../nats/connection.ts";

/** A record, or the place of one that does not exist. */
export interface VaultRecord {
  /** Its text; `undefined` if it does not exist. */
  readonly value: string | undefined;
  /** What a write has to expect. */
  readonly revision: string;
}

/** Records by their keys, which are levels of letters and digits, separated by dots. */
export interface VaultPlace {
  /** Reads a record. Never a stale one. */
  get(key: string, signal?: AbortSignal): Promise<VaultRecord>;
  /** Replaces a record, of which nothing is left; returns whether it was the expected one. */
  put(key: string, value: string, expected: VaultRecord): Promise<boolean>;
  /** Removes a record; returns whether it was the expected one. */
  remove(key: string, expected: VaultRecord): Promise<boolean>;
  /** The keys below a level. */
  list(level: string, signal?: AbortSignal): Promise<readonly string[]>;
  /** Releases what was opened. */
  close(): Promise<void>;
}

/** Records in memory. */
export function memoryPlace(): VaultPlace {
  const records = new Map<string, VaultRecord>();
  let last = 0;
  const none: VaultRecord = { value: undefined, revision: "" };
  const isExpected = (key: string, { revision }: VaultRecord): boolean =>
    (records.get(key) ?? none).revision === revision;
  return {
    get: (key) => Promise.resolve(records.get(key) ?? none),
    put(key, value, expected): Promise<boolean> {
      const is = isExpected(key, expected);
      if (is) records.set(key, { value, revision: String(++last) });
      return Promise.resolve(is);
    },
    remove(key, expected): Promise<boolean> {
      return Promise.resolve(isExpected(key, expected) && records.delete(key));
    },
    list: (level) => Promise.resolve([...records.keys()].filter((key) => key.startsWith(`${level}.`))),
    close: () => Promise.resolve(),
  };
}

/** Records in a database, below a prefix. */
export async function denoKvPlace(
  pathOrKv: string | Deno.Kv | undefined,
  prefix: string,
): Promise<VaultPlace> {
  const { kv, opened } = await openKv(pathOrKv);
  const keyOf = (key: string): Deno.KvKey => [prefix, "vault", ...key.split(".")];
  const using = async <T>(operation: string, use: () => Promise<T>): Promise<T> => {
    try {
      return await whileBusy(use);
    } catch (error) {
      throw backendError(operation, error);
    }
  };
  const expecting = (key: string, { revision }: VaultRecord): Deno.AtomicOperation =>
    kv.atomic().check({ key: keyOf(key), versionstamp: revision === "" ? null : revision });
  return {
    get: (key) =>
      using("vault.get", async () => {
        const { value, versionstamp } = await kv.get<string>(keyOf(key));
        return { value: value ?? undefined, revision: versionstamp ?? "" };
      }),
    put: (key, value, expected) =>
      using("vault.put", async () => (await expecting(key, expected).set(keyOf(key), value).commit()).ok),
    remove: (key, expected) =>
      using("vault.remove", async () => (await expecting(key, expected).delete(keyOf(key)).commit()).ok),
    list: (level) =>
      using("vault.list", async () => {
        const keys: string[] = [];
        for await (const { key } of kv.list({ prefix: keyOf(level) })) keys.push(key.slice(2).join("."));
        return keys;
      }),
    close(): Promise<void> {
      if (opened) closeKv(kv);
      return Promise.resolve();
    },
  };
}

/** How long all records may take to arrive, in milliseconds. */
const LIST_TIMEOUT = 30_000;

/** Records in a bucket, which keeps no history. Nothing of NATS is loaded before one is opened. */
export async function jetStreamPlace(
  urlOrConnection: string | readonly string[] | NatsConnection,
  options: NamedBucketOptions,
): Promise<VaultPlace> {
  const { openNamedBucket } = await import("../cluster/jetstream/open.ts");
  const open = await openNamedBucket(urlOrConnection, options, "aether_vault", false);
  const { bucket } = open;
  const unlessChanged = async (write: Promise<unknown>): Promise<boolean> => {
    try {
      await write;
      return true;
    } catch (error) {
      if (error instanceof RevisionConflictError) return false;
      throw error;
    }
  };
  return {
    async get(key, signal): Promise<VaultRecord> {
      const entry = await bucket.get(key, signal);
      return { value: entry?.value, revision: String(entry?.revision ?? 0) };
    },
    put: (key, value, { revision }) => unlessChanged(bucket.put(key, value, { expected: Number(revision) })),
    remove: (key, { revision }) => unlessChanged(bucket.remove(key, Number(revision))),
    async list(level, signal): Promise<readonly string[]> {
      const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
      const watch = bucket.watch([`${level}.>`], (update) => {
        // An outage may pass; a connection that is closed, a missing permission or a deleted bucket does not.
        if (update.type === "unavailable" && !mayPass(update.error)) return reject(update.error);
        if (update.type !== "snapshot") return;
        resolve(update.entries.flatMap(({ key, value }) => value === undefined ? [] : [key]));
      });
      const timeout = new AbortController();
      const late = setTimeout(
        () => timeout.abort(backendError("vault.list", new Error("no answer"))),
        LIST_TIMEOUT,
      );
      try {
        return await abortable(abortable(promise, timeout.signal), signal);
      } finally {
        clearTimeout(late);
        watch.close();
      }
    },
    close: () => open.close(),
  };
}

function mayPass(error: unknown): boolean {
  return isUnanswered(error) && !(error.cause instanceof Error && error.cause.name === "StreamNotFoundError");
}
