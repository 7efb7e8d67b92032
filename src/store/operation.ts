/**
 * Errors under the name of the method that the caller knows.
 *
 * @module
 */

import { BackendError } from "./errors.ts";

/** Runs a step of an operation whose backend errors name the step, and lets them name the operation. */
export async function underName<T>(operation: string, step: () => T | Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (!(error instanceof BackendError) || error.operation === operation) throw error;
    const { message, reason, cause } = error;
    const prefix = `${error.operation}: `;
    const text = message.startsWith(prefix) ? message.slice(prefix.length) : message;
    throw new BackendError(operation, text, { reason, cause });
  }
}
