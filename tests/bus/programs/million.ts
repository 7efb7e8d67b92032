/**
 * Publishes a million events to ten subscribers, some of them slow, and prints how the heap has grown.
 *
 * @module
 */

import { LocalEventBus } from "../../../src/bus/mod.ts";

const EVENTS = 1_000_000;
const FIRST = 100_000;
const SLOW = 3;

/** The heap in use, in bytes, after a full collection. */
function heapUsed(): number {
  // deno-lint-ignore no-explicit-any -- given by --expose-gc
  (globalThis as any).gc();
  return Deno.memoryUsage().heapUsed;
}

await using bus = new LocalEventBus({ onWarning: () => {} });
const counts = Array.from({ length: 10 }, () => 0);
const subscriptions = counts.map((_, index) => {
  const subscription = bus.subscribe("orders", { buffer: 1_000 });
  const slow = index < SLOW;
  subscription.forEach(() => {
    counts[index]!++;
    // A slow one takes an event a turn of the event loop.
    return slow ? new Promise<void>((resolve) => setTimeout(resolve, 0)) : undefined;
  });
  return subscription;
});
let first = 0;
for (let version = 1; version <= EVENTS; version++) {
  await bus.publish("orders", {
    eventType: "Happened",
    actorId: `order-${version % 1_000}`,
    version,
    data: { version },
  });
  if (version % 1_000 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  if (version === FIRST) first = heapUsed();
}
const last = heapUsed();
const lost = subscriptions.map((subscription) => subscription.lost);
const pending = subscriptions.map((subscription) => subscription.pending);
console.log(JSON.stringify({ first, last, counts, lost, pending }));
await Promise.all(subscriptions.map((subscription) => subscription.close()));
