// @ts-check
/// <reference lib="dom" />

/**
 * The types of Preact with htm, as far as the page uses them. The studio's server sends the package's own file in place of this
 * one, which is for the type checker alone.
 *
 * @module
 */

const NEVER_CALLED = "The file of the package htm is sent in place of this one.";

/**
 * @param {TemplateStringsArray} _text
 * @param {unknown[]} _values
 * @returns {unknown}
 */
export function html(_text, ..._values) {
  throw new Error(NEVER_CALLED);
}

/**
 * @param {unknown} _tree
 * @param {Element} _parent
 * @returns {void}
 */
export function render(_tree, _parent) {
  throw new Error(NEVER_CALLED);
}

/**
 * @template T
 * @param {T | (() => T)} _initial
 * @returns {[T, (next: T | ((before: T) => T)) => void]}
 */
export function useState(_initial) {
  throw new Error(NEVER_CALLED);
}

/**
 * @template T
 * @param {T} _initial
 * @returns {{ current: T }}
 */
export function useRef(_initial) {
  throw new Error(NEVER_CALLED);
}

/**
 * @param {() => unknown} _effect Returns what ends it.
 * @param {readonly unknown[]} _inputs
 * @returns {void}
 */
export function useEffect(_effect, _inputs) {
  throw new Error(NEVER_CALLED);
}

/**
 * @param {() => unknown} _effect Returns what ends it.
 * @param {readonly unknown[]} _inputs
 * @returns {void}
 */
export function useLayoutEffect(_effect, _inputs) {
  throw new Error(NEVER_CALLED);
}

/**
 * @template T
 * @param {() => T} _make
 * @param {readonly unknown[]} _inputs
 * @returns {T}
 */
export function useMemo(_make, _inputs) {
  throw new Error(NEVER_CALLED);
}

/** @returns {[error: unknown, reset: () => void]} */
export function useErrorBoundary() {
  throw new Error(NEVER_CALLED);
}
