// @ts-check

/**
 * Addresses of the page's views, after the `#`, and of what it asks the server for: the page works below any path.
 *
 * @module
 */

/** @typedef {Readonly<Record<string, string | number | readonly string[] | null | undefined>>} Query */

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
 * Writes the address of a view.
 *
 * @param {string} page
 * @param {string} [id]
 * @param {Query} [query]
 * @returns {string}
 */
export function hrefOf(page, id = "", query = {}) {
  return addressOf(id === "" ? `#/${page}` : `#/${page}/${encodeURIComponent(id.toWellFormed())}`, query);
}

/**
 * Writes an address with a query. Values that are missing or empty are left out.
 *
 * @param {string} path
 * @param {Query} [query]
 * @returns {string}
 */
export function addressOf(path, query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === "") continue;
    for (const item of Array.isArray(value) ? value : [value]) search.append(name, String(item));
  }
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
