/**
 * A seal in a folder.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { InvalidArgumentError } from "../errors.ts";
import { sleep } from "../sleep.ts";
import { describe } from "../text.ts";
import { isEqual } from "./bytes.ts";
import type { SealPlace } from "./place.ts";

/** Only the user of the sealer may read what is private. */
const PRIVATE_MODE = 0o600;
const PRIVATE = "private/";
const LOCK = `${PRIVATE}lock`;
const MAX_ATTEMPTS = 5;
const LOCK_RETRY_MS = 10;
const TEMPORARY = ".tmp";
const PATH = /^(?:[A-Za-z0-9_-]+(?:\.[a-z]+)?\/)*[A-Za-z0-9_-]+(?:\.[a-z]+)?$/;

/**
 * A seal in a folder, which is made if it does not exist. Files are flushed to the disk before a checkpoint refers to them. A web server
 * that serves `checkpoint` and `tile/` is a transparency log; `private/` is for the sealer, and for programs that verify the store.
 *
 * @example Seal into a folder
 * ```ts
 * import { generateSealKey, SealFolder, sealOnce, verifySeal } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const { privateKey, publicKey } = generateSealKey("example.com/orders");
 *
 * const folder = new SealFolder(await Deno.makeTempDir());
 * await sealOnce(store, folder, { signer: { key: privateKey } });
 * assert((await verifySeal(folder, { key: publicKey })).ok);
 * ```
 *
 * @category Evidence
 */
export class SealFolder implements SealPlace {
  readonly #path: string;
  /** Folders that are known to exist. */
  readonly #made = new Set<string>();
  /** Whether the file system can give a file a second name. */
  #hasLinks = true;

  /**
   * Names a folder.
   *
   * @throws {InvalidArgumentError} If the path is no text.
   */
  constructor(path: string) {
    if (typeof path !== "string" || path === "") {
      throw new InvalidArgumentError("path", `must be the path of a folder, and is ${describe(path)}`);
    }
    this.#path = path.replace(/(?<=.)\/+$/, "");
  }

  /** Reads a file. */
  async read(path: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    try {
      // A file system that does not answer cannot be asked to stop: its answer is dropped.
      return await abortable(Deno.readFile(this.#fileOf(path), signal && { signal }), signal);
    } catch (error) {
      signal?.throwIfAborted();
      // A file in the place of a folder: what is below it does not exist.
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
        return undefined;
      }
      throw error;
    }
  }

  /** Writes a file under another name, flushes it, and gives it its name if the present bytes are the expected ones. */
  async replace(
    path: string,
    bytes: Uint8Array,
    expected: Uint8Array | undefined,
    signal?: AbortSignal,
  ): Promise<boolean> {
    if (expected === undefined && this.#hasLinks) {
      // The system refuses a second name for a file if another one has it: no lock is needed.
      const result = await this.#write(path, bytes, linked);
      if (result !== "no-links") return result;
      this.#hasLinks = false;
    }
    using _lock = await this.#lock(signal);
    if (!isEqual(await this.read(path), expected)) return false;
    return await this.#write(path, bytes, renamed);
  }

  /** A lock of the operating system, which keeps other processes out until it is disposed of. */
  async #lock(signal: AbortSignal | undefined): Promise<Disposable> {
    const file = this.#fileOf(LOCK);
    await this.#make(file.slice(0, file.lastIndexOf("/")));
    const lock = await Deno.open(file, { create: true, write: true, mode: PRIVATE_MODE });
    try {
      // Not `lock()`, which a signal could not end while a process that has it is suspended.
      while (!await lock.tryLock(true)) await sleep(LOCK_RETRY_MS, signal);
      return lock;
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  async #write<T>(path: string, bytes: Uint8Array, name: Naming<T>): Promise<T> {
    const file = this.#fileOf(path);
    const folder = file.slice(0, file.lastIndexOf("/"));
    for (let attempt = 1;; attempt++) {
      await this.#make(folder);
      try {
        return await writeNamed(file, bytes, path.startsWith(PRIVATE) ? PRIVATE_MODE : undefined, name);
      } catch (error) {
        this.#made.delete(folder);
        // Another sealer has removed the folder, because the partial tiles in it are replaced.
        if (!(error instanceof Deno.errors.NotFound) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** Whether the folder does not exist, or has no files except those that a sealer leaves that was killed at its beginning. */
  isEmpty(): Promise<boolean> {
    return isEmpty(this.#path, this.#fileOf(LOCK));
  }

  /** Removes a folder. */
  async removeFolder(path: string): Promise<void> {
    const folder = this.#fileOf(path);
    this.#made.delete(folder);
    try {
      await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Makes a folder and all above it, and flushes the entries of those that are new. */
  async #make(folder: string): Promise<void> {
    if (this.#made.has(folder)) return;
    const parent = folder.slice(0, Math.max(folder.lastIndexOf("/"), 0));
    if (folder.length > this.#path.length) await this.#make(parent);
    await Deno.mkdir(folder, { recursive: true });
    if (parent !== "") await flushFolder(parent);
    this.#made.add(folder);
  }

  #fileOf(path: string): string {
    if (PATH.test(path)) return `${this.#path}/${path}`;
    throw new InvalidArgumentError("path", `must be the path of a file of a seal, and is ${describe(path)}`);
  }
}

async function isEmpty(folder: string, lock: string): Promise<boolean> {
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      const path = `${folder}/${name}`;
      const isNothing = isDirectory ? await isEmpty(path, lock) : path === lock || name.endsWith(TEMPORARY);
      if (!isNothing) return false;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return true;
}

/** Gives a file its name; what it returns is the result of the write. */
type Naming<T> = (temporary: string, file: string) => Promise<T>;

async function renamed(temporary: string, file: string): Promise<true> {
  await Deno.rename(temporary, file);
  return true;
}

/** Gives a file its name if there is none of that name. */
async function linked(temporary: string, file: string): Promise<boolean | "no-links"> {
  try {
    await Deno.link(temporary, file);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (error instanceof Deno.errors.NotFound) throw error;
    return "no-links";
  } finally {
    await Deno.remove(temporary).catch(() => {});
  }
}

async function writeNamed<T>(
  file: string,
  bytes: Uint8Array,
  mode: number | undefined,
  name: Naming<T>,
): Promise<T> {
  // A name of its own: two sealers may write the same file at the same time.
  const temporary = `${file}.${crypto.randomUUID().slice(0, 8)}${TEMPORARY}`;
  let result: T;
  try {
    await writeFlushed(temporary, bytes, mode);
    result = await name(temporary, file);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  // Also if another sealer has given the name: it may not have flushed the folder yet.
  await flushFolder(file.slice(0, file.lastIndexOf("/")));
  return result;
}

async function writeFlushed(file: string, bytes: Uint8Array, mode: number | undefined): Promise<void> {
  using opened = await Deno.open(file, { createNew: true, write: true, ...(mode && { mode }) });
  for (let at = 0; at < bytes.length;) at += await opened.write(bytes.subarray(at));
  await opened.syncData();
}

/** A file that was renamed is durable when its folder is. */
async function flushFolder(folder: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using opened = await Deno.open(folder, { read: true });
  await opened.sync();
}
