/**
 * The root of Aether's errors, and the errors that every part of the library shares.
 *
 * @module
 */

import { isInstance, registerClass } from "./copies.ts";

/**
 * The base class of every error that Aether throws on purpose. Catch a subclass to handle one condition; catch this
 * one to distinguish Aether's errors from the rest. The `name` of an error is that of its class, also in a minified
 * program.
 *
 * @example Tell Aether's errors apart
 * ```ts
 * import { AetherError, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const error = await store.getEvents("").catch((error: unknown) => error);
 * assert(error instanceof AetherError);
 * assert.equal(error.name, "InvalidArgumentError");
 * ```
 */
export class AetherError extends Error {
  static {
    registerClass(this, "AetherError");
  }

  /**
   * Makes `instanceof` recognise errors of another copy of this library in the same program, for this class and every
   * class that extends it.
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isInstance(this, value);
  }
}

/** An option or an argument is outside its documented range. Nothing was done. */
export class InvalidArgumentError extends AetherError {
  static {
    registerClass(this, "InvalidArgumentError");
  }

  /** The name of the option or argument, such as `actorId` or `options.limit`. */
  readonly argument: string;

  /** Creates the error from the argument and what it must be. */
  constructor(argument: string, message: string, options?: ErrorOptions) {
    super(`${argument}: ${message}`, options);
    this.argument = argument;
  }
}

/**
 * A store (of events, of checkpoints or of leases) cannot be opened as asked.
 *
 * @example Say what is to be done, and end
 * ```ts
 * import { AetherError, DenoKvEventStore, StoreOpenError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * try {
 *   await using store = await DenoKvEventStore.open("/no/such/folder/events.kv");
 * } catch (error) {
 *   if (!(error instanceof StoreOpenError)) throw error;
 *   assert(error instanceof AetherError && error.message.includes("/no/such/folder/events.kv"));
 * }
 * ```
 */
export class StoreOpenError extends AetherError {
  static {
    registerClass(this, "StoreOpenError");
  }
}
