// @ts-check
/// <reference lib="dom" />
/** @import { EventRow, LogLive } from "../api/mod.ts" */
/** @import { ApiFailure } from "./api.js" */
/** @import { LogRow } from "./log_rows.js" */
/** @import { MovingWindow } from "./log_window.js" */

/**
 * The end of the log as it grows: new events are shown at once, or counted while the list is held.
 *
 * @module
 */

import * as logRows from "./log_rows.js";
import { useEffect, useRef, useState } from "./preact.js";
import { useStream } from "./stream.js";

/** A list that was scrolled by so many pixels is held: what is read does not move. */
const SCROLLED = 40;

/**
 * @typedef {object} LogTail
 * @property {boolean} isLive Whether the end of the log is shown.
 * @property {boolean} isPaused
 * @property {number} missed How many new events wait to be shown.
 * @property {LogLive["rate"] | undefined} rate
 * @property {ApiFailure | undefined} failure Why it does not go on, until what is shown is loaded again.
 * @property {() => void} pause
 * @property {() => void} resume
 */

/**
 * Adds new events to what is shown of the log.
 *
 * @param {MovingWindow} shown
 * @param {{ readonly current: HTMLElement | null }} list What is scrolled.
 * @returns {LogTail}
 */
export function useLogTail({ filter, first, window, move, showLatest }, list) {
  const [isPaused, setPaused] = useState(false);
  const [waiting, setWaiting] = useState(/** @type {readonly LogRow[]} */ ([]));
  const [missed, setMissed] = useState(0);
  const [rate, setRate] = useState(/** @type {LogLive["rate"] | undefined} */ (undefined));
  const isCatchingUp = useRef(false);
  const clear = () => {
    setWaiting([]);
    setMissed(0);
    list.current?.scrollTo(0, 0);
  };
  useEffect(clear, [first.value]);

  const isHeld = () => isPaused || (list.current?.scrollTop ?? 0) > SCROLLED;
  /** @param {readonly LogRow[]} added The latest first. */
  const arrive = (added) => {
    if (!isHeld()) return move((before) => logRows.withLater(before, added, null));
    setMissed((before) =>
      before + added.reduce((sum, row) => sum + (row.kind === "gap" ? row.gap.events : 1), 0)
    );
    setWaiting((before) => [...added, ...before].slice(0, logRows.MAX_ROWS));
  };
  /** Of events that were left out, the latest are shown. */
  const catchUp = async () => {
    if (isCatchingUp.current || isHeld()) return;
    isCatchingUp.current = true;
    await showLatest();
    isCatchingUp.current = false;
  };
  const isLive = window.later === null && first.value !== undefined && !first.isLoading;
  const start = first.value && (logRows.latestPosition(window) ?? first.value.last ?? undefined);
  const { failure } = useStream(isLive ? "api/log/live" : undefined, { ...filter, after: start }, {
    events: (/** @type {EventRow[]} */ events) => arrive(logRows.rowsOf(events)),
    damage: (damage) => arrive([logRows.damageRow(damage)]),
    gap: (gap) => {
      arrive([logRows.gapRow(gap)]);
      catchUp();
    },
    rate: setRate,
  }, [filter.type, filter.actor, filter.prefix, first.value]);
  return {
    ...{ isLive, isPaused, missed, rate, failure },
    pause: () => setPaused(true),
    resume: () => {
      move((before) => logRows.withLater(before, waiting, null));
      setPaused(false);
      clear();
    },
  };
}
