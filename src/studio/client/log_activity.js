// @ts-check
/// <reference lib="dom" />
/** @import { Activity, LogLive } from "../api/mod.ts" */
/** @import { Query } from "./route.js" */

/**
 * How busy the log is, and with what.
 *
 * @module
 */

import { get, useLoaded } from "./api.js";
import { Histogram, Sparkline } from "./chart.js";
import { duration, plural, short } from "./format.js";
import { html, useEffect, useRef, useState } from "./preact.js";
import { Panel } from "./ui.js";

/** How many of the latest events are counted by type. */
const COUNTED = 1_000;
/** How many seconds the live line shows. */
const SECONDS = 60;
/** How many types are shown. */
const MAX_TYPES = 12;

/**
 * Adds to a count by type, the most frequent first.
 *
 * @param {readonly { eventType: string, count: number }[]} types
 * @param {readonly { eventType: string, count: number }[]} added
 * @returns {{ eventType: string, count: number }[]}
 */
export function addTypes(types, added) {
  const counts = new Map(types.map(({ eventType, count }) => [eventType, count]));
  for (const { eventType, count } of added) counts.set(eventType, (counts.get(eventType) ?? 0) + count);
  return [...counts].map(([eventType, count]) => ({ eventType, count })).sort((a, b) => b.count - a.count);
}

/**
 * @param {{
 *   filter: Query,
 *   rate: LogLive["rate"] | undefined,
 *   selected: string,
 *   onSelect: (eventType: string) => void,
 * }} properties
 * @returns {unknown}
 */
export function LogActivity({ filter, rate, selected, onSelect }) {
  const inputs = [filter["type"], filter["actor"], filter["prefix"]];
  const { value: activity } = useLoaded(
    (
      signal,
    ) => /** @type {Promise<Activity>} */ (get("api/log/activity", { ...filter, limit: COUNTED }, signal)),
    inputs,
  );
  const [types, setTypes] = useState(/** @type {Activity["types"]} */ ([]));
  const [seconds, setSeconds] = useState(() => new Array(SECONDS).fill(0));
  const pending = useRef(0);
  useEffect(() => activity && setTypes(activity.types), [activity]);
  useEffect(() => {
    if (!rate) return;
    pending.current += rate.events;
    setTypes((before) => addTypes(before, rate.types));
  }, [rate]);
  useEffect(() => {
    const timer = setInterval(() => {
      const events = pending.current;
      pending.current = 0;
      setSeconds((before) => [...before.slice(1 - SECONDS), events]);
    }, 1_000);
    return () => clearInterval(timer);
  }, []);
  const rest = types.slice(MAX_TYPES).reduce(
    (/** @type {number} */ sum, /** @type {{ count: number }} */ { count }) => sum + count,
    0,
  );
  const span = activity?.since && activity.until
    ? Date.parse(activity.until) - Date.parse(activity.since)
    : 0;
  return html`
    <aside class="side" aria-label="Activity">
      <${Panel} title="Events a second" side=${html`<span class="number">${
        short(seconds.at(-1) ?? 0)
      }</span>`}>
        <${Sparkline} values=${seconds} label="Events a second" />
        <p class="hint">The last minute</p>
      <//>
      ${activity && activity.events > 0 && html`
        <${Panel} title="Lately">
          <${Sparkline} values=${activity.rate} label="Events over time" />
          <p class="hint">${plural(activity.events, "event")} in ${duration(span)}</p>
          <//>
          <${Panel} title="Types">
            <${Histogram} types=${types.slice(0, MAX_TYPES)} other=${rest +
              activity.otherTypes} selected=${selected} onSelect=${onSelect} />
            <//>
      `}
    </aside>
  `;
}
