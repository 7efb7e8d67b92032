/**
 * Export and import beside `copyEvents`, which moves the same events without a file between; and what it costs to encrypt a
 * personal field. The rows of seals and proofs are in a file of their own.
 *
 * @module
 */

import assert from "node:assert/strict";
import process from "node:process";
import {
  copyEvents,
  DenoKvEventStore,
  type EventStore,
  exportEvents,
  importEvents,
  InMemoryEventStore,
  JetStreamEventStore,
  Vault,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { evidenceSealRows } from "./evidence_seal.ts";
import { type Group, type GroupOptions, once, rate, type Row } from "./harness.ts";
import { eventData } from "./kv_append.ts";

const PER_ACTOR = 10;
/** The most that the encryption of an event with one field of 256 bytes may take, in microseconds. */
const MAX_MICROSECONDS = 15;
/** After so many events the code is compiled. */
const COMPILED_AFTER = 40_000;

/** The rows of export, import and encryption. */
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
    rows: [...seals.rows, ...rows, ...await encryptionRows(quick ? 5_000 : 20_000)],
    async [Symbol.asyncDispose](): Promise<void> {
      await seals[Symbol.asyncDispose]();
      for (const store of filled) await store.close();
      await server.stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** The time that the process has used processors for, in microseconds. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** How long the cipher alone takes, in microseconds of the processor. */
async function bareCipher(count: number): Promise<number> {
  const { createCipheriv } = await import("node:crypto");
  const key = crypto.getRandomValues(new Uint8Array(32));
  const text = new TextEncoder().encode("n".repeat(256));
  const begin = processorTime();
  for (let index = 0; index < count; index++) {
    const cipher = createCipheriv("aes-256-gcm", key, crypto.getRandomValues(new Uint8Array(12)));
    cipher.setAAD(text.subarray(0, 40));
    cipher.update(text);
    cipher.final();
    cipher.getAuthTag();
  }
  return (processorTime() - begin) / count;
}

async function encryptionRows(count: number): Promise<readonly Row[]> {
  const masterKey = { id: "bench", secret: crypto.getRandomValues(new Uint8Array(32)) };
  const vault = await Vault.inMemory({ masterKey });
  const definitions = { Named: { personal: { fields: ["name"] } } };
  const data = { name: "n".repeat(256), total: 5 };
  /** Appends events, and returns how long one takes in microseconds of the processor. */
  const appending = async (store: InMemoryEventStore, eventType: string): Promise<number> => {
    const event = { eventType, data };
    await store.append("ann", [event], { expectedVersion: 0 });
    const begin = processorTime();
    for (let version = 1; version <= count; version++) {
      await store.append("ann", [event], { expectedVersion: version });
    }
    return (processorTime() - begin) / count;
  };
  const withVault = (): InMemoryEventStore => new InMemoryEventStore({ vault, events: definitions });
  const encrypting = async (): Promise<number> =>
    await appending(withVault(), "Named") - await appending(new InMemoryEventStore(), "Named");
  const decrypting = async (): Promise<number> => {
    const store = withVault();
    await appending(store, "Named");
    const begin = processorTime();
    let read = 0;
    for await (const _ of store.readEvents("ann")) read++;
    assert.equal(read, count + 1);
    return (processorTime() - begin) / read;
  };
  /** Compiling all that `node:crypto` runs through for a cipher takes as long as tens of thousands of events. */
  const prepare = once(async () => {
    for (let events = 0; events < COMPILED_AFTER; events += count) await decrypting();
  });
  return [{
    name: "encrypt a field of 256 bytes",
    unit: "us more than without, an event",
    goal: { op: "<=", value: 1 },
    baseline: `${MAX_MICROSECONDS} us`,
    prepare,
    measureOurs: encrypting,
    measureBaseline: () => Promise.resolve(MAX_MICROSECONDS),
  }, {
    name: "encrypt a field of 256 bytes, beside the cipher alone",
    unit: "us more than without, an event",
    baseline: "AES-256-GCM of node:crypto, of the same bytes",
    prepare,
    measureOurs: encrypting,
    measureBaseline: () => bareCipher(count),
  }, {
    name: "decrypt a field of 256 bytes",
    unit: "us, an event",
    goal: { op: "<=", value: 1 },
    baseline: `${MAX_MICROSECONDS} us`,
    prepare,
    measureOurs: decrypting,
    measureBaseline: () => Promise.resolve(MAX_MICROSECONDS),
  }, {
    name: "append an event without personal fields, with a vault",
    unit: "us, an event",
    goal: { op: "<=", value: 1.1 },
    baseline: "without a vault",
    measureOurs: () => appending(withVault(), "Other"),
    measureBaseline: () => appending(new InMemoryEventStore(), "Other"),
  }, {
    name: "read an event without personal fields, with a vault",
    unit: "us, an event",
    baseline: "without a vault",
    measureOurs: () => reading(withVault()),
    measureBaseline: () => reading(new InMemoryEventStore()),
  }];

  /** How long a read of an event without personal fields takes, in microseconds of the processor. */
  async function reading(store: InMemoryEventStore): Promise<number> {
    await appending(store, "Other");
    const begin = processorTime();
    let read = 0;
    for (let round = 0; round < 10; round++) for await (const _ of store.readEvents("ann")) read++;
    assert.equal(read, (count + 1) * 10);
    return (processorTime() - begin) / read;
  }
}
