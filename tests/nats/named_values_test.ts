import assert from "node:assert/strict";
import { InvalidArgumentError, JetStreamLeases, LocalEventBus } from "../../mod.ts";

Deno.test("a wrong option of a bus or of a bucket is named with its value", async () => {
  await using bus = new LocalEventBus();
  const url = "nats://127.0.0.1:1";
  const calls: [string, string, () => unknown][] = [
    ["options.buffer", "-3", () => bus.subscribe("n", { buffer: -3 })],
    ["options.overflow", "drop", () => bus.subscribe("n", { overflow: "drop" as "error" })],
    ["options.replicas", "2", () => JetStreamLeases.open(url, { replicas: 2 })],
    ["options.storage", "disk", () => JetStreamLeases.open(url, { storage: "disk" as "file" })],
    ["options.bucket", "a b", () => JetStreamLeases.open(url, { bucket: "a b" })],
  ];
  for (const [argument, value, call] of calls) {
    await assert.rejects(async () => await call(), (error) => {
      assert(error instanceof InvalidArgumentError, argument);
      assert.equal(error.argument, argument);
      assert(error.message.includes(value), error.message);
      return true;
    });
  }
});
