/**
 * What holds if a command line does not name it.
 *
 * @module
 */

/** The namespace and the prefix of a log. */
export const DEFAULT_LOG = { namespace: "default", prefix: "aether" } as const;
/** How many events `show` prints. */
export const DEFAULT_SHOWN = 100;
