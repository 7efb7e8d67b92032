import assert from "node:assert/strict";
import { LocalEventBus } from "../../src/bus/mod.ts";
import { testEventBus } from "../../src/testing/mod.ts";

testEventBus("LocalEventBus", {
  sharing: false,
  setUp: () => ({ open: (options) => new LocalEventBus(options) }),
});

Deno.test("LocalEventBus: onLoss that publishes to its own full buffer is called once for each publication", async () => {
  await using bus = new LocalEventBus({ onWarning: () => {} });
  const happened = { eventType: "Happened", actorId: "a", version: 1, data: null };
  let losses = 0;
  const subscription = bus.subscribe("orders", {
    buffer: 1,
    onLoss: () => {
      losses++;
      void bus.publish("orders", happened);
    },
  });
  for (let index = 0; index < 3; index++) await bus.publish("orders", happened);
  assert.equal(losses, 2);
  assert.equal(subscription.lost, 4); // two publications, and the one that onLoss made at each
});
