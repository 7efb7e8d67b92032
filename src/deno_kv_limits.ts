/**
 * What Deno KV allows on every database, also on Deno Deploy.
 *
 * @module
 */

/** The most bytes of a key. */
export const MAX_KEY_BYTES = 2_048;
/** The most bytes of a value. */
export const MAX_VALUE_BYTES = 65_536;
/** The most checks of an atomic operation over KV Connect. */
export const MAX_CHECKS_REMOTE = 10;
/** The most checks of an atomic operation on a file, or in memory. */
export const MAX_CHECKS_LOCAL = 100;
/** The most mutations of an atomic operation. */
export const MAX_MUTATIONS = 1_000;
/** The most bytes of an atomic operation: the keys of checks, and for each set twice its key and its value. */
export const MAX_ATOMIC_BYTES = 819_200;
/** The most bytes of the keys that an atomic operation sets. */
export const MAX_ATOMIC_KEY_BYTES = 81_920;
/** The most keys of one `getMany`. */
export const MAX_GET_MANY = 10;
/** The most entries of one batch of `list`. */
export const MAX_LIST_BATCH = 1_000;
