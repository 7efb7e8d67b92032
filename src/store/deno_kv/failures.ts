/**
 * What the errors of Deno KV mean. It has no classes for them: their texts are what there is to go by.
 *
 * @module
 */

import { AetherError } from "../../errors.ts";
import { backoff, sleep } from "../../sleep.ts";
import { BackendError, StoreOpenError } from "../errors.ts";

/** What became of an atomic operation that threw. */
export type CommitFailure =
  /** Another process held the file. Nothing was applied; repeating it is safe. */
  | "busy"
  /** The backend takes fewer checks. Nothing was applied. */
  | "too-many-checks"
  /** The connection broke, or the server failed: it may have been applied. */
  | "unknown"
  /** The handle was closed while it was on its way: it may have been applied, and nobody can ask. */
  | "closed"
  /** Nothing was applied. */
  | "refused";

/** Says what became of an atomic operation that threw. */
export function commitFailure(error: unknown): CommitFailure {
  const text = messageOf(error);
  if (/database (table )?is locked/i.test(text)) return "busy";
  if (/too many checks/i.test(text)) return "too-many-checks";
  if (/database is closed/i.test(text)) return "closed";
  const remote = /KV Connect failed|error sending request|connection|status[ =:]*5\d\d/i.test(text);
  return remote && !/status=4\d\d/.test(text) ? "unknown" : "refused";
}

/** The typed error for one of Deno KV, with what to do about it. */
export function backendError(operation: string, error: unknown): Error {
  if (error instanceof AetherError) return error;
  return new BackendError(operation, advice(error), { cause: error });
}

/** Gives the errors of a read a type. */
export async function reading<T>(operation: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw backendError(operation, error);
  }
}

/** Gives the errors of an iteration a type. */
export async function* iterating<T>(operation: string, items: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    throw backendError(operation, error);
  }
}

/** How often to try again while another process holds the file: with the waits below, for half a minute. */
const BUSY_TRIES = 1_000;

/** Repeats a read for as long as another process holds the file. */
export async function whileBusy<T>(read: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await read();
    } catch (error) {
      if (commitFailure(error) !== "busy" || attempt === BUSY_TRIES) throw error;
      await sleep(backoff(attempt, FIRST_BUSY_WAIT, LONGEST_BUSY_WAIT));
    }
  }
}

/** The bound of the wait after the first time that another process held the file, and after many, in milliseconds. */
export const FIRST_BUSY_WAIT = 1;
export const LONGEST_BUSY_WAIT = 50;

function advice(error: unknown): string {
  const text = messageOf(error);
  if (error instanceof Deno.errors.BadResource || /database is closed/i.test(text)) {
    return "the Deno.Kv handle was closed behind the store: close the store first, then the handle";
  }
  if (/readonly|read-only/i.test(text)) {
    return "the database file is read-only: make it and its folder writable";
  }
  if (/disk is full|no space/i.test(text)) {
    return "the disk is full: make room; what was stored before is safe";
  }
  if (/not a database|malformed|corrupt/i.test(text)) {
    return "the file is damaged or is no Deno KV database: restore it from a backup";
  }
  return `Deno KV failed: ${text}`;
}

/** The typed error for a database that cannot be opened. */
export function openError(path: string | undefined, error: unknown): Error {
  if (error instanceof AetherError) return error;
  const where = path === undefined ? "the default Deno KV database" : JSON.stringify(path);
  const text = messageOf(error);
  const what = error instanceof Deno.errors.NotCapable
    ? `Deno has no permission for it: run with --allow-read and --allow-write for ${where}`
    : /not a database/i.test(text)
    ? "the file is not a Deno KV database: choose another path, or move the file away"
    : /unable to open/i.test(text)
    ? "the file cannot be opened: its folder must exist and be writable, and it must not be a folder itself"
    : advice(error);
  return new StoreOpenError(`Cannot open ${where}: ${what}`, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
