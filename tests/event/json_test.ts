/** `copyJson` copies what JSON carries faithfully, refuses the rest by its path, and reads its source once. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  copyJson,
  freezeJson,
  JsonFault,
  JsonTooLarge,
  MAX_DEPTH,
  sameJson,
  thawJson,
} from "../../src/event/json.ts";

fc.configureGlobal({ seed: 2026 });

const LIMIT = 1_000_000;

function copy(source: unknown): unknown {
  return copyJson(source, "data", LIMIT).value;
}

function faultOf(source: unknown): JsonFault {
  try {
    copy(source);
  } catch (error) {
    if (error instanceof JsonFault) return error;
    throw error;
  }
  assert.fail("it is taken");
}

function nest(levels: number): unknown {
  let value: unknown = null;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

Deno.test("copyJson() copies any JSON, deeply frozen, and leaves the source alone", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const source: unknown = JSON.parse(JSON.stringify(value));
    const text = JSON.stringify(source);
    const copied = copy(source);
    assert.deepEqual(copied, source);
    assert.equal(JSON.stringify(copied), text);
    if (typeof source === "object" && source !== null) {
      assert.notEqual(copied, source);
      assert(Object.isFrozen(copied));
      assert(!Object.isFrozen(source));
    }
  }));
});

Deno.test("copyJson() takes what JSON.stringify keeps, and nothing else", () => {
  const anything = fc.anything({
    withDate: true,
    withMap: true,
    withSet: true,
    withBigInt: true,
    withNullPrototype: true,
  });
  fc.assert(
    fc.property(anything, (source) => {
      let copied: unknown;
      try {
        copied = copy(source);
      } catch (error) {
        assert(error instanceof JsonFault, String(error));
        return;
      }
      assert.equal(JSON.stringify(copied), JSON.stringify(source));
      assert.deepEqual(JSON.parse(JSON.stringify(copied)), copied);
    }),
    { numRuns: 500 },
  );
});

Deno.test("copyJson() bounds the size of the JSON text from above", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const source: unknown = JSON.parse(JSON.stringify(value));
    const size = new TextEncoder().encode(JSON.stringify(source)).length;
    assert(copyJson(source, "data", LIMIT).most >= size);
  }));
});

Deno.test("copyJson() names the path of what it refuses", () => {
  const cases: [unknown, string][] = [
    [NaN, "data"],
    [{ items: [0, 1, 2, { price: 5n }] }, "data.items[3].price"],
    [{ "a b": { "": [undefined] } }, 'data["a b"][""][0]'],
    [[[-0]], "data[0][0]"],
    [{ a: new Date() }, "data.a"],
    [Object.fromEntries([["__proto__", NaN]]), "data.__proto__"],
  ];
  for (const [source, path] of cases) assert.equal(faultOf(source).path, path);
});

Deno.test("copyJson() shortens the path of what is nested very deep", () => {
  const { path } = faultOf(nest(MAX_DEPTH + 1));
  assert(path.length < 100, path);
  assert.match(path, /^data\[0\].* \.\.\. .*\[0\]$/);
});

Deno.test("copyJson() takes data up to the depth limit", () => {
  assert.equal(JSON.stringify(copy(nest(MAX_DEPTH))), JSON.stringify(nest(MAX_DEPTH)));
  assert.match(faultOf(nest(MAX_DEPTH + 1)).message, /nested deeper/);
  assert.match(faultOf(nest(100_000)).message, /nested deeper/);
});

Deno.test("copyJson() names a cycle, also if it is large", () => {
  const small: Record<string, unknown> = { a: 1 };
  small["self"] = small;
  assert.match(faultOf(small).message, /contains itself/);
  assert.equal(faultOf(small).path, "data.self");
  const large: Record<string, unknown> = { text: "x".repeat(300_000) };
  large["items"] = [{ parent: large }];
  const fault = faultOf(large);
  assert.match(fault.message, /contains itself/);
  assert.equal(fault.path, "data.items[0].parent");
});

Deno.test("copyJson() refuses 2^40 shared parts at once, and takes few", () => {
  let shared: unknown = "leaf";
  for (let level = 0; level < 40; level++) shared = [shared, shared];
  const begin = performance.now();
  assert.throws(() => copy(shared), JsonTooLarge);
  assert(performance.now() - begin < 10_000);
  const part = { price: 5 };
  assert.deepEqual(copy([part, part]), [{ price: 5 }, { price: 5 }]);
});

Deno.test("copyJson() reads each part once", () => {
  let reads = 0;
  const source = {
    get price(): number {
      return reads++ === 0 ? 5 : NaN;
    },
  };
  assert.deepEqual(copy(source), { price: 5 });
  assert.equal(reads, 1);
});

Deno.test("copyJson() passes on why a getter threw", () => {
  const cause = new Error("not available");
  const fault = faultOf([{
    get price(): number {
      throw cause;
    },
  }]);
  assert.equal(fault.path, "data[0].price");
  assert.equal(fault.cause, cause);
});

Deno.test("copyJson() calls nothing of a Proxy", () => {
  const deny = (): never => assert.fail("a trap was called");
  const proxy = new Proxy({}, { get: deny, ownKeys: deny, getPrototypeOf: deny, has: deny });
  assert.match(faultOf({ it: proxy }).message, /Proxy/);
});

Deno.test("copyJson() leaves out what the prototype has, even if it was changed", () => {
  const prototype = Object.prototype as { tampered?: string };
  try {
    prototype.tampered = "x";
    assert.equal(JSON.stringify(copy({ a: 1 })), '{"a":1}');
  } finally {
    delete prototype.tampered;
  }
});

Deno.test("freezeJson() freezes what JSON.parse made, __proto__ keys included", () => {
  const value = freezeJson(JSON.parse('{"__proto__":{"a":[1]},"b":[{}]}'));
  assert(Object.isFrozen(value) && Object.isFrozen(value.b) && Object.isFrozen(value.b[0]));
  const own = Object.getOwnPropertyDescriptor(value, "__proto__")!.value;
  assert(Object.isFrozen(own) && Object.isFrozen(own.a));
});

Deno.test("sameJson() is equality of JSON, in any order of keys", () => {
  fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), (one, two) => {
    const clone: unknown = JSON.parse(JSON.stringify(one));
    assert(sameJson(clone, JSON.parse(JSON.stringify(one))));
    let equal = true;
    try {
      assert.deepEqual(JSON.parse(JSON.stringify(two)), clone);
    } catch {
      equal = false;
    }
    assert.equal(sameJson(clone, JSON.parse(JSON.stringify(two))), equal);
  }));
  assert(sameJson({ a: 1, b: [{ c: 2, d: 3 }] }, { b: [{ d: 3, c: 2 }], a: 1 }));
  assert(!sameJson([], {}));
  assert(!sameJson({ a: undefined }, { b: undefined }));
  assert(!sameJson(JSON.parse('{"__proto__":1}'), {}));
});

Deno.test("thawJson() copies frozen JSON, a property named __proto__ too, into parts that may be changed", () => {
  const frozen = freezeJson(JSON.parse('{"a":[{"b":null},[1]],"__proto__":{"c":"d"}}'));
  const thawed = thawJson(frozen);
  assert.equal(JSON.stringify(thawed), JSON.stringify(frozen));
  assert.equal(Object.getPrototypeOf(thawed), Object.prototype);
  thawed.a[1].push(2);
  thawed.a[0].b = 3;
  assert.equal(JSON.stringify(frozen.a), '[{"b":null},[1]]');
});
