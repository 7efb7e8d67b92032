// @ts-check

/**
 * Addresses of the page's views, after the `#`: the page works below any path.
 *
 * @module
 */

/**
 * @typedef {object} Route
 * @property {string} page The view: `log`, `actors`, `actor`, `projections`, `cluster` or `health`.
 * @property {string} id What is shown, such as an actor id; may be empty.
 * @property {Readonly<Record<string, string>>} query Further values.
 */

/**
 * Reads an address; what cannot be read is the log.
 *
 * @param {string} hash
 * @returns {Route}
 */
export function parseRoute(hash) {
  const [, path = "", search = ""] = /^#?([^?]*)\??(.*)$/s.exec(hash) ?? [];
  const [, page = "", id = ""] = /^\/?([a-z]*)\/?(.*)$/s.exec(path) ?? [];
  return { page: page || "log", id: decoded(id), query: Object.fromEntries(new URLSearchParams(search)) };
}

/**
 * Writes an address. Values that are `undefined` or empty are left out.
 *
 * @param {string} page
 * @param {string} [id]
 * @param {Readonly<Record<string, string | number | undefined>>} [query]
 * @returns {string}
 */
export function hrefOf(page, id = "", query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  const path = id === "" ? `#/${page}` : `#/${page}/${encodeURIComponent(id.toWellFormed())}`;
  return search.size > 0 ? `${path}?${search}` : path;
}

/**
 * @param {string} text
 * @returns {string}
 */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
