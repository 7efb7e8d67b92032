import assert from "node:assert/strict";
import { ActorNumbers } from "../../../src/store/jetstream/read/actor_numbers.ts";

Deno.test("ActorNumbers numbers each actor once, in the order in which they come, in a few bytes each", () => {
  const numbers = new ActorNumbers();
  const count = 20_000;
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < count; index++) {
      assert.equal(numbers.add(`customer.${index}.basket`), index);
      assert.equal(numbers.find(`customer.${index}.basket`), index);
      assert.equal(numbers.find(`customer.${index}`), -1);
    }
  }
  assert.equal(numbers.size, count);
  assert(numbers.capacity >= count && numbers.capacity <= 2 * count);
});
