// @ts-check
/// <reference lib="dom" />
/** @import { EventRow, LogLive, LogPage, Session } from "../api.ts" */
/** @import { Route } from "./route.js" */
/** @import { LogRow, LogWindow } from "./log_rows.js" */

/**
 * The log: its end as it grows, and its history by position.
 *
 * @module
 */

import { get, useLoaded } from "./api.js";
import { useConnection } from "./connection.js";
import { LogActivity } from "./log_activity.js";
import * as logRows from "./log_rows.js";
import { LogTable } from "./log_table.js";
import { plural } from "./format.js";
import { html, useEffect, useRef, useState } from "./preact.js";
import { hrefOf } from "./route.js";
import { useStream } from "./stream.js";
import { Empty, Failure } from "./ui.js";

/** The events of a page. */
const PAGE = 100;
/** How many pages are searched for a rare event before the user is asked. */
const SEARCHED_PAGES = 5;

/**
 * The filter of an address: an actor, or those that begin with something if it ends with a star.
 *
 * @param {Route["query"]} query
 * @returns {{ type?: string | undefined, actor?: string | undefined, prefix?: string | undefined }}
 */
export function filterOf({ type, actor }) {
  if (actor?.endsWith("*")) return { type, prefix: actor.slice(0, -1) };
  return { type, actor };
}

/**
 * Reads the part of the log that an address asks for.
 *
 * @param {ReturnType<typeof filterOf>} filter
 * @param {string | undefined} position
 * @param {AbortSignal} signal
 * @returns {Promise<{ window: LogWindow, last: string | null }>}
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
 * The view of the log.
 *
 * @param {{ route: Route, session: Session, go: (href: string) => void }} properties
 * @returns {unknown}
 */
