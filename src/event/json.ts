/**
 * Deeply frozen copies of plain JSON data. Values that JSON would change silently are refused.
 *
 * @module
 */

import { isProxy } from "node:util/types";

/** How deep data may be nested: far below what overflows the stack of `JSON.parse`. */
export const MAX_DEPTH = 1_000;

/** Why data was refused, and where. */
export class JsonFault extends Error {
  /** The path of the offending value, such as `data.items[3].price`. */
  readonly path: string;

  /** Names the path and the reason. */
  constructor(path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.path = path;
  }
}

/** Data is larger than the limit it was copied under. */
export class JsonTooLarge extends Error {
  /** A size in bytes that the data's JSON text has at least. */
  readonly size: number;

  /** Names the size. */
  constructor(size: number) {
    super(`at least ${size} bytes`);
    this.size = size;
  }
}

/** A copy, and the bounds of its size as JSON text in UTF-8 bytes. */
export interface JsonCopy {
  /** The frozen copy. */
  readonly value: unknown;
  /** The JSON text has at most this many bytes. */
  readonly most: number;
}

/** A code unit takes at most this in JSON: `\u0000`. */
const BYTES_PER_CODE_UNIT = 6;
/** A number, a literal or an empty container with its punctuation takes at most this. */
const BYTES_PER_VALUE = 28;

/** One copy under way. The path is kept as a stack of keys, so that a name is built only for an error. */
class Copier {
  #source: unknown;
  #root = "";
  #limit = 0;
  readonly #path: (string | number)[] = [];
  #level = 0;
  codeUnits = 0;
  values = 0;

  begin(source: unknown, root: string, limit: number): unknown {
    this.#source = source;
    this.#root = root;
    this.#limit = limit;
    this.#level = 0;
    this.codeUnits = 0;
    this.values = 0;
    return this.copy(source, 0);
  }

  /** Releases the copied values. */
  end(): void {
    this.#source = undefined;
  }

  /** Steps down to a member of the value at `depth`. */
  #enter(depth: number, key: string | number): void {
    this.#path[depth] = key;
    this.#level = depth + 1;
  }

  copy(value: unknown, depth: number): unknown {
    // The lower bound stops a structure that shares its parts (2^n of them when written out) as well as a huge one.
    if (++this.values + this.codeUnits > this.#limit) this.#refuseSize(depth);
    switch (typeof value) {
      case "string":
        if (!value.isWellFormed()) this.#refuse(depth, "has a lone surrogate, which UTF-8 cannot carry");
        this.codeUnits += value.length;
        return value;
      case "number":
        if (!Number.isFinite(value)) this.#refuse(depth, `is ${value}, which JSON cannot carry`);
        if (Object.is(value, -0)) this.#refuse(depth, "is -0, which JSON does not keep apart from 0: use 0");
        return value;
      case "boolean":
        return value;
      case "object":
        if (value === null) return null;
        if (depth >= MAX_DEPTH) this.#refuseDepth(depth);
        if (isProxy(value)) this.#refuse(depth, "is a Proxy: pass a plain copy of what it stands for");
        return Array.isArray(value) ? this.#array(value, depth) : this.#object(value, depth);
      case "undefined":
        return this.#refuse(depth, "is undefined, which JSON cannot carry: use null");
      case "bigint":
        return this.#refuse(depth, "is a bigint, which JSON cannot carry: use a string");
      default:
        return this.#refuse(depth, `is a ${typeof value}, which JSON cannot carry`);
    }
  }

  #array(source: readonly unknown[], depth: number): readonly unknown[] {
    if (Object.getPrototypeOf(source) !== Array.prototype) {
      this.#refuse(depth, "is an array of another class");
    }
    const length = source.length;
    const result: unknown[] = [];
    for (let index = 0; index < length; index++) {
      this.#enter(depth, index);
      result.push(this.copy(source[index], depth + 1));
    }
    this.#refuseSymbols(source, depth);
    const keys = Object.keys(source);
    if (keys.length > length) {
      this.#enter(depth, keys[length]!);
      this.#refuse(depth + 1, "is a named property of an array, which JSON would drop");
    }
    return Object.freeze(result);
  }

  #object(source: object, depth: number): object {
    const prototype = Object.getPrototypeOf(source);
    if (prototype !== Object.prototype && prototype !== null) this.#refuse(depth, classFault(source));
    this.#refuseSymbols(source, depth);
    const result: Record<string, unknown> = {};
    // The prototype is known to have nothing enumerable, unless a program has changed it: `hasOwn` is checked below.
    for (const key in source) {
      if (!Object.hasOwn(source, key)) continue;
      this.#enter(depth, key);
      if (!isSoundName(key)) this.#refuse(depth + 1, "has a lone surrogate in its name");
      const value = (source as Record<string, unknown>)[key];
      // JSON has no undefined; a property that is undefined reads like one that is absent, and is left out.
      if (value === undefined) continue;
      this.codeUnits += key.length;
      const copied = this.copy(value, depth + 1);
      setOwn(result, key, copied);
    }
    return Object.freeze(result);
  }

  #refuseSymbols(source: object, depth: number): void {
    const symbols = Object.getOwnPropertySymbols(source);
    if (symbols.length === 0) return; // without an iterator: this is asked for each object
    this.#refuse(depth, `has the key ${String(symbols[0])}, which JSON would drop`);
  }

  #refuse(depth: number, reason: string): never {
    throw new JsonFault(this.#name(depth), reason);
  }

  #refuseDepth(depth: number): never {
    this.#refuseCycle(depth);
    this.#refuse(depth, `is nested deeper than ${MAX_DEPTH} levels`);
  }

  #refuseSize(depth: number): never {
    this.#refuseCycle(depth);
    throw new JsonTooLarge(this.values + this.codeUnits);
  }

  /** Distinguishes a cycle from a deep or large value. It is slow, and therefore called only for a refusal. */
  #refuseCycle(depth: number): void {
    const ancestors = new Set<unknown>();
    let value = this.#source;
    for (let level = 0; level < depth; level++) {
      if (ancestors.has(value)) this.#refuse(level, "contains itself, which JSON cannot carry");
      ancestors.add(value);
      value = (value as Record<string | number, unknown>)[this.#path[level]!];
    }
  }

  /** The fault of a getter that threw while the source was read. */
  unreadable(cause: unknown): JsonFault {
    return new JsonFault(this.#name(this.#level), "could not be read", { cause });
  }

  /** The path down to `depth`, shortened in the middle if it is very long. */
  #name(depth: number): string {
    let name = this.#root;
    for (let level = 0; level < depth; level++) {
      if (depth > 20 && level === 10) name += " ... ";
      if (depth > 20 && level >= 10 && level < depth - 2) continue;
      const key = this.#path[level]!;
      if (typeof key === "number") name += `[${key}]`;
      else name += /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
    }
    return name;
  }
}

