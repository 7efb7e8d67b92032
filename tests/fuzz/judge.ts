/**
 * What each argument of the public surface accepts, in the contract's words: the oracle of hostile calls. It shares no
 * code with the library's own checks.
 *
 * @module
 */

import type { Recipe } from "./hostile.ts";

/** Whether a value must be taken, must be refused, or may be either, with no harm done. */
export type Judgement = "good" | "bad" | "either";

/** What an argument is. */
export type Kind =
  | "actorId"
  | "name"
  | "optional name"
  | "version"
  | "version before the next"
  | "optional version or 0"
  | "optional reached version"
  | "optional version"
  | "optional token"
  | "token"
  | "expectedVersion"
  | "optional limit"
  | "data"
  | "member"
  | "timestamp"
  | "metadata"
  | "metadata value"
  | "optional actor"
  | "given version"
  | "unknown field"
  | "ignored"
  | "options"
  | "required options"
  | "optional signal"
  | "optional flag"
  | "optional function"
  | "optional direction"
  | "optional types"
  | "optional prefix"
  | "optional position"
  | "events"
  | "event"
  | "event type"
  | "optional actor id"
  | "snapshot"
  | "function"
  | "object";

const bytes = (text: string): number => new TextEncoder().encode(text).length;

function isName(value: unknown, limit: number): boolean {
  return typeof value === "string" && value !== "" && value.isWellFormed() && bytes(value) <= limit;
}

function isCount(value: unknown, least: number): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= least;
}

/** What the recipe says of hostile objects that are data all the same. */
const JSON_NAMES: ReadonlySet<string> = new Set([
  "object",
  "an object without prototype",
  "a frozen object",
  "an object with __proto__",
  "array",
  "an array of text",
  "an array of null",
  "900 levels",
  "a half AbortSignal",
]);

function isData(value: unknown, recipe: Recipe): Judgement {
  if (recipe.kind === "json") return "good";
  switch (typeof value) {
    case "string":
      return value.length > 100_000 ? "either" : verdict(value.isWellFormed());
    case "number":
      return verdict(Number.isFinite(value) && !Object.is(value, -0));
    case "boolean":
      return "good";
    case "object":
      return verdict(value === null || (recipe.kind === "hostile" && JSON_NAMES.has(recipe.name)));
    default:
      return "bad";
  }
}

function verdict(good: boolean): Judgement {
  return good ? "good" : "bad";
}

function optional(value: unknown, judge: (value: unknown) => boolean): Judgement {
  return verdict(value === undefined || judge(value));
}

function isMetadata(value: unknown, recipe: Recipe): Judgement {
  if (value === undefined) return "good";
  if (recipe.kind === "json") {
    const object = recipe.json !== null && typeof recipe.json === "object" && !Array.isArray(recipe.json);
    return verdict(object && Object.values(recipe.json).every((item) => typeof item === "string"));
  }
  if (recipe.kind !== "hostile") return "bad";
  return verdict(JSON_NAMES.has(recipe.name) && /object/.test(recipe.name));
}

/** Whether a list or a class instance is taken for options matters to nobody. */
function isOptions(value: unknown): Judgement {
  if (value === undefined) return "good";
  return value === null || typeof value !== "object" ? "bad" : "either";
}

function isTimestamp(value: unknown, recipe: Recipe): Judgement {
  if (value === undefined) return "good";
  if (typeof value === "string") return recipe.kind === "text" ? "either" : "bad";
  return verdict(recipe.kind === "hostile" && recipe.name === "a Date");
}

/** Judges a value in the place of an argument. */
export function judge(kind: Kind, value: unknown, recipe: Recipe): Judgement {
  switch (kind) {
    case "actorId":
      return verdict(isName(value, 512));
    case "name":
      return verdict(isName(value, 256));
    case "optional name":
      return optional(value, (name) => isName(name, 256));
    case "token":
    case "version":
      return verdict(isCount(value, 1));
    case "version before the next":
      return isCount(value, 1) ? "either" : "bad";
    case "optional reached version":
      if (value === undefined || value === 0) return "good";
      return isCount(value, 1) ? "either" : "bad";
    case "optional version or 0":
      return optional(value, (version) => isCount(version, 0));
    case "event type":
      return verdict(typeof value === "string" && value !== "");
    case "optional actor id":
      return optional(value, (actorId) => isName(actorId, 512));
    case "snapshot":
      return "either";
    case "function":
      return typeof value === "function" ? "either" : "bad";
    case "optional version":
    case "optional token":
      return optional(value, (version) => isCount(version, 1));
    case "expectedVersion":
      return verdict(value === "any" || value === "exists" || isCount(value, 0));
    case "optional limit":
      return optional(value, (limit) => isCount(limit, 0));
    case "data":
      return isData(value, recipe);
    case "member":
      return value === undefined ? "good" : isData(value, recipe);
    case "timestamp":
      return isTimestamp(value, recipe);
    case "metadata":
      return isMetadata(value, recipe);
    case "metadata value":
      if (value === undefined) return "good";
      return typeof value === "string" && value.length < 100_000 ? verdict(value.isWellFormed()) : "either";
    case "optional actor":
      return typeof value === "string" ? "either" : optional(value, () => false);
    case "given version":
      return typeof value === "number" ? "either" : optional(value, () => false);
    case "unknown field":
      return value === undefined ? "either" : "bad";
    case "ignored":
      return "good";
    case "options":
      return isOptions(value);
    case "required options":
      return "bad";
    case "optional signal":
      return optional(value, () => false);
    case "optional flag":
      return optional(value, (flag) => typeof flag === "boolean");
    case "optional function":
      return typeof value === "function" ? "either" : optional(value, () => false);
    case "optional direction":
      return optional(value, (direction) => direction === "forward" || direction === "backward");
    case "optional types":
      if (recipe.kind === "hostile" && /Proxy|endless|named|throws/.test(recipe.name)) return "either";
      return optional(value, isTypes);
    case "optional prefix":
      return optional(value, (prefix) => typeof prefix === "string" && prefix.isWellFormed());
    case "optional position":
      return optional(value, () => false);
    case "events":
      return Array.isArray(plain(value)) ? "either" : "bad";
    case "event":
    case "object":
      return "bad";
  }
}

/** The value where it can be looked at; nothing where touching it throws. */
function plain(value: unknown): unknown {
  try {
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isTypes(value: unknown): boolean {
  const list = plain(value);
  return Array.isArray(list) && list.length > 0 && list.length < 100 &&
    Array.from(list).every((type) => typeof type === "string" && type !== "");
}
