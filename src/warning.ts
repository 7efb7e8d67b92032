/**
 * Warnings: what is counted instead of thrown.
 *
 * @module
 */

/**
 * Something that went wrong without failing a call: a snapshot that was ignored, a notification that was dropped.
 *
 * @category Errors and warnings
 */
export interface Warning {
  /** A stable name to filter by, such as `"snapshot-ignored"`. */
  readonly code: string;
  /** What happened, and what to do. */
  readonly message: string;
  /** The error behind it, if there was one. */
  readonly cause?: unknown;
}

/** Passes a warning on. */
export type Warn = (warning: Warning) => void;

/** How long a kind of warning stays silent on the console after it was shown, in milliseconds. */
const SILENCE = 60_000;

/**
 * Where warnings go: to the user's function, whose own failures are ignored; else to the console, once a kind and
 * minute.
 */
export function warner(onWarning: ((warning: Warning) => void) | undefined): Warn {
  if (onWarning) {
    return (warning) => {
      try {
        onWarning(warning);
      } catch (error) {
        console.warn("aether: onWarning threw", error);
      }
    };
  }
  const shown = new Map<string, number>();
  return (warning) => {
    const now = performance.now();
    const last = shown.get(warning.code);
    if (last !== undefined && now - last < SILENCE) return;
    shown.set(warning.code, now);
    console.warn(`aether: ${warning.message}`, ...(warning.cause === undefined ? [] : [warning.cause]));
  };
}
