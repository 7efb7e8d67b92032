/**
 * The buses beside `EventTarget` and bare NATS, and saves with a bus and with telemetry beside saves without.
 *
 * @module
 */

import { connect, type NatsConnection } from "@nats-io/transport-node";
import assert from "node:assert/strict";
import { type Event, LocalEventBus, NatsEventBus } from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { input } from "./order_input.ts";
import { saveRows } from "./bus_saves.ts";
import { type Group, type GroupOptions, rate, type Row } from "./harness.ts";

/** Publications that are made before the subscribers get their turn. */
const TURN = 500;

/** Publishes to subscribers in this process, each of which counts. */
async function publishLocally(count: number, subscribers: number): Promise<number> {
  await using bus = new LocalEventBus();
  let handled = 0;
  for (let index = 0; index < subscribers; index++) {
    bus.subscribe("orders").forEach(() => {
      handled++;
    });
  }
  const result = await rate(count, async () => {
    for (let index = 0; index < count; index++) {
      const publication = bus.publish("orders", input(index));
      if (index % TURN === TURN - 1) await publication;
    }
    while (handled < count * subscribers) await Promise.resolve();
  });
  assert.equal(handled, count * subscribers);
  return result;
}

/** Passes an event on as it is. */
const asItIs = (event: unknown): unknown => event;

/** A copy that no listener can change, and no later change of the original. */
function frozenCopy(event: { readonly data: object }): unknown {
  const copy = structuredClone(event);
  Object.freeze(copy.data);
  return Object.freeze(copy);
}

/** Dispatches to listeners of an `EventTarget`, each of which counts. */
async function dispatch(count: number, listeners: number, pass: typeof frozenCopy = asItIs): Promise<number> {
  const target = new EventTarget();
  let handled = 0;
  for (let index = 0; index < listeners; index++) target.addEventListener("orders", () => void handled++);
  const result = await rate(count, () => {
    for (let index = 0; index < count; index++) {
      target.dispatchEvent(new CustomEvent("orders", { detail: pass(input(index)) }));
    }
    return Promise.resolve();
  });
  assert.equal(handled, count * listeners);
  return result;
}

/** Events that are on their way over NATS at the most. */
const WINDOW = 1_000;

async function publishOverNats(
  publisher: NatsConnection,
  listener: NatsConnection,
  count: number,
): Promise<number> {
  await using sending = new NatsEventBus(publisher);
  await using receiving = new NatsEventBus(listener);
  const subscription = receiving.subscribe("orders", { buffer: WINDOW * 2 });
  await subscription.ready;
  let handled = 0;
  let arrival = Promise.withResolvers<void>();
  subscription.forEach(({ data }) => {
    assert((data as { items: number }).items === 3);
    handled++;
    arrival.resolve();
  });
  return await rate(count, async () => {
    for (let index = 0; index < count; index++) {
      sending.publish("orders", input(index));
      while (index - handled >= WINDOW) {
        arrival = Promise.withResolvers();
        await arrival.promise;
      }
    }
    while (handled < count) {
      arrival = Promise.withResolvers();
      await arrival.promise;
    }
  });
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function publishBare(
  publisher: NatsConnection,
  listener: NatsConnection,
  count: number,
): Promise<number> {
  let handled = 0;
  let arrival = Promise.withResolvers<void>();
  const subscription = listener.subscribe("bare.orders.>", {
    callback: (_error, { data }) => {
      assert((JSON.parse(decoder.decode(data)) as Event<string, { items: number }>).data.items === 3);
      handled++;
      arrival.resolve();
    },
  });
  await listener.flush();
  const result = await rate(count, async () => {
    for (let index = 0; index < count; index++) {
      const event = input(index);
      publisher.publish(
        `bare.orders.${event.eventType}.${event.actorId}`,
        encoder.encode(JSON.stringify(event)),
      );
      while (index - handled >= WINDOW) {
        arrival = Promise.withResolvers();
        await arrival.promise;
      }
    }
    while (handled < count) {
      arrival = Promise.withResolvers();
      await arrival.promise;
    }
  });
  subscription.unsubscribe();
  return result;
}

/** The rows of the buses and of telemetry. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const server = await startNatsServer();
  const connections = await Promise.all([connect({ servers: server.url }), connect({ servers: server.url })]);
  const [publisher, listener] = connections as [NatsConnection, NatsConnection];
  const local = quick ? 50_000 : 200_000;
  const nats = quick ? 20_000 : 100_000;
  const rows: Row[] = [
    ...[1, 10, 100].map((subscribers): Row => {
      const count = subscribers === 100 ? local / 10 : local;
      return {
        name: `local-${subscribers}-subscribers`,
        unit: "publications/s",
        goal: { op: ">=", value: 0.8 },
        baseline:
          "EventTarget with as many listeners; it neither validates nor copies, which is 0.55 of the 0.7 us " +
          "that a publication takes here, where a dispatch takes 0.2; each further subscriber takes 0.03 in both",
        measureOurs: () => publishLocally(count, subscribers),
        measureBaseline: () => dispatch(count, subscribers),
      };
    }),
    {
      name: "local-1-subscriber-over-frozen-copies",
      unit: "publications/s",
      goal: { op: ">=", value: 1 },
      baseline: "EventTarget, each event a structuredClone that is frozen",
      measureOurs: () => publishLocally(local, 1),
      measureBaseline: () => dispatch(local, 1, frozenCopy),
    },
    {
      name: "nats-publish-and-deliver",
      unit: "events/s",
      goal: { op: ">=", value: 0.8 },
      baseline:
        "bare nc.publish and nc.subscribe with JSON; here 0.6 us of 11 validate and copy what is published, " +
        "and 0.4 check and freeze what arrives",
      measureOurs: () => publishOverNats(publisher, listener, nats),
      measureBaseline: () => publishBare(publisher, listener, nats),
    },
    ...saveRows(quick),
  ];
  return {
    rows,
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(connections.map((connection) => connection.close()));
      await server.stop();
    },
  };
}
