/**
 * The bytes of an export, from a file or a stream, which may be compressed.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";
import { concat } from "./bytes.ts";

/**
 * Where an export is read from: a path, or a stream.
 *
 * @category Evidence
 */
export type ExportSource = string | URL | ReadableStream<Uint8Array>;

/** How gzip begins. */
const GZIP = [0x1f, 0x8b];

/** A stream's chunks; the stream is cancelled if they are not all taken. */
export async function* chunksOf(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = stream.getReader();
  let isDone = false;
  try {
    for (;;) {
      const { done, value } = await abortable(reader.read(), signal);
      isDone = done;
      if (done) return;
      yield value;
    }
  } finally {
    const ended = isDone ? undefined : reader.cancel().catch(() => {});
    // What was waited for until an abort may never come.
    if (!signal?.aborted) await ended;
  }
}

/** The text of a stream that may be compressed with gzip. */
export async function unpacked(
  stream: ReadableStream<Uint8Array>,
  onPacked: () => void,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array>> {
  const reader = stream.getReader();
  let begun: Uint8Array = new Uint8Array();
  let isDone = false;
  try {
    while (begun.length < GZIP.length && !isDone) {
      const { done, value } = await abortable(reader.read(), signal);
      isDone = done;
      if (value !== undefined) begun = concat(begun, checkBytes(value));
    }
  } catch (error) {
    reader.cancel(error).catch(() => {});
    throw error;
  }
  const whole = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller): void {
      if (begun.length > 0) controller.enqueue(begun as Uint8Array<ArrayBuffer>);
      if (isDone) controller.close();
    },
    async pull(controller): Promise<void> {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(checkBytes(value) as Uint8Array<ArrayBuffer>);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  if (!GZIP.every((byte, index) => begun[index] === byte)) return whole;
  onPacked();
  return whole.pipeThrough(new DecompressionStream("gzip"));
}

/**
 * Opens a source.
 *
 * @throws {InvalidArgumentError} If it is no stream, and no file that can be read.
 */
export async function openSource(source: ExportSource): Promise<ReadableStream<Uint8Array>> {
  if (source instanceof ReadableStream) {
    if (source.locked) throw new InvalidArgumentError("source", "is a stream that has a reader already");
    return source;
  }
  if (typeof source !== "string" && !((source as unknown) instanceof URL)) {
    throw new InvalidArgumentError(
      "source",
      `must be a path or a ReadableStream, and is ${describe(source)}`,
    );
  }
  try {
    const file = await Deno.open(source);
    return file.readable;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidArgumentError("source", `cannot be read: ${reason}`, { cause });
  }
}

/** Refuses a stream of something else, such as text. */
function checkBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new InvalidArgumentError("source", `must be a stream of bytes, and has ${describe(chunk)} in it`);
}
