/**
 * The file of an export: written under another name until it is complete, and continued after an interruption.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";
import type { ExportChain, ExportedPart } from "./export_format.ts";
import { ExportReader } from "./export_reader.ts";
import type { ExportSetup } from "./export_types.ts";

/** A file that an export is written to. */
export class FileTarget {
  /** The lines that an earlier run has written. */
  readonly chain: ExportChain;
  /** Takes what follows them. */
  readonly writable: WritableStream<Uint8Array>;
  readonly #file: Deno.FsFile;
  readonly #path: string | URL;
  readonly #partial: string | URL;

  private constructor(path: string | URL, partial: string | URL, file: Deno.FsFile, chain: ExportChain) {
    this.#path = path;
    this.#partial = partial;
    this.#file = file;
    this.chain = chain;
    this.writable = new WritableStream({
      write: (bytes) => writeAll(file, bytes),
    });
  }

  /**
   * Opens what an earlier run left, or a new file.
   *
   * @throws {InvalidArgumentError} If the file is complete already, or another export writes it.
   * @throws {ExportError} If what was left is no export of this namespace, or was changed.
   */
  static async open(path: string | URL, setup: ExportSetup): Promise<FileTarget> {
    await refuseFile(path);
    const partial = withSuffix(path, ".partial");
    const file = await Deno.open(partial, { read: true, write: true, create: true });
    try {
      if (!await file.tryLock(true)) {
        throw new InvalidArgumentError(
          "target",
          `is being exported to already: ${
            describe(String(path))
          }. Wait for that export, or choose another path`,
        );
      }
      await refuseFile(path); // another export may have completed it meanwhile
      const chain = await continued(file, partial, setup);
      return new FileTarget(path, partial, file, chain);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Makes the file durable, and gives it its name.
   *
   * @param compress Whether the file that gets the name is compressed; until then, the text is kept as it is.
   */
  async finish(compress: boolean, signal: AbortSignal | undefined): Promise<void> {
    await this.#file.syncData();
    if (!compress) return await Deno.rename(this.#partial, this.#path);
    const packed = withSuffix(this.#path, ".packed");
    try {
      await compressFile(this.#partial, packed, signal);
    } catch (error) {
      await Deno.remove(packed).catch(() => {}); // it is made from the text again
      throw error;
    }
    await Deno.rename(packed, this.#path);
    await Deno.remove(this.#partial);
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }
}

/** The lines that an earlier run has left, up to its last commit with events; the file is cut behind it. */
async function continued(file: Deno.FsFile, path: string | URL, setup: ExportSetup): Promise<ExportChain> {
  const { chain, bytes, lines } = await scan(path, setup);
  await file.truncate(bytes);
  await file.seek(bytes, Deno.SeekMode.Start);
  // Tokens that are stored alone have no position: those at the end are read again from the log.
  return chain.counts.lines === lines ? chain : (await scan(path, setup)).chain;
}

/** What an earlier run has left. */
interface Left {
  /** Its lines. */
  readonly chain: ExportChain;
  /** Where its last commit with events ends. */
  readonly bytes: number;
  /** How many lines end there. */
  readonly lines: number;
}

async function scan(
  path: string | URL,
  { checksum, namespace, signal, onProgress }: ExportSetup,
): Promise<Left> {
  const reader = new ExportReader(checksum, signal, true);
  const { chain } = reader;
  let bytes: number | undefined;
  let lines = 1;
  for await (const commit of reader.commits((await Deno.open(path)).readable)) {
    if (!hasEvents(commit.parts)) continue;
    ({ bytes } = commit);
    ({ lines } = chain.counts);
  }
  if (chain.counts.lines === 0) return { chain, bytes: 0, lines: 0 };
  if (reader.namespace !== namespace) {
    throw new InvalidArgumentError(
      "target",
      `has the beginning of an export of namespace ${describe(reader.namespace)}: choose another path`,
    );
  }
  onProgress?.({ phase: "comparing", events: chain.events });
  return { chain, bytes: bytes ?? reader.headerBytes, lines };
}

function hasEvents(parts: readonly ExportedPart[]): boolean {
  return parts.some(({ events }) => events.length > 0);
}

/** Compresses a file with gzip, into another one. */
async function compressFile(
  from: string | URL,
  to: string | URL,
  signal: AbortSignal | undefined,
): Promise<void> {
  const target = await Deno.open(to, { write: true, create: true, truncate: true });
  try {
    const source = (await Deno.open(from)).readable;
    const packed = source.pipeThrough(new CompressionStream("gzip"));
    for await (const bytes of packed) {
      signal?.throwIfAborted();
      await writeAll(target, bytes);
    }
    await target.syncData();
  } finally {
    target.close();
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

function withSuffix(path: string | URL, suffix: string): string | URL {
  return typeof path === "string" ? path + suffix : new URL(path.href + suffix);
}

async function refuseFile(path: string | URL): Promise<void> {
  try {
    await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  throw new InvalidArgumentError(
    "target",
    `is a file already: ${describe(String(path))}. Choose another path, or remove the file`,
  );
}
