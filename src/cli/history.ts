/**
 * What the command line and the studio make of a history: the differences of two values, and the history as a test takes it.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { printable } from "./output.ts";

/** A field that has changed. */
export interface Change {
  /** The way to the field; empty for the whole. */
  readonly path: readonly (string | number)[];
  /** How it was; missing if it did not exist. */
  readonly before?: unknown;
  /** How it is; missing if it does not exist any more. */
  readonly after?: unknown;
}

/** What has changed between two values. */
export async function changesBetween(before: unknown, after: unknown): Promise<Change[]> {
  const { default: differencesOf } = await import("microdiff");
  return differencesOf({ "": before } as object, { "": after } as object).map((change) => ({
    path: change.path.slice(1),
    ...("oldValue" in change && { before: change.oldValue as unknown }),
    ...("value" in change && { after: change.value as unknown }),
  }));
}

/** What a history as a test takes it begins and ends with. */
export const GIVEN_BEGIN = "given([";
export const GIVEN_END = "])";

/** The line of an event in a history as a test takes it. */
export function givenLine({ eventType, data }: Pick<StoredEvent, "eventType" | "data">): string {
  return `  ${printable(`{ eventType: ${JSON.stringify(eventType)}, data: ${JSON.stringify(data)} }`)},`;
}

/** A history as a test takes it, of its lines. */
export function givenOf(lines: readonly string[]): string {
  return [GIVEN_BEGIN, ...lines, GIVEN_END].join("\n");
}
