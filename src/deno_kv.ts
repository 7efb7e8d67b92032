/**
 * Opening Deno KV: the same words and the same care for stores, checkpoints and leases.
 *
 * @module
 */

import { describe } from "./text.ts";
import { AetherError, InvalidArgumentError, StoreOpenError } from "./errors.ts";

/** A database, and whether it was opened here. */
export interface OpenedKv {
  /** The handle. */
  readonly kv: Deno.Kv;
  /** Whether it was opened here, and has to be closed with what it was opened for. */
  readonly opened: boolean;
}

/**
 * Takes an open database as it is, and opens one by its path or URL; without either, the application's default one.
 *
 * @throws {InvalidArgumentError} If it is none of these.
 * @throws {StoreOpenError} If Deno KV is not enabled, or the database cannot be opened.
 */
export async function openKv(pathOrKv: string | Deno.Kv | undefined): Promise<OpenedKv> {
  if (typeof pathOrKv === "object" && pathOrKv !== null && typeof pathOrKv.atomic === "function") {
    return { kv: pathOrKv, opened: false };
  }
  if (pathOrKv !== undefined && typeof pathOrKv !== "string") {
    throw new InvalidArgumentError(
      "pathOrKv",
      `must be a path, a URL, an open Deno.Kv, or left out, and is ${describe(pathOrKv)}`,
    );
  }
  if (typeof Deno.openKv !== "function") {
    throw new StoreOpenError(
      'Deno KV is not enabled: add "unstable": ["kv"] to deno.json, or run with --unstable-kv',
    );
  }
  try {
    return { kv: await Deno.openKv(pathOrKv), opened: true };
  } catch (error) {
    throw openError(pathOrKv, error);
  }
}

/** A file, by its path and by its identity in the file system. */
export interface OpenedFile {
  /** The absolute path. */
  readonly path: string;
  /** The device. */
  readonly device: number;
  /** The inode. */
  readonly inode: number;
}

/** Remembers the file of a database; `undefined` if the system cannot tell files apart, or the database is not in a file. */
export function openedFile(file: string): OpenedFile | undefined {
  let path = file;
  try {
    path = Deno.realPathSync(file); // the working directory may change
  } catch {
    // It needs a permission for the working directory, if the path is relative.
  }
  try {
    const { dev, ino } = Deno.statSync(path);
    return ino === null ? undefined : { path, device: dev, inode: ino };
  } catch {
    return undefined;
  }
}

/** Whether the file under a path is still the one that was opened. An open handle goes on with a file that was deleted. */
export function isSameFile({ path, device, inode }: OpenedFile): boolean {
  try {
    const { dev, ino } = Deno.statSync(path);
    return dev === device && ino === inode;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** Closes a database, also one that was closed behind its user's back. */
export function closeKv(kv: Deno.Kv): void {
  try {
    kv.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** What an error of Deno KV means, and what to do. It has no classes for them: their texts are what there is to go by. */
export function kvAdvice(error: unknown): string {
  const text = messageOf(error);
  if (error instanceof Deno.errors.BadResource || /database is closed/i.test(text)) {
    return "the Deno.Kv handle was closed by its owner: close what uses it first, then the handle";
  }
  if (/readonly|read-only/i.test(text)) {
    return "the database file is read-only: make it and its folder writable";
  }
  if (/disk is full|no space/i.test(text)) {
    return "the disk is full: free some space; what was stored before is safe";
  }
  if (/not a database|malformed|corrupt/i.test(text)) {
    return "the file is damaged or is no Deno KV database: restore it from a backup";
  }
  return `Deno KV failed: ${text}`;
}

/**
 * The typed error for a database that cannot be opened.
 *
 * @param target What was to be opened: a path or URL, a handle, or nothing for the default database.
 */
export function openError(target: string | Deno.Kv | undefined, error: unknown): Error {
  if (error instanceof AetherError) return error;
  const where = target === undefined
    ? "the default Deno KV database"
    : typeof target === "string"
    ? JSON.stringify(target)
    : "the Deno.Kv handle";
  const text = messageOf(error);
  const what = error instanceof Deno.errors.NotCapable
    ? `Deno has no permission for it: run with --allow-read and --allow-write for ${where}`
    : /not a database/i.test(text)
    ? "the file is not a Deno KV database: choose another path, or move the file away"
    : /unable to open/i.test(text)
    ? "the file cannot be opened: its folder must exist and be writable, and it must not be a folder itself"
    : kvAdvice(error);
  return new StoreOpenError(`Cannot open ${where}: ${what}`, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
