/** The invariants of the whole-system test can fail: each defect is found in a log that has it. */

import assert from "node:assert/strict";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import type { Acknowledged } from "./client.ts";
import {
  assertAcknowledged,
  assertOrders,
  assertReactions,
  assertReadModels,
  readLog,
} from "./invariants.ts";
import { TURNOVER } from "./projections.ts";
import { carrierOf, type ShopEvent, totalOf } from "./shop.ts";

/** One order that went well, and what else is to be stored after it. */
async function logWith(...more: readonly [actorId: string, event: object][]): Promise<Log> {
  await using store = new InMemoryEventStore<ShopEvent>();
  const by = (token: number): object => ({
    metadata: { node: `node-${token}`, fencingToken: String(token) },
  });
  const append = async (actorId: string, event: object): Promise<string> => {
    const [stored] = await store.append(actorId, [event as never], { expectedVersion: "any" });
    return stored!.id;
  };
  const order = "order-1";
  await append(order, { eventType: "OrderPlaced", data: { request: "a", total: totalOf(order) }, ...by(1) });
  const paid = await append(order, { eventType: "OrderPaid", data: { request: "b" }, ...by(2) });
  const shipment = await append(`shipment-of-${order}`, {
    eventType: "ShipmentRequested",
    data: { order },
    metadata: { causationId: paid },
  });
  await append(carrierOf(order), {
    eventType: "ParcelBooked",
    data: { order },
    metadata: { causationId: shipment },
  });
  for (const [actorId, event] of more) await append(actorId, event);
  return await readLog(store);
}

type Log = Awaited<ReturnType<typeof readLog>>;

/** What a client was told of the payment. */
function acknowledged(log: Log): Acknowledged {
  const { id, version, position } = log[1]!;
  return { order: "order-1", step: "pay", request: "b", id, version, position };
}

Deno.test("a log without a fault passes", async () => {
  const log = await logWith();
  assertAcknowledged(log, [acknowledged(log)]);
  assertOrders(log);
  assertReactions(log);
});

Deno.test("an answer that is lost, or that was another, is found", async () => {
  const log = await logWith();
  const answer = acknowledged(log);
  assert.throws(() => assertAcknowledged(log.toSpliced(1, 1), [answer]), /lost/);
  assert.throws(() => assertAcknowledged(log, [{ ...answer, id: "another" }]));
  assert.throws(() => assertAcknowledged(log, [{ ...answer, version: 1 }]));
  assert.throws(() => assertAcknowledged(log, [{ ...answer, request: "c" }]));
});

Deno.test("a request that was executed twice is found", async () => {
  const log = await logWith(["order-2", { eventType: "OrderPlaced", data: { request: "a", total: 1 } }]);
  assert.throws(() => assertAcknowledged(log, []), /twice/);
});

Deno.test("a history that is not legal, and an owner of the past, are found", async () => {
  const cancelled = { eventType: "OrderCancelled", data: { request: "c" } };
  const by = (node: string, token: number): object => ({
    metadata: { node, fencingToken: String(token) },
  });
  const illegal = await logWith(["order-1", { ...cancelled, ...by("node-2", 2) }]);
  assert.throws(() => assertOrders(illegal), /when it was paid/);
  const placed = { eventType: "OrderPlaced", data: { request: "d", total: 1 } };
  const late = await logWith(["order-9", { ...placed, ...by("node-5", 5) }], [
    "order-9",
    { ...cancelled, ...by("node-4", 4) },
  ]);
  assert.throws(() => assertOrders(late), /an owner of the past/);
  const two = await logWith(["order-9", { ...placed, ...by("node-5", 5) }], [
    "order-9",
    { ...cancelled, ...by("node-6", 5) },
  ]);
  assert.throws(() => assertOrders(two), /two owners/);
});

Deno.test("a reaction that is missing, doubled or without its cause is found", async () => {
  const log = await logWith();
  assert.throws(() => assertReactions(log.toSpliced(2, 1)), /shipments/);
  assert.throws(() => assertReactions(log.toSpliced(3, 1)), /parcels/);
  const again = { eventType: "ShipmentRequested", data: { order: "order-1" } };
  const doubled = await logWith(["shipment-of-order-1", { ...again, metadata: { causationId: log[1]!.id } }]);
  assert.throws(() => assertReactions(doubled), /shipments/);
  assert.throws(
    () => assertReactions([...log.slice(0, 3), { ...log[3]!, metadata: {} } as never]),
    /parcels/,
  );
});

Deno.test("a read model that counts twice, or has left something out, is found", async () => {
  const log = await logWith();
  const kv = await Deno.openKv(":memory:");
  try {
    await kv.set(TURNOVER, { orders: 1, total: totalOf("order-1") });
    for (const { position, id } of log) await kv.set(["journal", position], id);
    await assertReadModels(log, kv);
    await kv.delete(["journal", log[0]!.position]);
    await assert.rejects(assertReadModels(log, kv), /journal/);
    await kv.set(TURNOVER, { orders: 2, total: 2 * totalOf("order-1") });
    await assert.rejects(assertReadModels(log, kv), /turnover/);
  } finally {
    kv.close();
  }
});