export function Log({ route, go }) {
  const { type = "", actor = "", position } = route.query;
  const filter = filterOf(route.query);
  const inputs = [type, actor, position];
  const first = useLoaded((signal) => firstWindow(filter, position, signal), inputs, {
    isKept: true,
  });
  const [moved, setMoved] = useState(
    /** @type {{ from?: unknown, window: LogWindow }} */ ({ window: logRows.EMPTY }),
  );
  const windowFrom = (/** @type {typeof moved} */ { from, window }) =>
    from === first.value ? window : first.value?.window ?? logRows.EMPTY;
  const window = windowFrom(moved);
  const shown = useRef(first.value);
  shown.current = first.value;
  /**
   * What is answered for an earlier filter or position changes nothing.
   *
   * @param {(before: LogWindow) => LogWindow} change
   */
  const move = (change) => {
    if (shown.current !== first.value) return;
    setMoved((before) => ({ from: first.value, window: change(windowFrom(before)) }));
  };
  const [failure, setFailure] = useState(/** @type {any} */ (undefined));
  const [isPaused, setPaused] = useState(false);
  const [waiting, setWaiting] = useState(/** @type {readonly LogRow[]} */ ([]));
  const [missed, setMissed] = useState(0);
  const [rate, setRate] = useState(/** @type {LogLive["rate"] | undefined} */ (undefined));
  const { isConnected } = useConnection();
  const list = useRef(/** @type {HTMLDivElement | null} */ (null));

  useEffect(() => {
    setWaiting([]);
    setMissed(0);
    setFailure(undefined);
    list.current?.scrollTo(0, 0);
  }, [first.value]);

  const isHeld = () => isPaused || (list.current?.scrollTop ?? 0) > 40;
  /** @param {readonly LogRow[]} added The latest first. */
  const arrive = (added) => {
    if (!isHeld()) return move((before) => logRows.withLater(before, added, null));
    setMissed((before) =>
      before + added.reduce((sum, row) => sum + (row.kind === "gap" ? row.gap.events : 1), 0)
    );
    setWaiting((before) => [...added, ...before].slice(0, logRows.MAX_ROWS));
  };
  const isLive = window.later === null && first.value !== undefined && !first.isLoading;
  const start = first.value && (logRows.latestPosition(window) ?? first.value.last ?? undefined);
  const stream = useStream(isLive ? "api/log/live" : undefined, { ...filter, after: start }, {
    events: (/** @type {EventRow[]} */ events) => arrive(logRows.rowsOf(events)),
    damage: (damage) => arrive([logRows.damageRow(damage)]),
    gap: (gap) => {
      arrive([logRows.gapRow(gap)]);
      catchUp();
    },
    rate: setRate,
  }, [...inputs, first.value]);

  const isCatchingUp = useRef(false);
  /** Of events that were left out, the latest are shown. */
  const catchUp = async () => {
    if (isCatchingUp.current || isHeld()) return;
    isCatchingUp.current = true;
    try {
      /** @type {LogPage} */
      const page = await get("api/log", { ...filter, limit: PAGE });
      move((before) => logRows.withLater(before, logRows.rowsOf(page.events, page.damage), null));
    } catch (error) {
      setFailure(error);
    } finally {
      isCatchingUp.current = false;
    }
  };
  const resume = () => {
    move((before) => logRows.withLater(before, waiting, null));
    setWaiting([]);
    setMissed(0);
    setPaused(false);
    list.current?.scrollTo(0, 0);
  };
  const earlier = async () => {
    try {
      let next = window;
      for (let page = 0; page < SEARCHED_PAGES && next.earlier !== null; page++) {
        next = logRows.withEarlier(
          next,
          await get("api/log", { ...filter, before: next.earlier, limit: PAGE }),
        );
        if (next.rows.length > window.rows.length || next.rows.length === logRows.MAX_ROWS) break;
      }
      move(() => next);
    } catch (error) {
      setFailure(error);
    }
  };
  const later = async () => {
    try {
      /** @type {LogPage} */
      const page = await get("api/log", { ...filter, after: window.later, limit: PAGE });
      move((before) => logRows.withLater(before, logRows.rowsOf(page.events, page.damage), page.later));
    } catch (error) {
      setFailure(error);
    }
  };
  /** @param {Record<string, string>} change */
  const change = (change) => go(hrefOf("log", "", { type, actor, ...change }));
  const isFiltered = type !== "" || actor !== "";
  return html`
    <div class="log">
      <div class="toolbar">
        <${LogFilter} type=${type} actor=${actor} position=${position} onChange=${change} />
        <div class="tail">
          <span role="status">${missed > 0 &&
            html`<button type="button" onClick=${resume}>Show ${plural(missed, "new event")}</button>`}</span>
          ${isLive
            ? html`
              <span class=${`live ${isPaused || !isConnected ? "paused" : ""}`}>${isPaused
                ? "Paused"
                : isConnected
                ? "Live"
                : "Not connected"}</span>
              <button type="button" class="strong" onClick=${() =>
                isPaused ? resume() : setPaused(true)}>${isPaused ? "Resume" : "Pause"}</button>
            `
            : html`<a class="button" href=${hrefOf("log", "", { type, actor })}>Go to the end</a>`}
        </div>
      </div>
      <${Failure} failure=${first.failure} onRetry=${first.reload} />
      <${Failure} failure=${failure ?? stream.failure} onRetry=${stream.failure && stream.restart} />
      <div class="split">
        <div class="log-list scroll" ref=${list} role="region" aria-label="Events, the latest first"
          tabindex="0">
          ${window.later !== null &&
            html`<button type="button" class="more" onClick=${later}>Later events</button>`}
          ${window.rows.length > 0
            ? html`<${LogTable} rows=${window.rows} selected=${position} />`
            : first.value && window.earlier === null && html`
              <${Empty} title=${isFiltered ? "No event matches the filter." : "The log is empty."}>
                <p>${isFiltered
                  ? html`<a href=${hrefOf("log")}>Show all events</a>`
                  : "Events are shown here as soon as a program appends some."}</p>
                <//>
            `}
          ${window.earlier !== null &&
            html`<button type="button" class="more" onClick=${earlier}>${
              window.rows.length === 0
                ? "None among the latest events. Search further back"
                : "Earlier events"
            }</button>`}
        </div>
        <${LogActivity} filter=${filter} rate=${rate} selected=${type} onSelect=${(
          /** @type {string} */ next,
        ) => change({ type: next })} />
      </div>
    </div>
  `;
}

/**
 * What the log is filtered by.
 *
 * @param {{
 *   type: string,
 *   actor: string,
 *   position: string | undefined,
 *   onChange: (change: Record<string, string>) => void,
 * }} properties
 * @returns {unknown}
 */
function LogFilter({ type, actor, position = "", onChange }) {
  /** @param {SubmitEvent} submit */
  const onSubmit = (submit) => {
    submit.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (submit.target));
    onChange(Object.fromEntries([...form].map(([name, value]) => [name, String(value).trim()])));
  };
  return html`
    <form class="filter" role="search" aria-label="Filter of the log" onSubmit=${onSubmit}>
      <label>Type <input name="type" key=${`type ${type}`} defaultValue=${type} placeholder="all" autocomplete="off" spellcheck="false" /></label>
      <label>Actor <input name="actor" key=${`actor ${actor}`} defaultValue=${actor} placeholder="all; order-* for a prefix" autocomplete="off" spellcheck="false" /></label>
      <label>Position <input name="position" key=${`position ${position}`} defaultValue=${position} placeholder="the end" autocomplete="off" spellcheck="false" /></label>
      <button>Show</button>
      ${(type || actor || position) && html`<a class="button" href=${hrefOf("log")}>Clear</a>`}
    </form>
  `;
}
