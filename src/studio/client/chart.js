// @ts-check

/**
 * Small pictures, drawn by hand as SVG.
 *
 * @module
 */

import { colourOf, count, short, visible } from "./format.js";
import { html } from "./preact.js";

/**
 * The points of a line through values, from left to right: `0,20 5,0`.
 *
 * @param {readonly number[]} values
 * @param {number} width
 * @param {number} height
 * @returns {string}
 */
export function linePoints(values, width, height) {
  const top = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  return values.map((value, index) => `${round(index * step)},${round(height - value / top * height)}`).join(
    " ",
  );
}

/**
 * @param {number} value
 * @returns {number}
 */
function round(value) {
  return Math.round(value * 10) / 10;
}

/**
 * A line of values over time, with its latest and its largest value in words.
 *
 * @param {{ values: readonly number[], label: string, width?: number, height?: number }} properties
 * @returns {unknown}
 */
export function Sparkline({ values, label, width = 160, height = 28 }) {
  const shown = values.length === 1 ? values.concat(values) : values;
  const points = linePoints(shown, width, height - 3);
  const largest = Math.max(0, ...values);
  const text = `${label}: ${
    values.length === 0 ? "no values yet" : `${short(values.at(-1) ?? 0)} now, at most ${short(largest)}`
  }`;
  return html`
    <svg class="spark" role="img" aria-label=${text} viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="none">
      <title>${text}</title>
      ${shown.length > 0 && html`
        <polygon class="spark-area" points=${`0,${height - 1} ${points} ${width},${height - 1}`} />
        <polyline class="spark-line" points=${points} />
      `}
    </svg>
  `;
}

/**
 * Bars by type of event, the most frequent first.
 *
 * @param {{
 *   types: readonly { eventType: string, count: number }[],
 *   other: number,
 *   selected: string,
 *   onSelect: (eventType: string) => void,
 * }} properties
 * @returns {unknown}
 */
export function Histogram({ types, other, selected, onSelect }) {
  const largest = Math.max(1, other, ...types.map((type) => type.count));
  /**
   * @param {number} value
   * @param {string} colour
   * @returns {unknown}
   */
  const bar = (value, colour) =>
    html`
      <svg class="bar" aria-hidden="true" viewBox="0 0 100 6" preserveAspectRatio="none">
        <rect class="bar-back" width="100" height="6" />
        <rect class=${colour} width=${round(Math.max(0.5, value / largest * 100))} height="6" />
      </svg>
    `;
  return html`
    <ul class="histogram">
      ${types.map(({ eventType, count: number }) =>
        html`
          <li key=${eventType}>
            <button
              type="button"
              class="plain histogram-row"
              aria-pressed=${selected === eventType ? "true" : "false"}
              onClick=${() => onSelect(selected === eventType ? "" : eventType)}
            >
              <span class="name">${visible(eventType)}</span><span class="number">${count(
                number,
              )}<span class="hidden"> ${number === 1 ? "event" : "events"}, show only these</span></span>
              ${bar(number, `colour-${colourOf(eventType)}`)}
            </button>
          </li>
        `
      )}
      ${other > 0 && html`
        <li>
          <span class="histogram-row"><span class="name">other types</span><span class="number">${count(
            other,
          )}</span>
            ${bar(other, "colour-other")}</span>
        </li>
      `}
    </ul>
  `;
}
