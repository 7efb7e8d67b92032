/**
 * What a request asks for.
 *
 * @module
 */

import type { EventFilter } from "../event/types.ts";
import type { LogStart } from "../store/types.ts";
import { ApiFailure } from "./failure.ts";

/** The largest `limit` of a page. */
export const MAX_LIMIT = 500;
const DEFAULT_LIMIT = 50;
const MAX_TYPES = 100;

/** What a position can be like, and a word for the beginning. A page cannot go on from `end`, which moves. */
const PLACE = /^(?!end$)[\w-]{1,100}$/;

/** Checks a place of the log that a page has sent. */
export function placeOf(name: string, text: string): LogStart {
  if (PLACE.test(text)) return text;
  throw new ApiFailure(
    "invalid",
    `"${name}" must be the position of an event of this log, "start" or "first-kept".`,
  );
}

/** The query of a request. */
export class Query {
  readonly #values: URLSearchParams;

  constructor(values: URLSearchParams) {
    this.#values = values;
  }

  /** A value; `undefined` if it is missing or empty. */
  text(name: string): string | undefined {
    return this.#values.get(name) || undefined;
  }

  /** A value that must be given. */
  required(name: string): string {
    const text = this.text(name);
    if (text === undefined) throw new ApiFailure("invalid", `"${name}" is missing.`);
    return text;
  }

  /** A place of the log; `undefined` if it is missing. Whether it is of this log, the store checks. */
  place(name: string): LogStart | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : placeOf(name, text);
  }

  /** A number, from 0 on; `undefined` if it is missing. */
  number(name: string, max: number = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const number = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (number <= max) return number;
    throw new ApiFailure("invalid", `"${name}" must be a number from 0 to ${max}.`);
  }

  /** The number of rows of a page. */
  get limit(): number {
    return this.limitUpTo(MAX_LIMIT, DEFAULT_LIMIT);
  }

  /** A number of rows with another bound. */
  limitUpTo(max: number, usual: number): number {
    const limit = this.number("limit", max) ?? usual;
    if (limit > 0) return limit;
    throw new ApiFailure("invalid", `"limit" must be a number from 1 to ${max}.`);
  }

  /** Which events. */
  get filter(): EventFilter {
    const types = this.#values.getAll("type").filter((type) => type !== "");
    if (types.length > MAX_TYPES) {
      throw new ApiFailure("invalid", `"type" may be given ${MAX_TYPES} times at most.`);
    }
    const actorId = this.text("actor");
    const actorPrefix = this.text("prefix");
    return {
      ...(types.length > 0 && { eventTypes: types }),
      ...(actorId !== undefined && { actorId }),
      ...(actorPrefix !== undefined && { actorPrefix }),
    };
  }
}
