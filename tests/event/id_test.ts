/** Event ids hold against the `uuid` package's own checks. */

import assert from "node:assert/strict";
import { validate, version } from "uuid";
import { newEventId } from "../../src/event/id.ts";

const COUNT = 50_000;

/** The milliseconds that an id says. */
function millisecondsOf(id: string): number {
  return parseInt(id.replaceAll("-", "").slice(0, 12), 16);
}

Deno.test("newEventId() makes valid UUIDs of version 7, each greater than the one before", () => {
  let previous = "";
  for (let count = 0; count < COUNT; count++) {
    const id = newEventId();
    assert(id > previous, `${id} follows ${previous}`);
    if (count % 100 === 0) assert(validate(id) && version(id) === 7, id);
    previous = id;
  }
});

Deno.test("newEventId() says the time, and goes on where the clock is set back", () => {
  const clock = Date.now;
  const first = newEventId();
  try {
    Date.now = () => clock() - 3_600_000;
    let previous = first;
    for (let count = 0; count < 10_000; count++) {
      const id = newEventId();
      assert(id > previous && version(id) === 7, `${id} follows ${previous}`);
      previous = id;
    }
    const far = clock() + 3_600_000;
    Date.now = () => far;
    const id = newEventId();
    assert.equal(millisecondsOf(id), far);
    assert(id > previous);
  } finally {
    Date.now = clock;
  }
});

Deno.test("newEventId() does not repeat its random part", () => {
  const tails = new Set(Array.from({ length: 10_000 }, () => newEventId().slice(-12)));
  assert(tails.size > 9_990);
});
