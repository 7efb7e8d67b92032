/**
 * From a store into a file or a stream.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { AetherError, InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import {
  checkFlag,
  checkFunction,
  checkKnown,
  checkSignal,
  type OptionNames,
  readOptions,
} from "../options.ts";
import type { LogPart } from "../store/backend.ts";
import { loadChecksum } from "../store/checksum.ts";
import { rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import { describe } from "../text.ts";
import { ExportError } from "./export_errors.ts";
import {
  commitBody,
  encodeLine,
  ExportChain,
  headerBody,
  noteText,
  signNote,
  trailerBody,
} from "./export_format.ts";
import { FileTarget } from "./export_file.ts";
import { type ExportOptions, type ExportReport, type ExportSetup, REPORT_EVERY } from "./export_types.ts";
import { openSigner } from "./signer.ts";

const EXPORT_OPTIONS: OptionNames<ExportOptions> = {
  compress: true,
  signer: true,
  onProgress: true,
  signal: true,
};

/** Bytes that are written at once. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Writes the whole log of a store as text, one commit a line, up to its end at the time of the call: ids, types, data, versions
 * with their gaps, times, metadata, schema versions and fencing tokens. Data that are encrypted stay so. It is streamed: a log of any length needs
 * the memory of a few commits.
 *
 * To a path, it is written to `<path>.partial`, and renamed when it is complete. If it was interrupted, run it again: it goes on
 * behind the last commit that was written. A stream is written from the beginning, and closed.
 *
 * @example Into a stream, and into another store
 * ```ts
 * import { exportEvents, importEvents, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using from = new InMemoryEventStore();
 * await from.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 *
 * await using to = new InMemoryEventStore();
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const [exported, imported] = await Promise.all([
 *   exportEvents(from, writable, { compress: true }),
 *   importEvents(readable, to),
 * ]);
 * assert.deepEqual([exported.events, imported.imported], [1, 1]);
 * assert.equal((await to.getEvents("order-1"))[0]!.id, (await from.getEvents("order-1"))[0]!.id);
 * ```
 *
 * @param store Where the events are. Others may go on writing to it.
 * @param target A path, or a stream.
 * @param options Compression, signature, progress and abort.
 * @throws {ExportError} If it cannot be written, or what an earlier run left was changed.
 * @throws {InvalidArgumentError} If the file exists, or an option cannot be used.
 * @throws {InvalidPositionError} If what an earlier run left is of another log.
 * @throws {DamagedHistoryError} If the store is damaged.
 * @throws {HistoryTruncatedError} If retention has removed the beginning of the log.
 * @throws {BackendError} If the store could not be reached. Run it again.
 *
 * @category Evidence
 */
export async function exportEvents<E extends Event>(
  store: EventStore<E>,
  target: string | URL | WritableStream<Uint8Array>,
  options?: ExportOptions,
): Promise<ExportReport> {
  const { signer: source, ...checked } = readOptions(options, checkExport);
  const signer = source === undefined ? undefined : await openSigner(source, "options.signer");
  const checksum = await loadChecksum();
  const log = rawLogOf(store);
  const { namespace = "" } = store as { readonly namespace?: string };
  const setup = { log, namespace, checksum, signer, ...checked };
  const { signal } = setup;
  if (target instanceof WritableStream) {
    if (target.locked) throw new InvalidArgumentError("target", "is a stream that has a writer already");
    return await write(setup, new ExportChain(), new Output(target, setup.compress, signal));
  }
  if (typeof target !== "string" && !(target instanceof URL)) {
    throw new InvalidArgumentError(
      "target",
      `must be a path or a WritableStream, and is ${describe(target)}`,
    );
  }
  const refuse = (cause: unknown): never => {
    throw unwritable(cause, signal);
  };
  const file = await FileTarget.open(target, setup).catch(refuse);
  try {
    // Without the signal: what is being written to the file is awaited, so that the next run finds it unlocked.
    const report = await write(setup, file.chain, new Output(file.writable, false, undefined));
    await file.finish(setup.compress, signal).catch(refuse);
    return report;
  } finally {
    file.close();
  }
}

/** Returns the options as they were read. */
function checkExport({ ...options }: ExportOptions): ExportOptions & { readonly compress: boolean } {
  checkKnown<ExportOptions>(options, EXPORT_OPTIONS);
  checkFunction("options.onProgress", options.onProgress);
  checkSignal(options.signal);
  return { ...options, compress: checkFlag("options.compress", options.compress) };
}

/** Writes what comes after the lines that a chain has. */
async function write(setup: ExportSetup, chain: ExportChain, output: Output): Promise<ExportReport> {
  try {
    await new LineWriter(setup, chain, output).writeAll();
    await output.close();
    const { commits, events, lastPosition } = chain.counts;
    return { commits, events, lastPosition, root: chain.root };
  } catch (error) {
    await output.abort(error);
    throw error;
  }
}

/** Writes the lines of an export. */
class LineWriter {
  readonly #setup: ExportSetup;
  readonly #chain: ExportChain;
  readonly #output: Pick<Output, "write">;
  #reported = 0;

  constructor(setup: ExportSetup, chain: ExportChain, output: Pick<Output, "write">) {
    this.#setup = setup;
    this.#chain = chain;
    this.#output = output;
    this.#reported = chain.events;
  }

