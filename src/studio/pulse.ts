/**
 * Whether the store answers.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { EventStore } from "../store/types.ts";
import type { ConnectionState } from "./api.ts";
import { pause, type StreamOutput } from "./event_stream.ts";
import { failureOf } from "./failure.ts";

/** How long the store may take to answer, in milliseconds. */
const PATIENCE = 3_000;
/** How old an answer may be, in milliseconds. */
const MAX_AGE = 1_000;
/** How often a stream asks, in milliseconds. */
const INTERVAL = 2_000;
const CONNECTED: ConnectionState = { connected: true };

/** Asks the store now and then, once for all streams. */
export class Pulse {
  readonly #store: Pick<EventStore, "getLastPosition">;
  #asked: { readonly at: number; readonly answer: Promise<ConnectionState> } | undefined;

  constructor(store: Pick<EventStore, "getLastPosition">) {
    this.#store = store;
  }

  /** Whether the store answers now, or did a moment ago. */
  check(): Promise<ConnectionState> {
    const now = performance.now();
    if (!this.#asked || now - this.#asked.at > MAX_AGE) this.#asked = { at: now, answer: this.#ask() };
    return this.#asked.answer;
  }

  async #ask(): Promise<ConnectionState> {
    try {
      await answerWithin(PATIENCE, () => this.#store.getLastPosition());
      return CONNECTED;
    } catch (error) {
      return { connected: false, message: failureOf(error).message };
    }
  }

  /** Sends whether the store answers, at first and at each change, until the signal. */
  async watch(output: StreamOutput, signal: AbortSignal): Promise<void> {
    let before: boolean | undefined;
    while (!signal.aborted) {
      const state = await this.check();
      if (state.connected !== before && !signal.aborted) output.send("connection", state);
      before = state.connected;
      await pause(INTERVAL, signal);
    }
  }
}

/**
 * Does something that may not take long. If it takes longer, it rejects with a `TimeoutError`.
 *
 * @param signal Ends it before.
 */
export async function answerWithin<T>(
  milliseconds: number,
  work: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new DOMException("It took too long.", "TimeoutError")),
    milliseconds,
  );
  const both = signal ? AbortSignal.any([late.signal, signal]) : late.signal;
  try {
    return await abortable(work(both), both);
  } finally {
    clearTimeout(timer);
  }
}
