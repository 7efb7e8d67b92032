/**
 * Snapshots in Deno KV.
 *
 * @module
 */

import { BackendError } from "../errors.ts";
import { decodeSnapshot, encodeSnapshot, type Snapshot, supersedes } from "../snapshot.ts";
import type { Warn } from "../../warning.ts";
import { backoff, sleep } from "../../sleep.ts";
import { backendError, commitFailure, FIRST_BUSY_WAIT, LONGEST_BUSY_WAIT } from "../../deno_kv_failures.ts";
import type { Layout } from "./layout.ts";
import type { LogRecord } from "./log_record.ts";
import { chunkCount, UnreadableRecord, type ValueFormat } from "./value_format.ts";
import { joinChunks } from "./commit_reader.ts";
import { getAll, scan } from "./scan.ts";

/** How often a snapshot is tried against other writers. */
const MAX_TRIES = 100;

/** A stored snapshot and the state of its key. */
interface StoredSnapshot {
  readonly snapshot: Snapshot | undefined;
  readonly versionstamp: string | null;
  readonly chunks: number;
}

/** What snapshots are kept with. */
export interface SnapshotSetup {
  /** The handle. */
  readonly kv: Deno.Kv;
  /** The log that they are of. */
  readonly log: LogRecord;
  /** The keys. */
  readonly layout: Layout;
  /** Reads and writes values. */
  readonly values: ValueFormat;
  /** Takes warnings. */
  readonly warn: Warn;
}

/** Keeps the latest snapshot of each actor and kind. */
export class Snapshots {
  readonly #kv: Deno.Kv;
  readonly #log: LogRecord;
  readonly #layout: Layout;
  readonly #values: ValueFormat;
  readonly #warn: Warn;

  constructor({ kv, log, layout, values, warn }: SnapshotSetup) {
    this.#kv = kv;
    this.#log = log;
    this.#layout = layout;
    this.#values = values;
    this.#warn = warn;
  }

  /** Keeps a snapshot, unless a newer one is stored. */
  async save(snapshot: Snapshot): Promise<void> {
    const { actorId, kind } = snapshot;
    const { value, chunks } = this.#values.encodePlain(encodeSnapshot(snapshot));
    const key = this.#layout.snapshot(actorId, kind);
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const stored = await this.#read(actorId, kind);
      if (!supersedes(snapshot, stored.snapshot)) return;
      const guard = { key, versionstamp: stored.versionstamp };
      let operation = this.#kv.atomic().check(this.#log.check, guard).set(key, value);
      for (const [index, chunk] of chunks.entries()) {
        operation = operation.set(this.#layout.piece(actorId, kind, index), chunk);
      }
      for (let index = chunks.length; index < stored.chunks; index++) {
        operation = operation.delete(this.#layout.piece(actorId, kind, index));
      }
      try {
        const { ok } = await operation.commit();
        this.#log.assertFile();
        if (ok) return;
        await this.#log.assertSame();
      } catch (error) {
        // A snapshot that is stored twice is the same snapshot, so that an unknown outcome can simply be repeated.
        const failure = commitFailure(error);
        if (failure !== "busy" && failure !== "unknown") throw backendError("saveSnapshot", error);
        await sleep(backoff(attempt, FIRST_BUSY_WAIT, LONGEST_BUSY_WAIT));
      }
    }
    throw new BackendError("saveSnapshot", "other writers came first for too long: try again");
  }

  /** The stored snapshot; one that cannot be read is ignored with a warning. */
  async latest(actorId: string, kind: string): Promise<Snapshot | undefined> {
    const { snapshot, versionstamp } = await this.#read(actorId, kind);
    if (!snapshot) await this.#log.assertSame();
    if (!snapshot && versionstamp !== null) {
      const message = `the snapshot "${kind}" of "${actorId}" cannot be read and is ignored`;
      this.#warn({ code: "snapshot-ignored", message });
    }
    return snapshot;
  }

  /** Deletes the snapshots of a kind; returns how many there were. */
  async deleteAll(kind: string, signal: AbortSignal): Promise<number> {
    const start = this.#layout.snapshots;
    let deleted = 0;
    for await (const batch of scan(this.#kv, { start, end: [...start, Number.MIN_SAFE_INTEGER] })) {
      for (const { key, versionstamp } of batch) {
        signal.throwIfAborted();
        const [actorId, of] = key.slice(start.length) as [string, string];
        if (of === kind && await this.#delete(actorId, kind, versionstamp)) deleted++;
      }
    }
    await this.#log.assertSame();
    return deleted;
  }

  /** Deletes a snapshot, unless another one has taken its place. */
  async #delete(actorId: string, kind: string, versionstamp: string): Promise<boolean> {
    const prefix = this.#layout.pieces(actorId, kind);
    const key = this.#layout.snapshot(actorId, kind);
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      try {
        let operation = this.#kv.atomic().check(this.#log.check, { key, versionstamp }).delete(key);
        for await (const piece of this.#kv.list({ prefix })) operation = operation.delete(piece.key);
        const { ok } = await operation.commit();
        return ok;
      } catch (error) {
        const failure = commitFailure(error);
        if (failure !== "busy" && failure !== "unknown") throw backendError("deleteSnapshots", error);
        await sleep(backoff(attempt, FIRST_BUSY_WAIT, LONGEST_BUSY_WAIT));
      }
    }
    throw new BackendError("deleteSnapshots", "the database was busy for too long: try again");
  }

  async #read(actorId: string, kind: string): Promise<StoredSnapshot> {
    const [entry] = await getAll(this.#kv, [this.#layout.snapshot(actorId, kind)]);
    if (!entry || entry.versionstamp === null) return { snapshot: undefined, versionstamp: null, chunks: 0 };
    const { versionstamp } = entry;
    let chunks = 0;
    try {
      chunks = chunkCount(entry.value);
      const key = (index: number): Deno.KvKey => this.#layout.piece(actorId, kind, index);
      const bytes = await joinChunks(this.#kv, entry.value as Uint8Array, chunks, key);
      const snapshot = decodeSnapshot(this.#values.decode(bytes), actorId, kind);
      return { snapshot, versionstamp, chunks };
    } catch (error) {
      if (!(error instanceof UnreadableRecord)) throw error;
      return { snapshot: undefined, versionstamp, chunks };
    }
  }
}
