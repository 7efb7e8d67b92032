/**
 * Server-sent events in bounded memory.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { sleep } from "../sleep.ts";
import { utf8 } from "../text.ts";
import { failureOf } from "./failure.ts";
import { jsonOf } from "./json.ts";

/** How often a stream sends at least a comment, in milliseconds. */
export const HEARTBEAT = 15_000;
/** How long a browser waits before it connects again, in milliseconds. */
const RETRY = 1_000;
/** The bytes that may wait for a slow reader before the sender has to. */
const BUFFER_BYTES = 256 * 1024;

/** Where a stream's messages go. */
export class StreamOutput {
  readonly #controller: ReadableStreamDefaultController<Uint8Array>;
  #wake = (): void => {};

  /** Aborts when the reader has gone, or the studio ends. */
  readonly signal: AbortSignal;

  constructor(controller: ReadableStreamDefaultController<Uint8Array>, signal: AbortSignal) {
    this.#controller = controller;
    this.signal = signal;
  }

  /** Whether the reader is behind. What is sent all the same is kept in memory. */
  get isFull(): boolean {
    return (this.#controller.desiredSize ?? 0) <= 0;
  }

  /** Sends a message. */
  send(name: string, value: unknown, id?: string): void {
    this.sendJson(name, jsonOf(value), id);
  }

  /** Sends a message whose JSON was made already. */
  sendJson(name: string, json: string, id?: string): void {
    this.#write(`${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${json}\n\n`);
  }

  /** Sends what no page sees. */
  sendComment(): void {
    this.#write(":\n\n");
  }

  /** How long the browser is to wait before it connects again. */
  sendRetry(): void {
    this.#write(`retry: ${RETRY}\n\n`);
  }

  #write(text: string): void {
    if (!this.signal.aborted) this.#controller.enqueue(utf8(text));
  }

  /** The reader has taken something. */
  taken(): void {
    this.#wake();
  }

  /** Resolves when the reader is no longer behind. Rejects when it has gone. */
  async hasRoom(): Promise<void> {
    while (this.isFull) {
      this.signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await abortable(promise, this.signal);
    }
    this.signal.throwIfAborted();
  }
}

/** The id of the last message of a stream that is not to be opened again: the browser sends it back. */
export const LAST = "last";

/** Streams that are open at the same time. */
export class StreamCount {
  /** How many. */
  open = 0;
}

/** How a stream is made. */
export interface StreamSetup {
  /** Counts it while it is open. */
  readonly count: StreamCount;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Answers with a stream of messages. An error of the work is its last message.
 *
 * @param work Sends the messages. The stream ends when it resolves.
 */
export function eventStream(
  { count, signal }: StreamSetup,
  work: (output: StreamOutput) => Promise<void>,
): Response {
  const gone = new AbortController();
  let output: StreamOutput | undefined;
  let isOpen = true;
  const release = (): void => {
    if (isOpen) count.open--;
    isOpen = false;
  };
  count.open++;
  const body = new ReadableStream<Uint8Array>({
    start(controller): void {
      const both = AbortSignal.any([signal, gone.signal]);
      output = new StreamOutput(controller, both);
      void run(output, gone, work).finally(() => {
        release();
        try {
          controller.close();
        } catch {
          // The reader has gone.
        }
      });
    },
    pull: () => output?.taken(),
    cancel: (reason) => {
      release();
      gone.abort(reason);
    },
  }, { highWaterMark: BUFFER_BYTES, size: (bytes) => bytes?.byteLength ?? 0 });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no", // a proxy passes each message on at once
    },
  });
}

async function run(
  output: StreamOutput,
  gone: AbortController,
  work: (output: StreamOutput) => Promise<void>,
): Promise<void> {
  const beating = beat(output);
  try {
    output.sendRetry();
    await work(output);
  } catch (error) {
    if (!output.signal.aborted) output.send("failed", failureOf(error).body, LAST);
  } finally {
    gone.abort();
    await beating;
  }
}

async function beat(output: StreamOutput): Promise<void> {
  try {
    for (;;) {
      await sleep(HEARTBEAT, output.signal);
      if (!output.isFull) output.sendComment();
    }
  } catch {
    // The stream has ended.
  }
}

/** Waits, or returns at once when the signal aborts. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, signal).catch(() => {});
}
