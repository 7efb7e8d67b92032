import assert from "node:assert/strict";
import { type Clock, systemClock, Wakeup } from "../../src/cluster/clock.ts";

Deno.test("Wakeup.sleep() ends when it is woken while the timer is being set", async () => {
  let cancelled = 0;
  const clock: Clock = {
    ...systemClock,
    setTimer: () => {
      wakeup.notify(); // As a microtask does that runs inside setTimeout.
      return () => cancelled++;
    },
  };
  const wakeup = new Wakeup(clock);
  assert.equal(await wakeup.sleep(60_000), true);
  assert.equal(cancelled, 1);
});

Deno.test("Wakeup.sleep() keeps a notification that arrives before it", async () => {
  const wakeup = new Wakeup(systemClock);
  wakeup.notify();
  assert.equal(await wakeup.sleep(), true);
  assert.equal(await wakeup.sleep(1), false);
});
