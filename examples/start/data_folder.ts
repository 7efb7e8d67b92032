/** The folder that holds the embedded store. */

import { DenoKvEventStore, type Event } from "@flowmade-one/aether/deno-kv";
import { join, resolve } from "node:path";
import { DEFAULT_FOLDER } from "./arguments.ts";
import { shellQuote } from "./text.ts";

/** The namespace of imported logs, and that of the story. */
export const LOG_NAMESPACE = "default";
export const STORY_NAMESPACE = "orders";

/** A folder with one Deno KV file. */
export class DataFolder {
  /** The folder. */
  readonly path: string;
  /** The file of the store. */
  readonly file: string;
  /** What names the folder on the command line; empty for the default one. */
  readonly argument: string;

  /** Names the folder; nothing is made yet. */
  constructor(path: string) {
    this.path = path;
    this.file = join(path, "events.sqlite3");
    this.argument = path === resolve(DEFAULT_FOLDER) ? "" : ` --data ${shellQuote(path)}`;
  }

  /** Whether anything was stored here. */
  async exists(): Promise<boolean> {
    try {
      return (await Deno.stat(this.file)).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Opens a namespace of the store, and makes folder and file if there are none. */
  async open<E extends Event>(namespace: string): Promise<DenoKvEventStore<E>> {
    await Deno.mkdir(this.path, { recursive: true });
    return await DenoKvEventStore.open<E>(this.file, { namespace });
  }

  /** The bytes that the store takes: SQLite's file and what it keeps next to it. */
  async size(): Promise<number> {
    let size = 0;
    for await (const { name } of Deno.readDir(this.path)) {
      if (name.startsWith("events.sqlite3")) size += (await Deno.stat(join(this.path, name))).size;
    }
    return size;
  }
}
