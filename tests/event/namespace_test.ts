/** Namespaces are names, and some of them are the system's. */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../src/errors.ts";
import { isSystemNamespace, validateNamespace, validateUserNamespace } from "../../src/event/namespace.ts";

Deno.test("validateNamespace() takes 1 to 64 letters, digits, underscores and dashes", () => {
  for (const name of ["a", "A-b_9", "-", "_", "__internal__", "x".repeat(64)]) {
    assert.equal(validateNamespace(name), name);
  }
  const bad = [
    "",
    "x".repeat(65),
    "a.b",
    "a b",
    "a*",
    ">",
    "a/b",
    "\xe9",
    "a\n",
    "\na",
    undefined,
    null,
    5,
    {},
    ["a"],
    Symbol("s"),
  ];
  for (const name of bad) {
    assert.throws(
      () => validateNamespace(name),
      (error) => error instanceof InvalidArgumentError && error.argument === "namespace",
    );
  }
});

Deno.test("validateUserNamespace() refuses the system's names", () => {
  for (const name of ["__internal__", "____", "__a__"]) {
    assert(isSystemNamespace(name));
    assert.throws(() => validateUserNamespace(name), InvalidArgumentError);
  }
  for (const name of ["_a_", "__a", "a__"]) {
    assert(!isSystemNamespace(name));
    assert.equal(validateUserNamespace(name), name);
  }
});
