// @ts-check
/// <reference lib="dom" />
/** @import { Session } from "../api/mod.ts" */
/** @import { LogTail } from "./log_tail.js" */
/** @import { Route } from "./route.js" */

/**
 * The log: its end as it grows, and its history by position.
 *
 * @module
 */

import { useConnection } from "./connection.js";
import { plural } from "./format.js";
import { LogActivity } from "./log_activity.js";
import { LogTable } from "./log_table.js";
import { useLogTail } from "./log_tail.js";
import { useLogWindow } from "./log_window.js";
import { html, useRef } from "./preact.js";
import { hrefOf } from "./route.js";
import { Empty, Failure } from "./ui.js";

/**
 * The view of the log.
 *
 * @param {{ route: Route, session: Session, go: (href: string) => void }} properties
 * @returns {unknown}
 */
export function Log({ route, go }) {
  const { type = "", actor = "", position } = route.query;
  const list = useRef(/** @type {HTMLDivElement | null} */ (null));
  const shown = useLogWindow(route.query);
  const tail = useLogTail(shown, list);
  const { filter, first, window } = shown;
  /** @param {Record<string, string>} change */
  const change = (change) => go(hrefOf("log", "", { type, actor, ...change }));
  const isFiltered = type !== "" || actor !== "";
  return html`
    <div class="log">
      <div class="toolbar">
        <${LogFilter} type=${type} actor=${actor} position=${position} onChange=${change} />
        <${Tail} tail=${tail} end=${hrefOf("log", "", { type, actor })} />
      </div>
      <${Failure} failure=${first.failure} onRetry=${first.reload} />
      <${Failure} failure=${shown.failure ?? tail.failure} onRetry=${tail.failure && first.reload} />
      <div class="split">
        <div class="log-list scroll" ref=${list} role="region" aria-label="Events, the latest first"
          tabindex="0">
          ${window.later !== null &&
            html`<button type="button" class="more" onClick=${shown.showLater}>Later events</button>`}
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
            html`<button type="button" class="more" onClick=${shown.showEarlier}>${
              window.rows.length === 0
                ? "None among the latest events. Search further back"
                : "Earlier events"
            }</button>`}
        </div>
        <${LogActivity} filter=${filter} rate=${tail.rate} selected=${type} onSelect=${(
          /** @type {string} */ next,
        ) => change({ type: next })} />
      </div>
    </div>
  `;
}

/**
 * Whether new events are shown, and what changes that.
 *
 * @param {{ tail: LogTail, end: string }} properties
 * @returns {unknown}
 */
function Tail({ tail: { isLive, isPaused, missed, pause, resume }, end }) {
  const { isConnected } = useConnection();
  const state = isPaused ? "Paused" : isConnected ? "Live" : "Not connected";
  return html`
    <div class="tail">
      <span role="status">${missed > 0 &&
        html`<button type="button" onClick=${resume}>Show ${plural(missed, "new event")}</button>`}</span>
      ${isLive
        ? html`
          <span class=${`live ${state === "Live" ? "" : "paused"}`}>${state}</span>
          <button type="button" class="strong"
            onClick=${isPaused ? resume : pause}>${isPaused ? "Resume" : "Pause"}</button>
        `
        : html`<a class="button" href=${end}>Go to the end</a>`}
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
