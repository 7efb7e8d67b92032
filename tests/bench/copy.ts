/**
 * `copyEvents`, which keeps the order of the log and reads everything again, beside the same events saved in no order
 * at all, as many at once as the store likes. Neighbouring events are of different actors: the worst case for the order.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  copyEvents,
  DenoKvEventStore,
  type EventStore,
  InMemoryEventStore,
  JetStreamEventStore,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { concurrently, type Group, type GroupOptions, rate, type Row } from "./harness.ts";
import { eventData } from "./kv_append.ts";

const PER_ACTOR = 10;
const IN_FLIGHT = 512;

/** The rows of copies into the stores that last. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const actors = quick ? 500 : 2_000;
  const events = actors * PER_ACTOR;
  const from = new InMemoryEventStore();
  for (let version = 0; version < PER_ACTOR; version++) {
    for (let actor = 0; actor < actors; actor++) {
      const event = { eventType: "OrderPlaced", data: eventData(version) };
      await from.append(`order-${actor}`, [event], { expectedVersion: version });
    }
  }
  const server = await startNatsServer();
  const folder = await Deno.makeTempDir();
  let number = 0;

  const row = (name: string, openStore: () => Promise<EventStore>): Row => ({
    name: `copy into ${name}`,
    unit: "events/s",
    baseline: `the same saved in no order, ${IN_FLIGHT} at once`,
    measureOurs: async () => {
      await using to = await openStore();
      return await rate(events, async () => assert.equal((await copyEvents(from, to)).copied, events));
    },
    measureBaseline: async () => {
      await using to = await openStore();
      const result = await rate(events, () =>
        concurrently(actors, IN_FLIGHT, async (actor) => {
          for (const event of await from.getEvents(`order-${actor}`)) await to.saveEvent(event);
        }));
      const { ok, events: stored } = await to.verify();
      assert.deepEqual([ok, stored], [true, events]);
      return result;
    },
  });
  return {
    rows: [
      row("Deno KV", () => DenoKvEventStore.open(`${folder}/${++number}.kv`)),
      row("JetStream", () => JetStreamEventStore.open(server.url, { namespace: `copy-${++number}` })),
    ],
    async [Symbol.asyncDispose](): Promise<void> {
      await server.stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
