/**
 * The files in which a server keeps a stream, and damage to them.
 *
 * @module
 */
import { join } from "node:path";
import type { NatsServer } from "../../support/nats_server.ts";

/** The files of a stream. */
export interface StreamFiles {
  /** Those that hold messages, in their order. */
  readonly blocks: string[];
  /** The index of all messages. */
  readonly index: string;
}

/** The files of a stream on a server. */
export async function streamFiles(server: NatsServer, stream: string): Promise<StreamFiles> {
  const folder = await find(
    server.storageFolder,
    (path) => path.endsWith(join("streams", stream, "msgs")),
  );
  const blocks: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".blk")) blocks.push(join(folder, name));
  }
  return { blocks: blocks.sort(), index: join(folder, "index.db") };
}

async function find(folder: string, matches: (path: string) => boolean): Promise<string> {
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    if (matches(next)) return next;
    for await (const entry of Deno.readDir(next)) if (entry.isDirectory) folders.push(join(next, entry.name));
  }
  throw new Error("the stream has no folder");
}

/** Changes a bit of a text that is stored in a file: of its first byte, or of the one at an offset. */
export async function flip(block: string, marker: string, offset = 0): Promise<void> {
  const bytes = await Deno.readFile(block);
  const at = new TextDecoder("latin1").decode(bytes).indexOf(marker);
  if (at < 0) throw new Error(`"${marker}" is not stored in the file`);
  bytes[at + offset] = bytes[at + offset]! ^ 1;
  await Deno.writeFile(block, bytes);
}
