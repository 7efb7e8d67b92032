/** The holder's clocks: what `isHeld` says before any timer has run. */
import assert from "node:assert/strict";
import {
  type Bucket,
  type Clock,
  InMemoryBucket,
  InMemoryLeases,
  type Lease,
} from "../../src/cluster/mod.ts";
import { BucketLeaseStore } from "../../src/cluster/lease_store.ts";

/** Clocks that stand still until they are moved, and timers that never fire: a process that is suspended. */
class SuspendedClock implements Clock {
  time = { monotonic: 1000, wall: 1_700_000_000_000 };
  monotonic = (): number => this.time.monotonic;
  wall = (): number => this.time.wall;
  setTimer = (): () => void => () => {};

  move(monotonic: number, wall: number): void {
    this.time = { monotonic: this.time.monotonic + monotonic, wall: this.time.wall + wall };
  }
}

/** 10 s, less 1 % for the clocks' rates, less 1 s for their skew. */
const TERMS = { ttl: 10_000, maxClockSkew: 1000 };
const HELD_FOR = 8900;

async function hold(clock: Clock): Promise<Lease> {
  return await new InMemoryLeases(new InMemoryBucket(clock), { clock }).acquire("key", TERMS);
}

Deno.test("Lease.isHeld is false as soon as the monotonic clock has passed the deadline", async () => {
  const clock = new SuspendedClock();
  const lease = await hold(clock);
  clock.move(HELD_FOR - 1, HELD_FOR - 1);
  assert.equal(lease.isHeld, true);
  clock.move(1, -HELD_FOR);
  assert.equal(lease.isHeld, false);
  assert.equal(lease.status, "expired");
  assert(lease.signal.aborted);
});

Deno.test("Lease.isHeld is false as soon as the wall clock has passed the deadline: the machine slept", async () => {
  const clock = new SuspendedClock();
  const lease = await hold(clock);
  clock.move(1, HELD_FOR);
  assert.equal(lease.isHeld, false);
});

Deno.test("Lease.isHeld stays false when the wall clock is set back afterwards", async () => {
  const clock = new SuspendedClock();
  const lease = await hold(clock);
  clock.move(0, HELD_FOR);
  assert.equal(lease.isHeld, false);
  clock.move(0, -HELD_FOR);
  assert.equal(lease.isHeld, false);
});

Deno.test("Lease counts its time from when the acquisition was sent", async () => {
  const clock = new SuspendedClock();
  const memory = new InMemoryBucket(clock);
  const slow: Bucket = {
    get: (key) => memory.get(key),
    remove: (key, expected) => memory.remove(key, expected),
    watch: (patterns, listener) => memory.watch(patterns, listener),
    put: async (key, value, options) => {
      const revision = await memory.put(key, value, options);
      clock.move(3000, 3000);
      return revision;
    },
  };
  const lease = await new BucketLeaseStore(slow, { clock }).acquire("key", TERMS);
  clock.move(HELD_FOR - 3001, HELD_FOR - 3001);
  assert.equal(lease.isHeld, true);
  clock.move(1, 1);
  assert.equal(lease.isHeld, false);
});
