/**
 * What the errors of Deno KV mean. It has no classes for them: their texts are what there is to go by.
 *
 * @module
 */

import { kvAdvice } from "./deno_kv.ts";
import { AetherError } from "./errors.ts";
import { backoff, sleep } from "./sleep.ts";
import { BackendError } from "./errors.ts";

/** What is known about an atomic operation that threw. */
export type CommitFailure =
  /** Another process held the file. Nothing was applied; repeating it is safe. */
  | "busy"
  /** The backend takes fewer checks. Nothing was applied. */
  | "too-many-checks"
  /** The connection broke, the server failed, or the disk did: it may have been applied. */
  | "unknown"
  /** The handle was closed while it was on its way: it may have been applied, and this process cannot find out. */
  | "closed"
  /** Nothing was applied. */
  | "refused";

/** Classifies the error of an atomic operation. */
export function commitFailure(error: unknown): CommitFailure {
  const text = messageOf(error);
  if (/database (table )?is locked/i.test(text)) return "busy";
  if (/too many checks/i.test(text)) return "too-many-checks";
  if (/database is closed/i.test(text)) return "closed";
  return error instanceof Deno.errors.BadResource || REFUSALS.some((refusal) => refusal.test(text))
    ? "refused"
    : "unknown";
}

/**
 * The messages of Deno KV after which nothing was applied. After any other message the operation may have been applied.
 * For example, a flush that fails leaves the commit in the write-ahead log, and it is found after a crash.
 */
const REFUSALS: readonly RegExp[] = [
  // Checked before anything is sent.
  /too ?(large|long|many)|cannot be empty|could not be cloned|expected string|invalid (check|key)/i,
  // SQLite has rolled back before it wrote the end of the commit.
  /readonly|read-only|disk is full|no space|not a database|malformed|corrupt/i,
  // KV Connect's server does not take the request.
  /status=4(?!08)\d\d/,
];

/** The typed error for one of Deno KV, with what to do about it. */
export function backendError(operation: string, error: unknown): Error {
  if (error instanceof AetherError) return error;
  return new BackendError(operation, kvAdvice(error), { cause: error });
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
