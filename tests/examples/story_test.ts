import assert from "node:assert/strict";
import { Workplace } from "./start_program.ts";

Deno.test("start prints the story of an order, and goes on with it in further runs", async () => {
  await using place = await Workplace.make();

  const first = await place.succeed();
  assert.match(first, /Events are kept in .*aether start .*aether-data, namespace "orders"/);
  assert.match(first, /the story begins/);
  assert.match(first, /State of order-123 after replaying 2 events:\n {2}Status: +shipped/);
  assert.deepEqual(await eventTypes(place), ["order-123 1 OrderPlaced", "order-123 2 OrderShipped"]);

  const second = await place.succeed();
  assert.match(second, /going on behind order-123, which has 2 events/);
  assert.match(second, /State of order-123 after replaying 3 events:\n {2}Status: +delivered/);
  assert.deepEqual(await eventTypes(place), [
    "order-123 1 OrderPlaced",
    "order-123 2 OrderShipped",
    "order-123 3 OrderDelivered",
    "order-124 1 OrderPlaced",
    "order-124 2 OrderShipped",
  ]);
});

Deno.test("start can run several times at once: every order is placed, shipped and delivered once", async () => {
  await using place = await Workplace.make();
  await place.succeed();
  const outputs = await Promise.all([1, 2, 3].map(() => place.run()));
  for (const { code, stderr } of outputs) assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  const types = await eventTypes(place);
  assert.equal(new Set(types).size, types.length);
  assert.deepEqual(types.filter((type) => type.endsWith("OrderPlaced")).sort(), [
    "order-123 1 OrderPlaced",
    "order-124 1 OrderPlaced",
    "order-125 1 OrderPlaced",
    "order-126 1 OrderPlaced",
  ]);
});

Deno.test("start --data keeps the events in another folder", async () => {
  await using place = await Workplace.make();
  assert.match(await place.succeed("--data", "else where"), /Events are kept in .*else where/);
  assert.match(
    await place.succeed("show", "order-123", "--data", "else where"),
    /OrderShipped {2}FastShip, FS123456/,
  );
  assert.deepEqual([...Deno.readDirSync(place.path)].map(({ name }) => name), ["else where"]);
});

Deno.test("start prints in one line that its data folder cannot be made", async () => {
  await using place = await Workplace.make();
  await place.write("taken", "");
  const complaint = await place.fail(1, "--data", "taken");
  assert.match(complaint, /^.*taken.*\n$/);
});

async function eventTypes(place: Workplace): Promise<string[]> {
  const events = await place.readAll("orders");
  return events.map(({ actorId, version, eventType }) => `${actorId} ${version} ${eventType}`);
}
