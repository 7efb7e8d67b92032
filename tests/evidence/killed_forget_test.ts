/** Erasures whose processes are killed, at each of their steps. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  DenoKvEventStore,
  type EventDefinitions,
  isForgotten,
  JetStreamEventStore,
  type StoredEvent,
  Vault,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";

const PROGRAM = fileURLToPath(new URL("./forget_process.ts", import.meta.url));
const MASTER_KEY = crypto.getRandomValues(new Uint8Array(32)).toBase64();
const events: EventDefinitions = { Registered: { personal: { fields: ["name"] } } };
const options = { masterKey: { id: "1", secret: MASTER_KEY }, cacheMs: 0 };

type Store = DenoKvEventStore | JetStreamEventStore;

/** Runs an erasure in a process that is killed; returns whether it came to its end before. */
async function killedAt(target: string, person: string, moment: number): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--unstable-kv", PROGRAM, target, person, String(moment)],
    env: { MASTER_KEY },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const [output, status] = await Promise.all([new Response(child.stdout).text(), child.status]);
  await child.stdin.close().catch(() => {});
  assert.equal(status.signal, "SIGKILL", "the process failed");
  return output.includes("forgotten");
}

/** Whether each name of a person reads as forgotten. */
async function namesOf(store: Store, person: string): Promise<boolean[]> {
  return (await store.getEvents(person)).map(({ data }) => {
    const { name } = data as { readonly name: unknown };
    assert(isForgotten(name) || name === `Secret ${person}`, JSON.stringify(name));
    return isForgotten(name);
  });
}

/** Kills erasures before each step, and expects that the next call ends them. */
async function killErasures(
  target: string,
  vault: Vault,
  store: Store,
  moments: readonly number[],
): Promise<void> {
  for (const moment of moments) {
    const name = `Secret person-${moment}`;
    const event = { eventType: "Registered", data: { name } };
    await store.append(`person-${moment}`, [event, event], { expectedVersion: 0 });
  }
  const ended = await Promise.all(moments.map((moment) => killedAt(target, `person-${moment}`, moment)));
  assert.equal(ended[0], false);
  assert.equal(ended.at(-1), true, "the last moment is after the end");
  for (const [index, moment] of moments.entries()) {
    const person = `person-${moment}`;
    const before = await namesOf(store, person);
    assert.equal(before.length, 2);
    assert.equal(before[0], before[1], `${person} is forgotten in part`);
    if (ended[index]) assert(before[0], person);
    await vault.forget(person, store);
    assert.deepEqual(await namesOf(store, person), [true, true]);
    assert.deepEqual(await vault.forget(person, store), { receipts: [] });
  }
  const log = await Array.fromAsync(store.readAll()) as StoredEvent[];
  const receipts = log.filter(({ eventType }) => eventType === "PersonForgotten");
  assert.equal(receipts.length, moments.length, "each erasure has one receipt");
  assert.equal(new Set(receipts.map(({ actorId }) => actorId)).size, moments.length);
  assert((await store.verify()).ok);
}

Deno.test("an erasure on Deno KV that is killed before any of its writes is ended by the next call", async () => {
  const folder = await Deno.makeTempDir({ prefix: "aether forget " });
  try {
    const file = `${folder}/log.kv`;
    await using vault = await Vault.onDenoKv(file, options);
    await using store = await DenoKvEventStore.open(file, { vault, events });
    // It writes: no new data under the key, the key destroyed, the receipt, and the person removed.
    await killErasures(file, vault, store, [0, 1, 2, 3, 100]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("an erasure on JetStream that is killed before any of its messages is ended by the next call", async () => {
  await using server = await startNatsServer();
  await using vault = await Vault.onJetStream(server.url, options);
  await using store = await JetStreamEventStore.open(server.url, { vault, events });
  await killErasures(server.url, vault, store, [0, 1, 2, 3, 5, 7, 100]);
});