  async writeAll(): Promise<void> {
    const { log, signal, namespace, onProgress } = this.#setup;
    signal?.throwIfAborted();
    const chain = this.#chain;
    if (chain.counts.lines === 0) await this.#write(headerBody(namespace));
    for await (const parts of commitsOf(log.readParts(chain.lastPosition ?? "start", signal))) {
      await this.#commit(parts);
    }
    for await (const { actorId, token } of log.listTokens(signal)) {
      await this.#commit([{ commitId: "", actorId, fence: token, events: [] }]);
    }
    await this.#trailer();
    onProgress?.({ phase: "writing", events: chain.events });
  }

  async #commit(parts: readonly LogPart[]): Promise<void> {
    const chain = this.#chain;
    chain.count(parts);
    await this.#write(commitBody(chain.commits, parts));
    if (chain.events - this.#reported < REPORT_EVERY) return;
    this.#reported = chain.events;
    this.#setup.onProgress?.({ phase: "writing", events: chain.events });
  }

  async #trailer(): Promise<void> {
    const { counts, root } = this.#chain;
    const { namespace, signer, signal } = this.#setup;
    const note = signer &&
      await abortable(signNote(noteText(namespace, counts, root), signer, Date.now()), signal);
    await this.#write(trailerBody(counts, root, note), false);
  }

  /** @param isLeaf Whether the line counts for the root: all do but the trailer, which has it. */
  async #write(body: string, isLeaf = true): Promise<void> {
    const { signal, checksum } = this.#setup;
    signal?.throwIfAborted();
    const line = encodeLine(body, this.#chain.previous, checksum);
    if (isLeaf) this.#chain.add(line);
    const waiting = this.#output.write(line);
    if (waiting) await waiting;
  }
}

/** Groups the parts of a log by commit. */
async function* commitsOf(
  batches: AsyncIterable<readonly LogPart[]>,
): AsyncGenerator<readonly LogPart[], void, void> {
  let commit: LogPart[] = [];
  for await (const parts of batches) {
    for (const part of parts) {
      const last = commit[commit.length - 1];
      if (last && (last.commitId !== part.commitId || part.events.length === 0 || last.events.length === 0)) {
        yield commit;
        commit = [];
      }
      // In memory each event comes alone.
      if (commit.length > 0 && last!.actorId === part.actorId) {
        commit[commit.length - 1] = { ...last!, events: [...last!.events, ...part.events] };
      } else commit.push(part);
    }
  }
  if (commit.length > 0) yield commit;
}

/** Collects lines into chunks, and compresses them if that is asked. */
class Output {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #done: Promise<void> | undefined;
  readonly #signal: AbortSignal | undefined;
  #chunk = new Uint8Array(CHUNK_BYTES);
  #size = 0;

  /** @param signal Ends a wait for a target that takes nothing. */
  constructor(target: WritableStream<Uint8Array>, compress: boolean, signal: AbortSignal | undefined) {
    this.#signal = signal;
    if (!compress) {
      this.#writer = target.getWriter();
      this.#writer.closed.catch(() => {}); // each write reports it
      return;
    }
    const { readable, writable } = new CompressionStream("gzip");
    this.#done = readable.pipeTo(target);
    this.#done.catch(() => {}); // `close` reports it
    this.#writer = (writable as WritableStream<Uint8Array>).getWriter();
    this.#writer.closed.catch(() => {});
  }

  /** Writes a line; returns a promise if there is something to wait for. */
  write(line: Uint8Array): Promise<void> | undefined {
    const length = line.length + 1;
    if (this.#size + length > this.#chunk.length) return this.#flush().then(() => this.#keep(line));
    this.#keep(line);
    return undefined;
  }

  #keep(line: Uint8Array): void {
    const length = line.length + 1;
    if (length > this.#chunk.length) this.#chunk = new Uint8Array(length);
    this.#chunk.set(line, this.#size);
    this.#size += length;
    this.#chunk[this.#size - 1] = 10;
  }

  async #flush(): Promise<void> {
    if (this.#size === 0) return;
    const bytes = this.#chunk.subarray(0, this.#size);
    this.#chunk = new Uint8Array(CHUNK_BYTES);
    this.#size = 0;
    try {
      await abortable(this.#writer.ready, this.#signal);
      await abortable(this.#writer.write(bytes), this.#signal);
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw unwritable(this.#done ? await this.#done.then(() => error, (cause) => cause) : error);
    }
  }

  /** Writes the rest, and closes the target. */
  async close(): Promise<void> {
    await this.#flush();
    try {
      await abortable(this.#writer.close(), this.#signal);
      await abortable(Promise.resolve(this.#done), this.#signal);
    } catch (error) {
      throw unwritable(error, this.#signal);
    }
  }

  /** Gives up. A target that takes nothing is not waited for after an abort. */
  async abort(reason: unknown): Promise<void> {
    const ended = Promise.allSettled([this.#writer.abort(reason), this.#done]);
    if (!this.#signal?.aborted) await ended;
  }
}

/** The error of a target that takes no more; after an abort, its reason. */
function unwritable(cause: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if (cause instanceof AetherError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ExportError("unwritable", `The export could not be written: ${reason}`, undefined, { cause });
}
