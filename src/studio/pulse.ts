/**
 * Whether the store answers.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import type { ConnectionState } from "./api/mod.ts";
import { pause, type StreamOutput } from "./event_stream.ts";
import { ApiFailure, failureOf } from "./failure.ts";

/** How long the store may take to answer, in milliseconds. */
const PATIENCE = 2_500;
/** How old an answer may be, in milliseconds. */
const MAX_AGE = 500;
/** How often a stream asks, in milliseconds. */
const INTERVAL = 1_000;
const CONNECTED: ConnectionState = { connected: true };

/** Asks the store now and then, once for all streams. */
export class Pulse {
  readonly #store: Pick<EventStore, "getLastPosition">;
  #asking: Promise<ConnectionState> | undefined;
  #answered: { readonly at: number; readonly state: ConnectionState } | undefined;

  constructor(store: Pick<EventStore, "getLastPosition">) {
    this.#store = store;
  }

  /** Whether the store answers now, or did a moment ago. */
  async check(): Promise<ConnectionState> {
    const { at, state } = this.#answered ?? { at: -Infinity, state: CONNECTED };
    return performance.now() - at <= MAX_AGE ? state : await (this.#asking ??= this.#ask());
  }

  async #ask(): Promise<ConnectionState> {
    let state = CONNECTED;
    try {
      await answerWithin(PATIENCE, () => this.#store.getLastPosition());
    } catch (error) {
      state = { connected: false, message: failureOf(error).message };
    }
    this.#answered = { at: performance.now(), state };
    this.#asking = undefined;
    return state;
  }

  /**
   * Does something with the store. If the store does not answer meanwhile, it is not waited for.
   *
   * @throws {ApiFailure} If the store does not answer.
   */
  async unless<T>(work: Promise<T>): Promise<T> {
    const over = new AbortController();
    const away = async (): Promise<never> => {
      for (;;) {
        if (this.#answered?.state.connected ?? true) await sleep(INTERVAL, over.signal);
        const { connected, message = "" } = await this.check();
        if (!connected) throw new ApiFailure("unavailable", message);
      }
    };
    try {
      return await Promise.race([work, away()]);
    } finally {
      over.abort();
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
