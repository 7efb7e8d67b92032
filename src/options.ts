/**
 * Options as a caller may really pass them in: anything at all, which may throw when it is touched.
 *
 * @module
 */

import { AetherError, InvalidArgumentError } from "./errors.ts";
import { describe } from "./text.ts";

const NONE: Readonly<Record<string, never>> = Object.freeze({});

/**
 * Reads an object of options. What a getter or a proxy throws meanwhile becomes an error of the argument; the library's
 * own errors pass.
 *
 * @param options What the caller passed in; undefined reads as no options.
 * @param read Reads the fields, each once, and checks them.
 * @throws {InvalidArgumentError} If it is no object, or cannot be read.
 */
export function readOptions<O extends object, R>(
  options: O | undefined,
  read: (options: O) => R,
  argument = "options",
): R {
  if (options !== undefined && (typeof options !== "object" || options === null)) {
    throw new InvalidArgumentError(argument, `must be an object, and is ${describe(options)}`);
  }
  try {
    return read(options ?? NONE as O);
  } catch (error) {
    if (error instanceof AetherError) throw error;
    throw new InvalidArgumentError(argument, "could not be read", { cause: error });
  }
}

/** The names that an object of options may have. The compiler refuses a list that leaves one out. */
export type OptionNames<O> = Readonly<Record<keyof O, true>>;

/**
 * Refuses an option that the call does not have, such as `retenton`: dropped in silence, it would be missed late.
 *
 * @throws {InvalidArgumentError} If there is one, by its name.
 */
export function checkKnown<O extends object>(options: O, names: OptionNames<O>, argument = "options"): void {
  for (const name in options) {
    if (Object.hasOwn(names, name) || !Object.hasOwn(options, name)) continue;
    const known = Object.keys(names).join(", ");
    throw new InvalidArgumentError(`${argument}.${name}`, `is not known here. Use one of these: ${known}.`);
  }
}

/**
 * Returns a signal that can be listened to.
 *
 * @throws {InvalidArgumentError} If it is none.
 */
export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  try {
    // What only looks like a signal throws when it is asked.
    if (signal instanceof AbortSignal && typeof signal.aborted === "boolean") return signal;
  } catch {
    // refused below
  }
  throw new InvalidArgumentError("options.signal", `must be an AbortSignal, and is ${describe(signal)}`);
}

/**
 * Returns a function, or `undefined` if none is given.
 *
 * @throws {InvalidArgumentError} If it is something else.
 */
export function checkFunction<F>(argument: string, value: F): F {
  if (value === undefined || typeof value === "function") return value;
  throw new InvalidArgumentError(argument, `must be a function, and is ${describe(value)}`);
}

/**
 * Returns a flag, false if none is given.
 *
 * @throws {InvalidArgumentError} If it is something else.
 */
export function checkFlag(argument: string, value: boolean | undefined): boolean {
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  throw new InvalidArgumentError(argument, `must be true or false, and is ${describe(value)}`);
}
