// @ts-check
/** @import { EventRow, LogPage } from "../api/mod.ts" */
/** @import { ApiFailure, Loaded } from "./api.js" */
/** @import { LogWindow } from "./log_rows.js" */
/** @import { Route } from "./route.js" */

/**
 * The part of the log that an address asks for, and what moves it.
 *
 * @module
 */

import { get, useLoaded } from "./api.js";
import * as logRows from "./log_rows.js";
import { useEffect, useRef, useState } from "./preact.js";

/** The events of a page. */
const PAGE = 100;
/** How many pages are searched for a rare event before the user is asked. */
const SEARCHED_PAGES = 5;

/** @typedef {{ type?: string | undefined, actor?: string | undefined, prefix?: string | undefined }} LogFilter */
/** @typedef {{ window: LogWindow, last: string | null }} FirstWindow */

/**
 * The filter of an address: an actor, or those that begin with something if it ends with a star.
 *
 * @param {Route["query"]} query
 * @returns {LogFilter}
 */
function filterOf({ type, actor }) {
  if (actor?.endsWith("*")) return { type, prefix: actor.slice(0, -1) };
  return { type, actor };
}

/**
 * Reads the part of the log that an address asks for.
 *
 * @param {LogFilter} filter
 * @param {string | undefined} position
 * @param {AbortSignal} signal
 * @returns {Promise<FirstWindow>}
 */
async function firstWindow(filter, position, signal) {
  if (position === undefined) {
    /** @type {LogPage} */
    const page = await get("api/log", { ...filter, limit: PAGE }, signal);
    return { window: logRows.windowOf(page), last: page.last };
  }
  /** @type {[EventRow, LogPage]} */
  const [event, page] = await Promise.all([
    get("api/event", { position }, signal),
    get("api/log", { ...filter, after: position, limit: PAGE / 2 }, signal),
  ]);
  const { rows, later } = logRows.windowOf(page);
  return {
    window: { rows: [...rows, ...logRows.rowsOf([event])], earlier: event.position, later },
    last: page.last,
  };
}

/**
 * @typedef {object} MovingWindow
 * @property {LogFilter} filter
 * @property {Loaded<FirstWindow>} first What the address asks for.
 * @property {LogWindow} window What is shown of the log.
 * @property {(change: (before: LogWindow) => LogWindow) => void} move Changes what is shown.
 * @property {ApiFailure | undefined} failure Why more could not be shown.
 * @property {() => Promise<void>} showEarlier
 * @property {() => Promise<void>} showLater
 * @property {() => Promise<void>} showLatest
 */

/**
 * The part of the log that is shown. What is answered for an earlier filter or position changes nothing.
 *
 * @param {Route["query"]} query
 * @returns {MovingWindow}
 */
export function useLogWindow(query) {
  const { type = "", actor = "", position } = query;
  const filter = filterOf(query);
  const first = useLoaded(
    (signal) => firstWindow(filter, position, signal),
    [type, actor, position],
    { isKept: true },
  );
  const [moved, setMoved] = useState(
    /** @type {{ from?: unknown, window: LogWindow }} */ ({ window: logRows.EMPTY }),
  );
  const [failure, setFailure] = useState(/** @type {ApiFailure | undefined} */ (undefined));
  useEffect(() => setFailure(undefined), [first.value]);
  const windowFrom = (/** @type {typeof moved} */ { from, window }) =>
    from === first.value ? window : first.value?.window ?? logRows.EMPTY;
  const window = windowFrom(moved);
  const shown = useRef(first.value);
  shown.current = first.value;
  /** @type {MovingWindow["move"]} */
  const move = (change) => {
    if (shown.current !== first.value) return;
    setMoved((before) => ({ from: first.value, window: change(windowFrom(before)) }));
  };
  /** @param {() => Promise<void>} work */
  const trying = (work) => async () => {
    try {
      await work();
    } catch (error) {
      if (shown.current === first.value) setFailure(/** @type {ApiFailure} */ (error));
    }
  };
  /** @param {Readonly<Record<string, string | null>>} place */
  const read = (
    place,
  ) => /** @type {Promise<LogPage>} */ (get("api/log", { ...filter, ...place, limit: PAGE }));
  return {
    ...{ filter, first, window, move, failure },
    showEarlier: trying(async () => {
      let next = window;
      for (let page = 0; page < SEARCHED_PAGES && next.earlier !== null; page++) {
        next = logRows.withEarlier(next, await read({ before: next.earlier }));
        if (next.rows.length > window.rows.length || next.rows.length === logRows.MAX_ROWS) break;
      }
      move(() => next);
    }),
    showLater: trying(async () => {
      const page = await read({ after: window.later });
      move((before) => logRows.withLater(before, logRows.rowsOf(page.events, page.damage), page.later));
    }),
    showLatest: trying(async () => {
      const page = await read({});
      move((before) => logRows.withLater(before, logRows.rowsOf(page.events, page.damage), null));
    }),
  };
}
