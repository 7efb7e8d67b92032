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
import { eventData, rawEvent } from "./kv_append.ts";

const PER_ACTOR = 10;
const IN_FLIGHT = 512;

/** Events in one bare operation: as many as its 100 checks allow, like a copy's where all are of different actors. */
const IN_OPERATION = 95;

/** Bare operations, one after the other, as the order of a log requires: for each event a check and its key, and the log. */
async function copyBare(path: string, actors: number): Promise<void> {
  using kv = await Deno.openKv(path);
  for (let begin = 0; begin < actors * PER_ACTOR; begin += IN_OPERATION) {
    let operation = kv.atomic();
    const end = Math.min(actors * PER_ACTOR, begin + IN_OPERATION);
    for (let index = begin; index < end; index++) {
      const version = Math.floor(index / actors) + 1;
      const key = ["raw", "event", `order-${index % actors}`, version];
      operation = operation.check({ key, versionstamp: null }).set(key, rawEvent(index % actors, version));
    }
    const log = ["raw", "commit", kv.commitVersionstamp()] as readonly unknown[] as Deno.KvKey;
    assert((await operation.set(log, new Uint8Array(4_000)).commit()).ok);
  }
}

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
      {
        name: "copy into Deno KV over bare operations",
        unit: "events/s",
        baseline:
          "the same keys and checks in bare atomic operations, which take 44 of the 65 us of processor time that an " +
          "event takes to be copied; 600 events in an operation without checks take 0.8 of that, since each event changes " +
          "a page of its actor; copyEvents reads all again besides",
        measureOurs: async () => {
          await using to = await DenoKvEventStore.open(`${folder}/${++number}.kv`);
          return await rate(events, async () => assert.equal((await copyEvents(from, to)).copied, events));
        },
        measureBaseline: () => rate(events, () => copyBare(`${folder}/${++number}.kv`, actors)),
      },
      row("JetStream", () => JetStreamEventStore.open(server.url, { namespace: `copy-${++number}` })),
    ],
    async [Symbol.asyncDispose](): Promise<void> {
      await server.stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
