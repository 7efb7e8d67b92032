/**
 * The bytes that an event takes in a Deno KV file: through the store, and bare. Its data has 256 bytes that no compression
 * makes much shorter.
 *
 * @module
 */

import { DenoKvEventStore } from "../../mod.ts";
import { incompressible } from "../support/kv_forgery.ts";
import { kvBytes } from "../support/kv_size.ts";
import { concurrently } from "./harness.ts";

/** How events are appended: to how many actors in turn, how many appends at once, and how many events each. */
interface Way {
  readonly actors: number;
  readonly atOnce: number;
  readonly eventsPerCommit: number;
  /** Where the bytes go. */
  readonly note?: string;
}

/** The ways that are measured. */
export const WAYS: Readonly<Record<string, Way>> = {
  "64-at-once": { actors: 64, atOnce: 64, eventsPerCommit: 1 },
  "alone": { actors: 64, atOnce: 1, eventsPerCommit: 1 },
  "commits-of-10": { actors: 64, atOnce: 1, eventsPerCommit: 10 },
  "5000-actors-64-at-once": {
    actors: 5_000,
    atOnce: 64,
    eventsPerCommit: 1,
    note:
      "270 bytes are the log's own compressed copy: with names alone in the log, reading it took several times as " +
      "long; with events in the log alone, an actor's history two to three times as long",
  },
  "5000-actors-alone": {
    actors: 5_000,
    atOnce: 1,
    eventsPerCommit: 1,
    note:
      "590 bytes are the log's own copy, which is small and therefore not compressed, with its key and its place in the index",
  },
};

const data = (): unknown => ({ note: incompressible(245) });

/** Through the store. */
export async function storeBytes(
  path: string,
  { actors, atOnce, eventsPerCommit }: Way,
  events: number,
): Promise<number> {
  {
    await using store = await DenoKvEventStore.open(path);
    await concurrently(events / eventsPerCommit, atOnce, (index) => {
      const list = Array.from(
        { length: eventsPerCommit },
        () => ({ eventType: "OrderPlaced", data: data() }),
      );
      return store.append(`order-${index % actors}`, list, { expectedVersion: "any" });
    });
  }
  return kvBytes(path) / events;
}

/** Bare: one key an event, in the order in which the store writes them. */
export async function rawBytes(
  path: string,
  { actors, eventsPerCommit }: Way,
  events: number,
): Promise<number> {
  {
    using kv = await Deno.openKv(path);
    const encoder = new TextEncoder();
    for (let begin = 0; begin < events; begin += 500) {
      let operation = kv.atomic();
      for (let index = begin; index < Math.min(events, begin + 500); index++) {
        const commit = Math.floor(index / eventsPerCommit);
        const actorId = `order-${commit % actors}`;
        const version = Math.floor(commit / actors) * eventsPerCommit + index % eventsPerCommit + 1;
        const event = {
          id: crypto.randomUUID(),
          eventType: "OrderPlaced",
          actorId,
          version,
          data: data(),
          timestamp: new Date().toISOString(),
        };
        operation = operation.set(["raw", actorId, version], encoder.encode(JSON.stringify(event)));
      }
      await operation.commit();
    }
  }
  return kvBytes(path) / events;
}
