/**
 * A database of Deno KV as the target of a command. One that does not exist is not made.
 *
 * @module
 */

import { openKv } from "../deno_kv.ts";
import type { Event } from "../event/types.ts";
import type { CheckpointStore } from "../projection/checkpoints.ts";
import type { EventStore } from "../store/types.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { type Access, type Histories, MAX_NAMES, otherNamespaces, type Target } from "./target.ts";
import { shownTarget } from "./secrets.ts";

const KV_CONNECT = /^https?:\/\//;

/** A database of Deno KV, until it is disposed of. */
export class KvTarget implements Target {
  readonly #shown: string;
  readonly #path: string;
  readonly #access: Access;
  readonly #exists: boolean;
  readonly #opened: AsyncDisposable[] = [];
  #kv: Deno.Kv | undefined;

  private constructor(path: string, access: Access, exists: boolean) {
    this.#path = path;
    this.#shown = shownTarget(path);
    this.#access = access;
    this.#exists = exists;
  }

  /** Looks whether the file exists. */
  static async open(path: string, access: Access): Promise<KvTarget> {
    return new KvTarget(path, access, KV_CONNECT.test(path) || await isFile(path));
  }

  /** Opens the log. */
  async store(): Promise<EventStore<Event>> {
    await this.#checkLog();
    return await this.storeToWrite();
  }

  /** Opens the log with the handle that is open already: a store of its own opens two more. */
  async look(): Promise<EventStore<Event>> {
    return await this.#open(await this.#checkLog());
  }

  /** Opens the histories of actors. */
  async histories(): Promise<Histories> {
    const [kv, { KvHistories }] = await Promise.all([
      this.#checkLog(),
      import("../store/deno_kv/histories.ts"),
    ]);
    const { prefix, namespace } = this.#access;
    return await KvHistories.open(kv, prefix, namespace);
  }

  /** Looks whether the log exists, and returns the handle. */
  async #checkLog(): Promise<Deno.Kv> {
    if (!this.#exists) throw new CommandFailure(`There is no file "${this.#shown}".`, ExitCode.found);
    const kv = await this.#database();
    const { prefix, namespace } = this.#access;
    const log = await kv.get([prefix, namespace, "log"]).catch((cause) => {
      throw new CommandFailure(`"${this.#shown}" cannot be read: ${cause.message}.`);
    });
    if (log.versionstamp === null) {
      throw new CommandFailure(
        `"${this.#shown}" has no event log of the namespace "${namespace}". ${await this.#others(kv)}`,
        ExitCode.found,
      );
    }
    return kv;
  }

  /** Opens the log, or makes it. */
  storeToWrite(): Promise<EventStore<Event>> {
    return this.#open(this.#path);
  }

  async #open(pathOrKv: string | Deno.Kv): Promise<EventStore<Event>> {
    const [{ DenoKvEventStore }, { AS_STORED }] = await Promise.all([
      import("../store/deno_kv/mod.ts"),
      import("../event/registry.ts"),
    ]);
    const { prefix, namespace } = this.#access;
    const store = await DenoKvEventStore.open(pathOrKv, { prefix, namespace, events: AS_STORED });
    this.#opened.push(store);
    return store;
  }

  /** Opens the checkpoints. */
  async checkpoints(): Promise<CheckpointStore<unknown> | undefined> {
    if (!this.#exists) throw new CommandFailure(`There is no file "${this.#shown}".`, ExitCode.found);
    const { prefix, namespace } = this.#access;
    const { DenoKvCheckpoints } = await import("../projection/deno_kv_checkpoints.ts");
    const checkpoints = await DenoKvCheckpoints.open(await this.#database(), { prefix, namespace });
    this.#opened.push(checkpoints);
    return checkpoints as CheckpointStore<unknown>;
  }

  /** The index is in the database, and a look at it makes nothing. */
  hasTimers(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async #database(): Promise<Deno.Kv> {
    return this.#kv ??= (await openKv(this.#path)).kv;
  }

  /** Which namespaces exist. */
  async #others(kv: Deno.Kv): Promise<string> {
    const { prefix } = this.#access;
    const names: string[] = [];
    for (let after = ""; names.length < MAX_NAMES;) {
      const [next] = await Array.fromAsync(
        kv.list({ start: [prefix, after], end: [prefix, Number.NEGATIVE_INFINITY] }, { limit: 1 }),
      );
      const name = next?.key[1];
      if (typeof name !== "string") break;
      if ((await kv.get([prefix, name, "log"])).versionstamp !== null) names.push(name);
      after = `${name}\u0000`;
    }
    return otherNamespaces(names);
  }

  /** Closes what was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#opened.reverse()) await resource[Symbol.asyncDispose]();
    this.#kv?.close();
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    const { isFile, isDirectory } = await Deno.stat(path);
    if (isDirectory) {
      throw new CommandFailure(`"${path}" is a directory. Name the file of the database.`, ExitCode.found);
    }
    return isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
