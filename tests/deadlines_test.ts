/** What has a deadline ends at it, unless it is done before. */

import assert from "node:assert/strict";
import { Deadlines, type Timed } from "../src/deadlines.ts";

/** Something that notes when it ends. */
function timed(name: string, after: number, ended: string[]): Timed {
  return { deadline: performance.now() + after, slot: -1, expire: (): void => void ended.push(name) };
}

Deno.test("Deadlines ends what is not done, also in a place that was used before, and nothing twice", async () => {
  const deadlines = new Deadlines(true);
  const ended: string[] = [];
  const [done, late, soon] = [timed("done", 20, ended), timed("late", 60, ended), timed("soon", 20, ended)];
  deadlines.add(done);
  deadlines.add(late);
  deadlines.delete(done);
  deadlines.delete(done);
  deadlines.add(soon); // in the place of the first one
  deadlines.add(soon);
  deadlines.delete(done);
  const last = new Promise<void>((resolve) => {
    deadlines.add({ deadline: performance.now() + 90, slot: -1, expire: resolve });
  });
  await last;
  assert.deepEqual(ended, ["soon", "late"]);
  // Nothing is left of many that came and went.
  for (let index = 0; index < 10_000; index++) {
    const short = timed("short", 5, ended);
    deadlines.add(short);
    deadlines.delete(short);
  }
  assert.equal(done.slot, -1);
  deadlines.close();
});
