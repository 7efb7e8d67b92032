/**
 * The first record of a namespace: it names the log. Every atomic operation checks it, so that the backend itself refuses
 * what was meant for a log that was deleted or made again.
 *
 * @module
 */

import {
  DamagedHistoryError,
  HistoryTruncatedError,
  InvalidPositionError,
  LogReplacedError,
  otherLog,
  StoreOpenError,
} from "../errors.ts";
import { isSameFile, type OpenedFile, openedFile } from "../../deno_kv.ts";
import { isLogId, newLogId } from "../position.ts";
import { commitFailure } from "../../deno_kv_failures.ts";
import type { Layout } from "./layout.ts";
import { getAll } from "./scan.ts";

/** The form of what is stored in the namespace. A program that does not know it reads and writes nothing there. */
const FORMAT = 2;

/** The record as it is stored. */
interface LogRecordJson {
  readonly format: typeof FORMAT;
  readonly id: string;
}

/** Where a log is. */
export interface LogPlace {
  /** The handle to read and write through. */
  readonly kv: Deno.Kv;
  /** The keys. */
  readonly layout: Layout;
  /** The namespace. */
  readonly namespace: string;
  /** The database file, if the store opened one. */
  readonly file: string | undefined;
}

/** The log that a store was opened on. */
export class LogRecord {
  /** The log's random id. */
  readonly id: string;
  /** What an atomic operation has to check. */
  readonly check: Deno.AtomicCheck;
  readonly #place: LogPlace;
  readonly #file: OpenedFile | undefined;

  private constructor(id: string, check: Deno.AtomicCheck, place: LogPlace) {
    this.id = id;
    this.check = check;
    this.#place = place;
    this.#file = place.file === undefined ? undefined : openedFile(place.file);
  }

  /**
   * Reads the record; the first store that comes makes it.
   *
   * @throws {StoreOpenError} If it was written in another format.
   */
  static async open(place: LogPlace): Promise<LogRecord> {
    const { kv, layout } = place;
    const key = layout.logId;
    for (;;) {
      const [entry] = await getAll(kv, [key]);
      if (entry && entry.versionstamp !== null) {
        const { value, versionstamp } = entry;
        return new LogRecord(readLogId(value, key), { key, versionstamp }, place);
      }
      const created: LogRecordJson = { format: FORMAT, id: newLogId() };
      try {
        await kv.atomic().check({ key, versionstamp: null }).set(key, created).commit();
      } catch (error) {
        if (commitFailure(error) !== "busy") throw error;
      }
    }
  }

  /**
   * Checks that the file is the one that was opened. An open handle goes on with a file that was deleted, and nothing
   * that it stores there is ever seen again.
   *
   * @throws {LogReplacedError} If it is not.
   */
  assertFile(): void {
    if (this.#file && !isSameFile(this.#file)) throw this.#replaced();
  }

  /**
   * Checks that the log is the one that was opened.
   *
   * @throws {LogReplacedError} If it is not.
   */
  async assertSame(): Promise<void> {
    this.assertFile();
    const [entry] = await getAll(this.#place.kv, [this.check.key]);
    if (entry?.versionstamp !== this.check.versionstamp) throw this.#replaced();
  }

  /** The reason of a failure that a log has which is not the one that was opened; the failure itself otherwise. */
  async explain(error: unknown): Promise<unknown> {
    const isOfLog = error instanceof DamagedHistoryError || error instanceof HistoryTruncatedError ||
      error instanceof InvalidPositionError;
    if (!isOfLog) return error;
    try {
      await this.assertSame();
      return error;
    } catch (reason) {
      return reason instanceof LogReplacedError ? reason : error;
    }
  }

  #replaced(): LogReplacedError {
    const { file, namespace } = this.#place;
    const [database, place] = file === undefined
      ? ["the Deno KV database", "database"] as const
      : [JSON.stringify(file), "file"] as const;
    return otherLog(`namespace "${namespace}" of ${database}`, place);
  }
}

/** The id in the record of a log. */
function readLogId(value: unknown, key: Deno.KvKey): string {
  const { format, id } = typeof value === "object" && value !== null
    ? value as { readonly format?: unknown; readonly id?: unknown }
    : {};
  if (format === FORMAT && isLogId(id)) return id;
  if (typeof format === "number" && format !== FORMAT) {
    throw new StoreOpenError(
      `The namespace was written in format ${format}, and this version reads format ${FORMAT}. ` +
        "Open it with the version of Aether that wrote it",
    );
  }
  throw new StoreOpenError(
    `Another program has written the key ${JSON.stringify(key)}, which has the id of the log. ` +
      "Open the store with another prefix or namespace. If it has events, restore the key from a backup",
  );
}
