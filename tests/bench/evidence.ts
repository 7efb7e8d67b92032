/**
 * Export and import beside `copyEvents`, which moves the same events without a file between. The rows of seals and proofs, and
 * those of personal data, are in files of their own.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  copyEvents,
  DenoKvEventStore,
  type EventStore,
  exportEvents,
  importEvents,
  InMemoryEventStore,
  JetStreamEventStore,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { personalRows } from "./evidence_personal.ts";
import { evidenceSealRows } from "./evidence_seal.ts";
import { type Group, type GroupOptions, rate, type Row } from "./harness.ts";
import { eventData } from "./kv_append.ts";

const PER_ACTOR = 10;

/** All rows. */
export async function open(options: GroupOptions): Promise<Group> {
  const { quick } = options;
  const seals = await evidenceSealRows(options);
  const actors = quick ? 500 : 2_000;
  const events = actors * PER_ACTOR;
  const server = await startNatsServer();
  const folder = await Deno.makeTempDir();
  let number = 0;
  const source = new InMemoryEventStore();
  for (let version = 0; version < PER_ACTOR; version++) {
    for (let actor = 0; actor < actors; actor++) {
      const event = { eventType: "OrderPlaced", data: eventData(version) };
      await source.append(`order-${actor}`, [event], { expectedVersion: version });
    }
  }
  const exported = `${folder}/source.ndjson`;
  await exportEvents(source, exported);
  const kinds: Readonly<Record<string, () => Promise<EventStore>>> = {
    "Deno KV": () => DenoKvEventStore.open(`${folder}/${++number}.kv`),
    "JetStream": () => JetStreamEventStore.open(server.url, { namespace: `evidence-${++number}` }),
  };
  const filled: EventStore[] = [];
  const rows: Row[] = [];
  for (const [name, openStore] of Object.entries(kinds)) {
    const store = await openStore();
    filled.push(store);
    await copyEvents(source, store);
    const baseline = async (from: EventStore): Promise<number> => {
      await using to = await openStore();
      return await rate(events, async () => assert.equal((await copyEvents(from, to)).copied, events));
    };
    rows.push({
      name: `export from ${name} to a file`,
      unit: "events/s",
      goal: { op: ">=", value: 0.8 },
      baseline: `copyEvents from ${name} to ${name}`,
      measureOurs: () =>
        rate(events, async () => {
          assert.equal((await exportEvents(store, `${folder}/${++number}.ndjson`)).events, events);
        }),
      measureBaseline: () => baseline(store),
    }, {
      // A file is read, parsed and hashed twice, which a copy from memory has no part of: about 40 us an event.
      name: `import from a file into ${name}`,
      unit: "events/s",
      goal: { op: ">=", value: 0.8 },
      baseline: `copyEvents from memory to ${name}`,
      measureOurs: async () => {
        await using to = await openStore();
        return await rate(
          events,
          async () => assert.equal((await importEvents(exported, to)).imported, events),
        );
      },
      measureBaseline: () => baseline(source),
    });
  }
  return {
    rows: [...seals.rows, ...rows, ...await personalRows(quick)],
    async [Symbol.asyncDispose](): Promise<void> {
      await seals[Symbol.asyncDispose]();
      for (const store of filled) await store.close();
      await server.stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
