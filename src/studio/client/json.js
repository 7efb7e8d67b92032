// @ts-check

/**
 * JSON as lines of text, of a value of any depth, and never more lines than are asked for.
 *
 * @module
 */

import { count, visible } from "./format.js";

/** The most characters of one string that are shown. */
const MAX_TEXT = 2_000;

/**
 * @typedef {object} JsonLine
 * @property {number} depth How far it is indented.
 * @property {string} key The name of the field, with its colon; empty in a list.
 * @property {string} text The value, or a bracket.
 * @property {"string" | "number" | "word" | "bracket"} kind What the text is.
 * @property {string} path The way to it, as JSON.
 */

/**
 * The lines of a value.
 *
 * @param {unknown} value
 * @param {number} maxLines
 * @returns {{ lines: JsonLine[], isCut: boolean }}
 */
export function jsonLines(value, maxLines) {
  /** @type {JsonLine[]} */
  const lines = [];
  for (const line of walk(value)) {
    if (lines.length === maxLines) return { lines, isCut: true };
    lines.push(line);
  }
  return { lines, isCut: false };
}

/**
 * The place of a field, as lines have it.
 *
 * @param {readonly (string | number)[]} path
 * @returns {string}
 */
export function pathText(path) {
  return path.map((part) => `/${JSON.stringify(part)}`).join("");
}

/**
 * An object or a list whose lines are being written.
 *
 * @typedef {object} Open
 * @property {boolean} isList
 * @property {readonly string[]} names
 * @property {Record<string, unknown>} values
 * @property {number} next
 * @property {string} path
 * @property {string} end
 */

/**
 * @param {unknown} root
 * @returns {Generator<JsonLine>}
 */
function* walk(root) {
  /** @type {Open[]} */
  const stack = [];
  yield enter(stack, root, { key: "", path: "", comma: "" });
  for (let open = stack.at(-1); open; open = stack.at(-1)) {
    const name = open.names[open.next++];
    if (name === undefined) {
      stack.pop();
      yield { depth: stack.length, key: "", path: open.path, text: open.end, kind: "bracket" };
      continue;
    }
    yield enter(stack, open.values[name], {
      key: open.isList ? "" : `${visible(JSON.stringify(name))}: `,
      path: `${open.path}/${open.isList ? name : JSON.stringify(name)}`,
      comma: open.next < open.names.length ? "," : "",
    });
  }
}

/**
 * The line of a value. An object or a list that has something in it is opened.
 *
 * @param {Open[]} stack
 * @param {unknown} value
 * @param {{ key: string, path: string, comma: string }} place
 * @returns {JsonLine}
 */
function enter(stack, value, { key, path, comma }) {
  const depth = stack.length;
  if (value === null || typeof value !== "object") {
    return { depth, key, path, text: leaf(value) + comma, kind: kindOf(value) };
  }
  const isList = Array.isArray(value);
  const names = Object.keys(value);
  const [begin, end] = isList ? ["[", "]"] : ["{", "}"];
  if (names.length === 0) return { depth, key, path, text: begin + end + comma, kind: "bracket" };
  const values = /** @type {Record<string, unknown>} */ (value);
  stack.push({ isList, names, values, next: 0, path, end: end + comma });
  return { depth, key, path, text: begin, kind: "bracket" };
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function leaf(value) {
  if (typeof value !== "string") return String(value);
  const rest = value.length - MAX_TEXT;
  if (rest <= 0) return visible(JSON.stringify(value));
  return `${visible(JSON.stringify(value.slice(0, MAX_TEXT)))} (${count(rest)} more characters)`;
}

/**
 * @param {unknown} value
 * @returns {JsonLine["kind"]}
 */
function kindOf(value) {
  return typeof value === "string" ? "string" : typeof value === "number" ? "number" : "word";
}
