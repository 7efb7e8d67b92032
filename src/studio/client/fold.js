// @ts-check

/**
 * Places of events on a line of time on which long gaps are folded, so that a quiet month does not hide a busy second.
 *
 * @module
 */

/** A gap is folded if it is this many times as long as the median gap. */
const LONG = 8;
/** A gap is never folded if it is shorter than this, in milliseconds. */
const SHORTEST = 1_000;

/**
 * @typedef {object} Fold
 * @property {number} index Before which event the gap is.
 * @property {number} x Its middle, from 0 to 1.
 * @property {number} gap How long it is, in milliseconds.
 */

/**
 * The gap from which on gaps are folded, in milliseconds.
 *
 * @param {readonly number[]} gaps
 * @returns {number}
 */
export function longGap(gaps) {
  if (gaps.length === 0) return Infinity;
  const sorted = [...gaps].sort((a, b) => a - b);
  return Math.max(SHORTEST, LONG * /** @type {number} */ (sorted[Math.floor(sorted.length / 2)]));
}

/**
 * Lays out events by time, from 0 to 1. Each folded gap has the same width as a twentieth of the line, at most.
 *
 * @param {readonly number[]} times In milliseconds, in order of the events; a clock that was set back counts as no gap.
 * @returns {{ places: number[], folds: Fold[] }}
 */
export function foldTimes(times) {
  const gaps = times.slice(1).map((time, index) => Math.max(0, time - /** @type {number} */ (times[index])));
  const long = longGap(gaps);
  const shown = gaps.filter((gap) => gap <= long).reduce((sum, gap) => sum + gap, 0);
  const folded = gaps.filter((gap) => gap > long).length;
  const foldWidth = folded === 0 ? 0 : shown === 0 ? 1 / folded : Math.min(0.05, 0.5 / folded);
  // Events of one moment are drawn side by side.
  if (shown === 0 && folded === 0) {
    return { places: times.map((_, index) => index / Math.max(1, times.length - 1)), folds: [] };
  }
  const scale = shown === 0 ? 0 : (1 - folded * foldWidth) / shown;
  const places = times.length === 0 ? [] : [0];
  /** @type {Fold[]} */
  const folds = [];
  let x = 0;
  gaps.forEach((gap, index) => {
    const width = gap > long ? foldWidth : gap * scale;
    if (gap > long) folds.push({ index: index + 1, x: x + width / 2, gap });
    x += width;
    places.push(Math.min(1, x));
  });
  return { places, folds };
}
