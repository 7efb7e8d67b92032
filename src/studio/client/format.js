// @ts-check

/**
 * Numbers, times and text as the page shows them. Times are in UTC, as they are stored.
 *
 * @module
 */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * A number with separators: `12,345`.
 *
 * @param {number} value
 * @returns {string}
 */
export function count(value) {
  return value.toLocaleString("en");
}

/**
 * A number and its noun: `1 event`, `2 events`.
 *
 * @param {number} value
 * @param {string} noun
 * @returns {string}
 */
export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/**
 * A number in few characters: `950`, `12.3 k`, `4.6 M`.
 *
 * @param {number} value
 * @returns {string}
 */
export function short(value) {
  if (value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  if (value < 10_000) return count(Math.round(value));
  const [unit, size] = value < 999_500 ? ["k", 1e3] : value < 999_500_000 ? ["M", 1e6] : ["G", 1e9];
  return `${(value / size).toPrecision(3)} ${unit}`;
}

/**
 * A duration by its two largest units: `350 ms`, `4.2 s`, `3 min 20 s`, `5 d 2 h`.
 *
 * @param {number} milliseconds
 * @returns {string}
 */
export function duration(milliseconds) {
  const ms = Math.max(0, milliseconds);
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return twoUnits(ms, MINUTE, "min", SECOND, "s");
  if (ms < DAY) return twoUnits(ms, HOUR, "h", MINUTE, "min");
  return twoUnits(ms, DAY, "d", HOUR, "h");
}

/**
 * @param {number} ms
 * @param {number} large
 * @param {string} largeName
 * @param {number} small
 * @param {string} smallName
 * @returns {string}
 */
function twoUnits(ms, large, largeName, small, smallName) {
  const rest = Math.floor((ms % large) / small);
  return `${count(Math.floor(ms / large))} ${largeName}${rest > 0 ? ` ${rest} ${smallName}` : ""}`;
}

/**
 * The time of day of a timestamp, to the millisecond: `09:41:07.250`.
 *
 * @param {string} timestamp RFC 3339
 * @returns {string}
 */
export function clock(timestamp) {
  const time = Date.parse(timestamp);
  return Number.isNaN(time) ? visible(timestamp) : new Date(time).toISOString().slice(11, 23);
}

/**
 * The day of a timestamp: `2026-01-31`.
 *
 * @param {string} timestamp RFC 3339
 * @returns {string}
 */
export function day(timestamp) {
  const time = Date.parse(timestamp);
  return Number.isNaN(time) ? "" : new Date(time).toISOString().slice(0, 10);
}

const INVISIBLE =
  // deno-lint-ignore no-control-regex -- these are among what is to be seen
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]/gu;

/**
 * Text in which each character is seen: control characters, and those that turn the direction of text, are escaped.
 *
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replace(
    INVISIBLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * A value as JSON in one line, cut after so many characters.
 *
 * @param {unknown} value
 * @param {number} [maxLength]
 * @returns {string}
 */
export function preview(value, maxLength = 240) {
  const text = oneLine(value, maxLength + 1);
  return text.length > maxLength ? `${visible(text.slice(0, maxLength))}\u2026` : visible(text);
}

/**
 * JSON, of a value of any depth, and not much longer than `maxLength`: a page of events is written out each second.
 *
 * @param {unknown} value
 * @param {number} maxLength
 * @returns {string}
 */
function oneLine(value, maxLength) {
  if (value === null || typeof value !== "object") {
    return typeof value === "string" ? JSON.stringify(value.slice(0, maxLength)) : String(value);
  }
  const isList = Array.isArray(value);
  let text = isList ? "[" : "{";
  let isFirst = true;
  for (const [key, item] of Object.entries(value)) {
    if (text.length >= maxLength) return text;
    text += isFirst ? "" : ", ";
    if (!isList) text += `${key}: `;
    text += oneLine(item, maxLength - text.length);
    isFirst = false;
  }
  return text + (isList ? "]" : "}");
}

/**
 * One of eight colours for a name: the same name has the same colour everywhere.
 *
 * @param {string} name
 * @returns {number} 0 to 7
 */
export function colourOf(name) {
  let hash = 2_166_136_261;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 16_777_619);
  }
  return (hash >>> 8) % 8;
}
