/**
 * Limits of calls.
 *
 * @module
 */

/** The longest time that a call may ask for, in milliseconds. */
export const MAX_TIMEOUT = 24 * 60 * 60 * 1_000;
/** The most bytes of a command as JSON. */
export const MAX_COMMAND_BYTES = 256 * 1_024;
