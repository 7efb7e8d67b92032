// @ts-check
/// <reference lib="dom" />

/**
 * Whether the studio's server and its store answer, as one sign for the whole page.
 *
 * @module
 */

import { useEffect, useState } from "./preact.js";

/**
 * @typedef {object} Connection
 * @property {boolean} isConnected
 * @property {string} message Why not; empty if connected.
 * @property {number} returns How often the connection has come back. What was loaded before is loaded again.
 */

/** @type {Connection} */
let current = { isConnected: true, message: "", returns: 0 };
/** @type {Set<(connection: Connection) => void>} */
const listeners = new Set();

/**
 * @param {Connection} next
 */
function change(next) {
  current = next;
  for (const listener of listeners) listener(next);
}

/**
 * The connection was lost.
 *
 * @param {string} message
 */
export function lost(message) {
  if (current.isConnected || current.message !== message) {
    change({ ...current, isConnected: false, message });
  }
}

/** The server, and its store, have answered. */
export function found() {
  if (!current.isConnected) change({ isConnected: true, message: "", returns: current.returns + 1 });
}

/**
 * The connection, in a component.
 *
 * @returns {Connection}
 */
export function useConnection() {
  const [connection, setConnection] = useState(current);
  useEffect(() => {
    listeners.add(setConnection);
    setConnection(current);
    return () => listeners.delete(setConnection);
  }, []);
  return connection;
}
