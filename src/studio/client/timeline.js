// @ts-check
/// <reference lib="dom" />
/** @import { DamageRow } from "../api/mod.ts" */
/** @import { Versions } from "./versions.js" */

/**
 * An actor's events, one below the other, however many there are: only those on the screen are in the page.
 *
 * @module
 */

import { foldTimes, longGap } from "./fold.js";
import { clock, colourOf, count, day, duration, plural, preview, visible } from "./format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./preact.js";
import { isEvent } from "./versions.js";
import { listHeight, rowsInView, scrollTo } from "./window.js";

/** The height of a row, as in the style sheet. */
const ROW_HEIGHT = 32;
/** How many events around the selected one are drawn on the line of time. */
const DRAWN = 120;

/**
 * @typedef {object} TimelineProperties
 * @property {Versions} versions
 * @property {number} latest
 * @property {number} selected
 * @property {number} changes Rises when `versions` has read something.
 * @property {(version: number) => void} onSelect
 * @property {(error: any) => void} onFailed
 */

/**
 * @param {TimelineProperties} properties
 * @returns {unknown}
 */
export function Timeline({ versions, latest, selected, changes, onSelect, onFailed }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [scrollTop, setScrollTop] = useState(0);
  const [viewHeight, setViewHeight] = useState(400);
  const size = { rows: latest, rowHeight: ROW_HEIGHT, viewHeight };
  const { first, end, top } = rowsInView(size, scrollTop);

  useLayoutEffect(() => {
    const list = /** @type {HTMLDivElement} */ (element.current);
    const observer = new ResizeObserver(() => setViewHeight(list.clientHeight));
    observer.observe(list);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const list = /** @type {HTMLDivElement} */ (element.current);
    list.scrollTop = scrollTo(size, list.scrollTop, selected - 1);
  }, [selected, latest, viewHeight]);
  useEffect(() => {
    const timer = setTimeout(() => versions.load(first + 1, end).catch(onFailed), 30);
    return () => clearTimeout(timer);
  }, [versions, first, end, changes]);

  const page = Math.max(1, Math.floor(viewHeight / ROW_HEIGHT) - 1);
  /** @type {Readonly<Record<string, number>>} */
  const keys = {
    ArrowUp: selected - 1,
    ArrowDown: selected + 1,
    PageUp: selected - page,
    PageDown: selected + page,
    Home: 1,
    End: latest,
  };
  /** @param {KeyboardEvent} press */
  const onKeyDown = (press) => {
    const version = keys[press.key];
    if (version === undefined || press.altKey || press.ctrlKey || press.metaKey) return;
    press.preventDefault();
    onSelect(Math.max(1, Math.min(latest, version)));
  };
  const shown = Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index + 1);
  const long = longGap(gapsOf(versions, shown));
  const isActiveShown = selected > first && selected <= end;
  return html`
    <${Strip} versions=${versions} latest=${latest} selected=${selected} onSelect=${onSelect} />
    <div
      class="timeline scroll"
      role="listbox"
      tabindex="0"
      aria-label="Events of the actor"
      aria-activedescendant=${isActiveShown ? `version-${selected}` : undefined}
      ref=${element}
      onScroll=${(/** @type {Event} */ { target }) =>
        setScrollTop(/** @type {HTMLElement} */ (target).scrollTop)}
      onKeyDown=${onKeyDown}
    >
      <div class="timeline-all" role="presentation" style=${{ height: `${listHeight(size)}px` }}>
        <div class="timeline-part" role="presentation" style=${{ transform: `translateY(${top}px)` }}>
          ${shown.map((version) =>
            html`
              <${Row} key=${version} version=${version} latest=${latest} known=${versions.at(version)}
                previous=${versions.at(
                  version - 1,
                )} long=${long} isSelected=${version === selected} onSelect=${onSelect} />
            `
          )}
        </div>
      </div>
    </div>
  `;
}

/**
 * @param {Versions} versions
 * @param {readonly number[]} shown
 * @returns {number[]}
 */
function gapsOf(versions, shown) {
  const times = shown.map((version) => versions.at(version)).filter(isEvent).map((event) =>
    Date.parse(event.timestamp)
  );
  return times.slice(1).map((time, index) => time - /** @type {number} */ (times[index]));
}

