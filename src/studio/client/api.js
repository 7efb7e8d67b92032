// @ts-check
/// <reference lib="dom" />
/** @import { ApiError } from "../api/mod.ts" */
/** @import { Query } from "./route.js" */

/**
 * Requests to the studio's server.
 *
 * @module
 */

import * as connection from "./connection.js";
import { useEffect, useRef, useState } from "./preact.js";
import { addressOf } from "./route.js";

/** What the server did not answer, in sentences for people. */
export class ApiFailure extends Error {
  /**
   * @param {ApiError["code"] | "offline"} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    /** @readonly */
    this.code = code;
  }
}

const OFFLINE = "The studio's server does not answer. If it has ended, start it again.";
/** The most pages of a list that are shown at once. */
const MAX_PAGES = 10;
/** Between two tries of a server that does not answer, in milliseconds. */
const PATIENCE = 1_000;

/**
 * Reads from a route.
 *
 * @template T
 * @param {string} route
 * @param {Query} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function get(route, query, signal) {
  return await answerOf(await send(addressOf(route, query), signal ? { signal } : {}));
}

/**
 * Changes something.
 *
 * @template T
 * @param {string} route
 * @param {unknown} body
 * @returns {Promise<T>}
 */
export async function post(route, body) {
  const headers = { "content-type": "application/json" };
  return await answerOf(await send(route, { method: "POST", headers, body: JSON.stringify(body) }));
}

/**
 * @param {string} address
 * @param {RequestInit} init
 * @returns {Promise<Response>}
 */
async function send(address, init) {
  try {
    return await fetch(address, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    connection.lost(OFFLINE);
    throw new ApiFailure("offline", OFFLINE);
  }
}

/**
 * @template T
 * @param {Response} response
 * @returns {Promise<T>}
 */
async function answerOf(response) {
  if (response.ok) {
    connection.found();
    return await response.json();
  }
  /** @type {Partial<ApiError>} */
  const { code, message } = await response.json().catch(() => ({}));
  const failure = new ApiFailure(code ?? "internal", message ?? `The server answered ${response.status}.`);
  if (failure.code === "unavailable") connection.lost(failure.message);
  throw failure;
}

/**
 * @template T
 * @typedef {object} Loaded
 * @property {T | undefined} value
 * @property {ApiFailure | undefined} failure
 * @property {boolean} isLoading
 * @property {() => void} reload
 */

/**
 * Loads something, and again when `inputs` change or the connection has come back. What was loaded before is shown until then.
 *
 * @template T
 * @param {(signal: AbortSignal) => Promise<T> | undefined} load Returns `undefined` if there is nothing to load.
 * @param {readonly unknown[]} inputs
 * @param {{ isKept?: boolean }} [options] `isKept` if it need not be loaded again when the connection has come back.
 * @returns {Loaded<T>}
 */
export function useLoaded(load, inputs, { isKept = false } = {}) {
  const [state, setState] = useState(/** @type {Partial<Loaded<T>>} */ ({ isLoading: true }));
  const [tries, setTries] = useState(0);
  const { returns } = connection.useConnection();
  useEffect(() => {
    const stop = new AbortController();
    const loading = load(stop.signal);
    if (!loading) return setState({ isLoading: false });
    setState((before) => ({ ...before, isLoading: true }));
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let again;
    loading.then(
      (value) => stop.signal.aborted || setState({ value, isLoading: false }),
      (failure) => {
        if (stop.signal.aborted) return;
        setState((before) => ({ ...before, failure, isLoading: false }));
        if (failure.code === "offline" || failure.code === "unavailable") {
          again = setTimeout(() => setTries((count) => count + 1), PATIENCE);
        }
      },
    );
    return () => {
      stop.abort();
      clearTimeout(again);
    };
  }, [...inputs, tries, isKept ? 0 : returns]);
  const { value, failure, isLoading = false } = state;
  return { value, failure, isLoading, reload: () => setTries((count) => count + 1) };
}

/**
 * @template T
 * @typedef {object} Paged
 * @property {readonly T[]} pages Empty until the first is loaded; the latest of them if they are many.
 * @property {boolean} isCut Whether the first of them are no longer there.
 * @property {string | null} next `null` if there are no more.
 * @property {ApiFailure | undefined} failure
 * @property {() => void} reload Loads the first page again, and forgets the others.
 * @property {() => Promise<void>} showMore
 */

/**
 * Loads the first page of a list, and more when they are asked for. What is answered for an earlier list is left out. Pages
 * that are too many leave at the beginning: a list of any length is shown in bounded memory.
 *
 * @template {{ readonly next: string | null }} T
 * @param {(after: string | undefined, signal?: AbortSignal) => Promise<T>} load
 * @param {readonly unknown[]} inputs The list is loaded again when they change.
 * @returns {Paged<T>}
 */
export function usePages(load, inputs) {
  const { value: first, failure, reload } = useLoaded((signal) => load(undefined, signal), inputs);
  const shown = useRef(first);
  shown.current = first;
  const [more, setMore] = useState(/** @type {readonly T[]} */ ([]));
  const [moreFailure, setMoreFailure] = useState(/** @type {ApiFailure | undefined} */ (undefined));
  useEffect(() => {
    setMore([]);
    setMoreFailure(undefined);
  }, [first]);
  const isCut = more.length === MAX_PAGES;
  const pages = isCut ? more : first ? [first, ...more] : [];
  const next = pages.at(-1)?.next ?? null;
  const showMore = async () => {
    try {
      const page = await load(next ?? undefined);
      if (shown.current !== first) return;
      setMore([...more, page].slice(-MAX_PAGES));
      setMoreFailure(undefined);
    } catch (error) {
      if (shown.current === first) setMoreFailure(/** @type {ApiFailure} */ (error));
    }
  };
  return { pages, isCut, next, failure: failure ?? moreFailure, reload, showMore };
}