/** Names of properties that were found well-formed: events come with few names, and looking one up is faster. */
const soundNames = new Set<string>();
const MAX_SOUND_NAMES = 10_000;

function isSoundName(name: string): boolean {
  if (soundNames.has(name)) return true;
  if (!name.isWellFormed()) return false;
  if (name.length <= 64 && soundNames.size < MAX_SOUND_NAMES) soundNames.add(name);
  return true;
}

/** Sets a property of an object's own, also if its name is `__proto__`. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== "__proto__") target[key] = value;
  else Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

function classFault(source: object): string {
  const name = Object.getPrototypeOf(source)?.constructor?.name || "another class";
  if (source instanceof Date) return "is a Date: use its toISOString()";
  if (source instanceof Map) return "is a Map: use Object.fromEntries(map)";
  if (source instanceof Set) return "is a Set: use [...set]";
  return `is an instance of ${name}, whose class JSON would lose: use a plain object`;
}

/**
 * Copies JSON data, deeply frozen, in one pass. The source is neither frozen nor changed, and every part of it is read
 * once, so that what was checked is what is kept.
 *
 * @param source The data.
 * @param root The name of the data in errors, such as `data`.
 * @param limit The most bytes that its JSON text may have; far larger data is refused without being walked.
 * @throws {JsonFault} If JSON cannot carry it faithfully.
 * @throws {JsonTooLarge} If it is certainly over the limit.
 */
export function copyJson(source: unknown, root: string, limit: number): JsonCopy {
  const copier = idleCopier ?? new Copier();
  idleCopier = undefined;
  try {
    const value = copier.begin(source, root, limit);
    return { value, most: copier.codeUnits * BYTES_PER_CODE_UNIT + copier.values * BYTES_PER_VALUE };
  } catch (error) {
    if (error instanceof JsonFault || error instanceof JsonTooLarge) throw error;
    throw copier.unreadable(error);
  } finally {
    copier.end();
    idleCopier = copier;
  }
}

/** A copier to be used again. A getter of the source may itself save an event: that one gets a copier of its own. */
let idleCopier: Copier | undefined;

/**
 * Freezes data that `JSON.parse` made, deeply and in place.
 *
 * @param value What `JSON.parse` returned.
 * @param depth How deep the value is nested itself.
 * @throws {SyntaxError} If it is nested deeper than what can be saved.
 */
export function freezeJson<T>(value: T, depth = 0): T {
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) throw new SyntaxError(`nested deeper than ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) { for (const item of value) freezeJson(item, depth + 1); }
  else {
    // deno-lint-ignore guard-for-in -- JSON.parse makes own properties alone, and this loop is the fastest
    for (const key in value) freezeJson(value[key], depth + 1);
  }
  return Object.freeze(value);
}

/** Copies frozen JSON into parts that may be changed. */
export function thawJson<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => thawJson(item)) as T;
  const copy: Record<string, unknown> = { ...value as object };
  for (const [key, item] of Object.entries(copy)) {
    if (typeof item === "object") copy[key] = thawJson(item); // its own property by now, also one named __proto__
  }
  return copy as T;
}

/** Whether two values are the same JSON, in any order of their properties. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length &&
    keys.every((key) =>
      Object.hasOwn(b, key) &&
      sameJson((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])
    );
}
