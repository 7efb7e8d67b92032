// @ts-check

/**
 * Which rows of a long list are on the screen: only these are in the page.
 *
 * @module
 */

/** The tallest list that every browser can scroll, in pixels. */
const MAX_HEIGHT = 8_000_000;

/**
 * @typedef {object} ListSize
 * @property {number} rows How many rows there are.
 * @property {number} rowHeight The height of each, in pixels.
 * @property {number} viewHeight The height of the part that is on the screen, in pixels.
 */

/**
 * The height of the whole list, in pixels. A list too tall for a browser is squeezed.
 *
 * @param {ListSize} size
 * @returns {number}
 */
export function listHeight({ rows, rowHeight }) {
  return Math.min(MAX_HEIGHT, rows * rowHeight);
}

/**
 * The rows on the screen, from `first` until before `end`, and where the first of them is, in pixels.
 *
 * @param {ListSize} size
 * @param {number} scrollTop
 * @returns {{ first: number, end: number, top: number }}
 */
export function rowsInView(size, scrollTop) {
  const { rows, rowHeight, viewHeight } = size;
  const perView = Math.ceil(viewHeight / rowHeight) + 1;
  const first = Math.max(0, Math.min(rows - perView, Math.floor(firstRow(size, scrollTop))));
  const end = Math.min(rows, first + perView);
  const isSqueezed = rows * rowHeight > MAX_HEIGHT;
  return {
    first,
    end,
    top: isSqueezed ? Math.min(scrollTop, MAX_HEIGHT - (end - first) * rowHeight) : first * rowHeight,
  };
}

/**
 * Where the list must be scrolled to, so that a row is on the screen: as it is if the row is there.
 *
 * @param {ListSize} size
 * @param {number} scrollTop
 * @param {number} row
 * @returns {number}
 */
export function scrollTo(size, scrollTop, row) {
  const { rowHeight, viewHeight } = size;
  const perView = viewHeight / rowHeight;
  const first = firstRow(size, scrollTop);
  if (row < first) return topOf(size, row);
  if (row + 1 > first + perView) return topOf(size, row + 1 - perView);
  return scrollTop;
}

/**
 * @param {ListSize} size
 * @param {number} scrollTop
 * @returns {number}
 */
function firstRow({ rows, rowHeight, viewHeight }, scrollTop) {
  if (rows * rowHeight <= MAX_HEIGHT) return scrollTop / rowHeight;
  return scrollTop / (MAX_HEIGHT - viewHeight) * (rows - viewHeight / rowHeight);
}

/**
 * @param {ListSize} size
 * @param {number} row
 * @returns {number}
 */
function topOf({ rows, rowHeight, viewHeight }, row) {
  if (rows * rowHeight <= MAX_HEIGHT) return Math.max(0, row * rowHeight);
  return Math.max(0, row / (rows - viewHeight / rowHeight) * (MAX_HEIGHT - viewHeight));
}
