/**
 * What must hold when all is over, whatever was killed.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { EventStore, StoredEvent } from "@flowmade-one/aether";
import { shardOf } from "@flowmade-one/aether/cluster";
import { assertExclusive, readLogs } from "../cluster/processes/merged_log.ts";
import type { Acknowledged } from "./client.ts";
import { TURNOVER, type Turnover } from "./projections.ts";
import { carrierOf, SHARDS, type ShopEvent, STEPS, totalOf } from "./shop.ts";

type Stored = StoredEvent<ShopEvent>;

/** Every event of the log, each once, and the histories of its actors. */
export async function readLog(store: EventStore<ShopEvent>): Promise<readonly Stored[]> {
  const log = await Array.fromAsync(store.readAll()) as Stored[];
  assert.equal(new Set(log.map(({ id }) => id)).size, log.length, "an id stands twice");
  assert.deepEqual(log.map(({ position }) => position), log.map(({ position }) => position).toSorted());
  for (const [actorId, events] of Map.groupBy(log, (event) => event.actorId)) {
    assert.deepEqual(await store.getEvents(actorId), events, `${actorId} and the log do not agree`);
    assert.deepEqual(events.map(({ version }) => version), events.map((_, index) => index + 1), actorId);
  }
  return log;
}

/** What was acknowledged is there, once and as it was answered; nothing was done twice. */
export function assertAcknowledged(log: readonly Stored[], acknowledged: readonly Acknowledged[]): void {
  const byPosition = new Map(log.map((event) => [event.position, event]));
  for (const { order, step, request, id, version, position } of acknowledged) {
    const { actorId, eventType, data, ...event } = byPosition.get(position) ??
      assert.fail(`${request} is lost`);
    assert.deepEqual({ actorId, eventType, id: event.id, version: event.version }, {
      actorId: order,
      eventType: STEPS[step].eventType,
      id,
      version,
    });
    assert.equal((data as { request: string }).request, request);
  }
  const requests = log.flatMap(({ data }) => "request" in data ? [data.request] : []);
  assert.equal(new Set(requests).size, requests.length, "a request was executed twice");
}

/** Each order's history is legal, and written by one owner after another. */
export function assertOrders(log: readonly Stored[]): void {
  const orders = Map.groupBy(
    log.filter(({ actorId }) => actorId.startsWith("order-")),
    ({ actorId }) => actorId,
  );
  const owners = new Map<string, string>(); // by shard and token
  for (const [order, events] of orders) {
    let status: string = "unknown";
    let token = 0;
    for (const { eventType, metadata } of events) {
      const step = Object.values(STEPS).find((step) => step.eventType === eventType);
      assert.equal(step?.from, status, `${order}: ${eventType} when it was ${status}`);
      status = step.to;
      const own = Number(metadata?.["fencingToken"]);
      assert(own >= token, `${order}: an owner of the past, ${own} after ${token}`);
      token = own;
      const node = metadata?.["node"] ?? "";
      const ownership = `shard ${shardOf(order, SHARDS)} under token ${own}`;
      assert.equal(owners.get(ownership) ?? node, node, `two owners of ${ownership}`);
      owners.set(ownership, node);
    }
  }
}

/** Each reaction's event is there exactly once for its cause, and for nothing else. */
export function assertReactions(log: readonly Stored[]): void {
  const paid = log.filter(({ eventType }) => eventType === "OrderPaid");
  const shipments = log.filter(({ eventType }) => eventType === "ShipmentRequested");
  const parcels = log.filter(({ eventType }) => eventType === "ParcelBooked");
  const causes = (events: readonly Stored[]): unknown[] =>
    events.map(({ actorId, metadata }) => [actorId, metadata?.causationId]).toSorted();
  assert.deepEqual(
    causes(shipments),
    paid.map(({ id, actorId }) => [`shipment-of-${actorId}`, id]).toSorted(),
    "shipments",
  );
  const orderOf = (event: Stored): string => (event.data as { order: string }).order;
  assert.deepEqual(
    causes(parcels),
    shipments.map((event) => [carrierOf(orderOf(event)), event.id]).toSorted(),
    "parcels",
  );
}

/** The read models are those that are computed from the log. */
export async function assertReadModels(log: readonly Stored[], kv: Deno.Kv): Promise<void> {
  const paid = log.filter(({ eventType }) => eventType === "OrderPaid");
  const expected: Turnover = {
    orders: paid.length,
    total: paid.reduce((sum, { actorId }) => sum + totalOf(actorId), 0),
  };
  assert.deepEqual((await kv.get<Turnover>(TURNOVER)).value, expected, "turnover");
  const journal: [unknown, unknown][] = [];
  for await (const { key, value } of kv.list({ prefix: ["journal"] })) journal.push([key[1], value]);
  assert.deepEqual(journal, log.map(({ position, id }) => [position, id]), "journal");
}

/** At no moment did two services work on one shard. */
export async function assertOneHolder(folder: string, atLeast: number): Promise<void> {
  const actions = await readLogs(folder);
  assert(actions.length >= atLeast, `only ${actions.length} commands were executed`);
  assertExclusive(actions);
}
