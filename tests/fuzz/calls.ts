/**
 * The public surface of a store as a table.
 *
 * @module
 */

import type { Call } from "./call.ts";
import { READS } from "./reads.ts";
import { SAVES } from "./saves.ts";

/** Every method. */
export const CALLS = { ...SAVES, ...READS } as const satisfies Record<string, Call>;

/** The name of a method. */
export type Method = keyof typeof CALLS;