/**
 * @param {{
 *   version: number,
 *   latest: number,
 *   known: ReturnType<Versions["at"]>,
 *   previous: ReturnType<Versions["at"]>,
 *   long: number,
 *   isSelected: boolean,
 *   onSelect: (version: number) => void,
 * }} properties
 * @returns {unknown}
 */
function Row({ version, latest, known, previous, long, isSelected, onSelect }) {
  const event = isEvent(known) ? known : undefined;
  const gap = event && isEvent(previous) ? Date.parse(event.timestamp) - Date.parse(previous.timestamp) : 0;
  const isDamaged = typeof known === "object" && !event;
  return html`
    <div
      role="option"
      id=${`version-${version}`}
      class=${`event ${gap > long ? "after-gap" : ""} ${isDamaged ? "bad" : ""}`}
      aria-selected=${isSelected ? "true" : "false"}
      aria-posinset=${version}
      aria-setsize=${latest}
      onClick=${() => onSelect(version)}
    >
      <span class="number">${count(version)}</span>
      <span class=${`dot ${event ? `colour-${colourOf(event.eventType)}` : ""}`} aria-hidden="true"></span>
      ${event
        ? html`
          <span class="name">${visible(event.eventType)}</span>
          <span class="preview">${preview(event.data, 160)}</span>
          ${gap > long && html`<span class="fold">${duration(gap)} later</span>`}
          <span class="when" title=${event.timestamp}>${day(event.timestamp)} ${clock(event.timestamp).slice(
            0,
            8,
          )}</span>
        `
        : html`<span class="preview">${
          isDamaged
            ? visible(/** @type {DamageRow} */ (known).message)
            : known === "none"
            ? "No event: an empty commit, or one that has expired"
            : "Loading"
        }</span>`}
    </div>
  `;
}

/**
 * The events around the selected one on a line of time, on which long gaps are folded.
 *
 * @param {Pick<TimelineProperties, "versions" | "latest" | "selected" | "onSelect">} properties
 * @returns {unknown}
 */
function Strip({ versions, latest, selected, onSelect }) {
  const from = Math.max(1, Math.min(selected - DRAWN / 2, latest - DRAWN + 1));
  const events = Array.from({ length: Math.min(DRAWN, latest) }, (_, index) => versions.at(from + index))
    .filter(isEvent);
  const [begin, last] = [events[0], events.at(-1)];
  const { places, folds } = foldTimes(events.map((event) => Date.parse(event.timestamp)));
  const label = begin && last
    ? `Time from version ${begin.version} to ${last.version}, with ${plural(folds.length, "long gap")} folded`
    : "Time";
  return html`
    <div class="strip">
      <svg role="img" aria-label=${label} viewBox="0 0 1000 34" preserveAspectRatio="none">
        <line class="axis" x1="0" x2="1000" y1="17" y2="17" />
        ${folds.map(({ x, gap }) =>
          html`
            <g>
              <title>${`${duration(gap)} without an event`}</title>
              <rect class="fold-mark" x=${10 + x * 980 - 5} y="10" width="10" height="14" />
            </g>
          `
        )}
        ${events.map((event, index) =>
          html`
            <rect
              class=${`tick colour-${colourOf(event.eventType)} ${
                event.version === selected ? "tick-selected" : ""
              }`}
              x=${10 + /** @type {number} */ (places[index]) * 980 - 1.5}
              y=${event.version === selected ? 1 : 8} width="3" height=${event.version === selected ? 32 : 18}
              onClick=${() => onSelect(event.version)}
            >
              <title>${`Version ${event.version}: ${visible(event.eventType)}`}</title>
            </rect>
          `
        )}
      </svg>
      ${begin && last &&
        html`<p class="strip-ends"><span>${day(begin.timestamp)} ${
          clock(begin.timestamp).slice(0, 8)
        }</span>${
          folds.length > 0 &&
          html`<span>${plural(folds.length, "long gap")} folded</span>`
        }<span>${day(last.timestamp)} ${clock(last.timestamp).slice(0, 8)}</span></p>`}
    </div>
  `;
}
