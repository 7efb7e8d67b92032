// @ts-check
/// <reference lib="dom" />
/** @import { ApiError, ConnectionState } from "../api/mod.ts" */
/** @import { Query } from "./route.js" */

/**
 * Server-sent events that go on by themselves: after a lost connection, and in a tab that has slept.
 *
 * @module
 */

import { ApiFailure, get } from "./api.js";
import * as connection from "./connection.js";
import { useEffect, useRef, useState } from "./preact.js";
import { addressOf } from "./route.js";

/** After how long in a hidden tab the stream is closed, in milliseconds. */
const HIDDEN = 30_000;
/** Between two tries to connect, in milliseconds. */
const PATIENCE = 1_000;
const LOST = "The connection to the studio's server was lost. It is tried again each second.";

/**
 * @typedef {object} StreamOptions
 * @property {string} route
 * @property {Query} [query]
 * @property {Readonly<Record<string, (value: any) => void>>} handlers By name of the message.
 * @property {(failure: ApiFailure) => void} onFailed The stream has ended.
 * @property {boolean} [isOnce] It is not begun again: what it does has an end.
 */

/** A stream that is kept open until it is closed. */
export class Stream {
  #options;
  /** @type {EventSource | undefined} */
  #source;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #lastId = "";
  #isClosed = false;
  #onVisibility = () => this.#visibilityChanged();

  /**
   * @param {StreamOptions} options
   */
  constructor(options) {
    this.#options = options;
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#connect();
  }

  /** Closes it. */
  close() {
    this.#isClosed = true;
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#disconnect();
  }

  #connect() {
    if (this.#source || this.#isClosed) return;
    const { route, query, handlers } = this.#options;
    const source = new EventSource(
      addressOf(route, this.#lastId ? { ...query, after: this.#lastId } : query),
    );
    this.#source = source;
    /**
     * @param {string} name
     * @param {(value: any) => void} handler
     */
    const listen = (name, handler) =>
      source.addEventListener(name, (/** @type {MessageEvent<string>} */ message) => {
        if (message.lastEventId) this.#lastId = message.lastEventId;
        handler(JSON.parse(message.data));
      });
    for (const [name, handler] of Object.entries(handlers)) listen(name, handler);
    listen("connection", (/** @type {ConnectionState} */ { connected, message }) => {
      if (connected) connection.found();
      else connection.lost(message ?? "The store does not answer.");
    });
    listen("failed", (/** @type {ApiError} */ { code, message }) => this.#end(new ApiFailure(code, message)));
    source.onerror = () => this.#broken();
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#source?.close();
    this.#source = undefined;
  }

  /** @param {ApiFailure} failure */
  #end(failure) {
    this.close();
    this.#options.onFailed(failure);
  }

  /** A server that does not answer is tried again; one that refuses says why. */
  async #broken() {
    if (this.#isClosed) return;
    this.#disconnect();
    if (this.#options.isOnce) return this.#end(new ApiFailure("offline", LOST));
    try {
      await get("api/session");
    } catch (error) {
      const failure = /** @type {ApiFailure} */ (error);
      if (failure.code === "unauthorized" || failure.code === "forbidden") return this.#end(failure);
      connection.lost(LOST);
    }
    if (!this.#isClosed) this.#timer = setTimeout(() => this.#connect(), PATIENCE);
  }

  #visibilityChanged() {
    if (this.#options.isOnce) return;
    clearTimeout(this.#timer);
    if (document.visibilityState === "hidden") this.#timer = setTimeout(() => this.#disconnect(), HIDDEN);
    else if (!this.#source) this.#connect();
  }
}

/**
 * Keeps a stream open while a component is shown. Returns why it ended, and what begins it again.
 *
 * @param {string | undefined} route `undefined` for none.
 * @param {Query} query
 * @param {StreamOptions["handlers"]} handlers
 * @param {readonly unknown[]} inputs The stream is begun again when they change.
 * @returns {{ failure: ApiFailure | undefined, restart: () => void }}
 */
export function useStream(route, query, handlers, inputs) {
  const [failure, setFailure] = useState(/** @type {ApiFailure | undefined} */ (undefined));
  const [starts, setStarts] = useState(0);
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    setFailure(undefined);
    if (route === undefined) return;
    const bound = Object.keys(handlers).map((
      name,
    ) => [name, (/** @type {any} */ value) => latest.current[name]?.(value)]);
    const stream = new Stream({ route, query, handlers: Object.fromEntries(bound), onFailed: setFailure });
    return () => stream.close();
  }, [route, ...inputs, starts]);
  return { failure, restart: () => setStarts((count) => count + 1) };
}
