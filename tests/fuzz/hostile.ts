/**
 * Values that no sound program passes in, each under a name, so that a failure can be printed and made again.
 *
 * @module
 */

/** What hostile objects throw when they are touched: theirs, and not the library's fault. */
export class HostileError extends Error {
  override readonly name = "HostileError";
}

const refuse = (): never => {
  throw new HostileError("do not touch");
};

class Money {
  amount = 5;
}

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

function trapped(target: object): unknown {
  return new Proxy(target, {
    get: refuse,
    has: refuse,
    ownKeys: refuse,
    getPrototypeOf: refuse,
    getOwnPropertyDescriptor: refuse,
  });
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { down: value };
  return value;
}

function endless(): unknown {
  return Object.assign([], {
    *[Symbol.iterator](): Generator<unknown> {
      for (;;) yield { eventType: "Endless", data: null, actorId: "a", version: 1 };
    },
  });
}

function cyclic(): unknown {
  const cycle: Record<string, unknown> = { list: [] };
  (cycle["list"] as unknown[]).push({ cycle });
  return cycle;
}

/** By name: what makes the value. Each is made anew for each call. */
export const HOSTILE = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  false: () => false,
  zero: () => 0,
  "minus zero": () => -0,
  "minus one": () => -1,
  half: () => 1.5,
  NaN: () => NaN,
  Infinity: () => Infinity,
  "2^53 - 1": () => Number.MAX_SAFE_INTEGER,
  "2^53": () => 2 ** 53,
  "the smallest number": () => 5e-324,
  bigint: () => 5n,
  symbol: () => Symbol("hostile"),
  function: () => () => 5,
  class: () => Money,
  "empty text": () => "",
  "a lone high surrogate": () => "a\ud800",
  "a lone low surrogate": () => "\udfffb",
  "a NUL": () => "a\0b",
  "a star": () => "*",
  "a full wildcard": () => ">",
  "dots only": () => "..",
  "dot at the end": () => "a.",
  "a path": () => "../../etc/passwd",
  "line ends": () => "a\r\nNATS/1.0\r\n\r\n",
  __proto__text: () => "__proto__",
  "512 bytes": () => "\u20ac".repeat(170) + "xy",
  "513 bytes": () => "\u20ac".repeat(171),
  "256 bytes": () => "x".repeat(256),
  "257 bytes": () => "x".repeat(257),
  "a megabyte of text": () => "x".repeat(1 << 20),
  object: () => ({}),
  "an object without prototype": () => Object.create(null),
  "a frozen object": () => Object.freeze({ a: "1" }),
  "an object with __proto__": () => JSON.parse('{"__proto__":"x","constructor":"y"}'),
  "an object with a symbol": () => ({ [Symbol("s")]: 1 }),
  "an object with a lone surrogate": () => ({ "\ud800": "x" }),
  "a getter that throws": () => Object.defineProperty({}, "a", { enumerable: true, get: refuse }),
  "a getter of each field that throws": () =>
    Object.defineProperties(
      {},
      Object.fromEntries(
        [
          "id",
          "data",
          "actorId",
          "version",
          "signal",
          "limit",
          "fencingToken",
          "after",
          "actorPrefix",
          "publish",
          "length",
          "expectedVersion",
        ]
          .map((name) => [name, { enumerable: true, get: refuse }]),
      ),
    ),
  "a class instance": () => new Money(),
  "a Map": () => new Map([["a", 1]]),
  "a Date": () => new Date(0),
  "an invalid Date": () => new Date(NaN),
  "a Date of the year 10000": () => new Date(Date.UTC(10_000, 0, 1)),
  "a Date of the year -1": () => new Date(Date.UTC(-1, 0, 1)),
  "what claims to be a Date": () => Object.create(Date.prototype),
  "what claims to be an AbortSignal": () => Object.create(AbortSignal.prototype),
  "a half AbortSignal": () => ({ aborted: false }),
  "a toJSON": () => ({ toJSON: () => 5 }),
  "text that throws": () => ({ toString: refuse, valueOf: refuse, [Symbol.toPrimitive]: refuse }),
  "a constructor that throws": () => Object.create(Object.create(null, { constructor: { get: refuse } })),
  thenable: () => ({ then: refuse }),
  "a boxed text": () => Object("a"),
  "a boxed number": () => Object(1),
  "typed bytes": () => new Uint8Array(3),
  "an error": () => new Error("hostile"),
  array: () => [],
  "an array of text": () => ["a"],
  "an array of null": () => [null],
  "a hole": () => new Array(1),
  "four billion holes": () => new Array(2 ** 32 - 1),
  "a subclass of Array": () => new (class List extends Array {})(),
  "an array with a named property": () => Object.assign(["a"], { total: 1 }),
  "an endless array": endless,
  "a set": () => new Set(),
  "a Proxy": () => new Proxy({}, {}),
  "a Proxy of an array": () => new Proxy([], {}),
  "a Proxy that throws": () => trapped({}),
  "a Proxy of an array that throws": () => trapped([]),
  "a Proxy of a function that throws": () => trapped(() => {}),
  "a revoked Proxy": () => revoked({}),
  "a revoked Proxy of an array": () => revoked([]),
  "a revoked Proxy of a function": () => revoked(() => {}),
  "a cycle": cyclic,
  "900 levels": () => nested(900),
  "1,001 levels": () => nested(1_001),
  "100,000 levels": () => nested(100_000),
  "2^40 shared leaves": () => {
    let value: unknown = "leaf";
    for (let level = 0; level < 40; level++) value = [value, value];
    return value;
  },
} satisfies Record<string, () => unknown>;

/** The name of a hostile value. */
export type HostileName = keyof typeof HOSTILE;

/** A value as it is drawn: a recipe, so that it can be printed, and made as often as it is needed. */
export type Recipe =
  | { readonly kind: "hostile"; readonly name: HostileName }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "number"; readonly number: number }
  | { readonly kind: "json"; readonly json: unknown; readonly dress: Dress };

/** What a sound object may look like. */
export type Dress = "plain" | "frozen" | "sealed" | "without prototype" | "getters" | "with undefined";

/** Makes a value. */
export function make(recipe: Recipe): unknown {
  switch (recipe.kind) {
    case "hostile":
      return HOSTILE[recipe.name]();
    case "text":
      return recipe.text;
    case "number":
      return recipe.number;
    case "json":
      return dressed(recipe.json, recipe.dress);
  }
}

/** A copy of JSON data that looks as told, and says the same. */
export function dressed(json: unknown, dress: Dress): unknown {
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) {
    const list = json.map((item) => dressed(item, dress));
    return dress === "frozen" ? Object.freeze(list) : dress === "sealed" ? Object.seal(list) : list;
  }
  const result: object = dress === "without prototype" ? Object.create(null) : {};
  for (const [key, item] of Object.entries(json)) {
    const value = dressed(item, dress);
    Object.defineProperty(
      result,
      key,
      dress === "getters"
        ? { get: () => value, enumerable: true, configurable: true }
        : { value, enumerable: true, configurable: true, writable: true },
    );
  }
  if (dress === "with undefined") Object.assign(result, { left_out: undefined });
  return dress === "frozen" ? Object.freeze(result) : dress === "sealed" ? Object.seal(result) : result;
}
