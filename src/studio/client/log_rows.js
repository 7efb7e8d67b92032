// @ts-check
/** @import { DamageRow, EventRow, LogGap, LogPage } from "../api/mod.ts" */

/**
 * The part of the log that is on the page: a window that moves, of a bounded number of rows, the latest first.
 *
 * @module
 */

/** The most rows on the page. */
export const MAX_ROWS = 500;

/**
 * @typedef {{ kind: "event", key: string, event: EventRow }
 *   | { kind: "damage", key: string, damage: DamageRow }
 *   | { kind: "gap", key: string, gap: LogGap }} LogRow
 */

/**
 * @typedef {object} LogWindow
 * @property {readonly LogRow[]} rows The latest first.
 * @property {string | null} earlier What to pass as `before` for the rows below; `null` at the beginning of the log.
 * @property {string | null} later What to pass as `after` for the rows above; `null` at the end of the log.
 */

/** @type {LogWindow} */
export const EMPTY = { rows: [], earlier: null, later: null };

/**
 * @param {readonly EventRow[]} events In order of the log.
 * @param {readonly DamageRow[]} [damage]
 * @returns {LogRow[]} The latest first.
 */
export function rowsOf(events, damage = []) {
  /** @type {LogRow[]} */
  const rows = events.map((event) => ({ kind: "event", key: event.position, event }));
  for (const place of damage) rows.push(damageRow(place));
  return rows.sort(latestFirst);
}

/**
 * @param {DamageRow} damage
 * @returns {LogRow}
 */
export function damageRow(damage) {
  return {
    kind: "damage",
    key: damage.position ?? `${damage.actorId} ${damage.version} ${damage.message}`,
    damage,
  };
}

/**
 * A row in the place of events that were left out: it comes right after the last one before them.
 *
 * @param {LogGap} gap
 * @returns {LogRow}
 */
export function gapRow(gap) {
  return { kind: "gap", key: `${gap.after} gap`, gap };
}

/**
 * @param {LogRow} a
 * @param {LogRow} b
 * @returns {number}
 */
function latestFirst(a, b) {
  return a.key < b.key ? 1 : a.key > b.key ? -1 : 0;
}

/**
 * A window of one page.
 *
 * @param {LogPage} page
 * @returns {LogWindow}
 */
export function windowOf(page) {
  return { rows: rowsOf(page.events, page.damage), earlier: page.earlier, later: page.later };
}

/**
 * Adds a page below. Rows that are too many leave at the top, and can be read again from there.
 *
 * @param {LogWindow} window
 * @param {LogPage} page
 * @returns {LogWindow}
 */
export function withEarlier(window, page) {
  const rows = [...window.rows, ...rowsOf(page.events, page.damage)];
  const kept = rows.slice(-MAX_ROWS);
  const later = kept.length < rows.length ? /** @type {LogRow} */ (kept[0]).key : window.later;
  return { rows: kept, earlier: page.earlier, later };
}

/**
 * Adds rows above, the latest first. Rows that are too many leave at the bottom.
 *
 * @param {LogWindow} window
 * @param {readonly LogRow[]} added
 * @param {string | null} later
 * @returns {LogWindow}
 */
export function withLater(window, added, later) {
  const known = new Set(window.rows.map(({ key }) => key));
  const rows = [...added.filter(({ key }) => !known.has(key)), ...window.rows].sort(latestFirst);
  const kept = rows.slice(0, MAX_ROWS);
  const earlier = kept.length < rows.length ? /** @type {LogRow} */ (kept.at(-1)).key : window.earlier;
  return { rows: kept, earlier, later };
}

/**
 * The position of the latest event of a window.
 *
 * @param {LogWindow} window
 * @returns {string | undefined}
 */
export function latestPosition({ rows }) {
  return rows.find(({ kind }) => kind === "event")?.key;
}
