import assert from "node:assert/strict";
import { Coordinator, InMemoryBucket } from "@flowmade-one/aether";
import { Wakeup } from "../../src/cluster/clock.ts";

// The first test of this file: only the first timer of a Deno process runs waiting microtasks before it returns.
Deno.test("Coordinator.join() on a bucket in memory does not wait for its own patience to end", async () => {
  const begin = performance.now();
  await using _node = await Coordinator.join(new InMemoryBucket(), { name: "a" });
  assert.ok(performance.now() - begin < 10_000);
});

Deno.test("Wakeup.sleep() ends at a notify() that comes while its timer is being set", async () => {
  let cancelled = false;
  const wakeup: Wakeup = new Wakeup({
    monotonic: () => 0,
    wall: () => 0,
    setTimer: () => {
      wakeup.notify();
      return () => cancelled = true;
    },
  });
  assert.equal(await wakeup.sleep(60_000), true);
  assert.ok(cancelled);
});
