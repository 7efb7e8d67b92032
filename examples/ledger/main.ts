/**
 * A ledger that an auditor can check, and a customer who is forgotten.
 *
 * `deno run --allow-read --allow-write examples/ledger/main.ts FOLDER` keeps all in a new folder. The folder stays: look at its
 * files. With the path of Tessera's `fsck`, a program of others checks the seal too:
 *
 * ```sh
 * GOBIN=$PWD go install github.com/transparency-dev/tessera/cmd/fsck@v1.0.4
 * deno run --allow-read --allow-write --allow-run=./fsck examples/ledger/main.ts FOLDER ./fsck
 * ```
 *
 * @module
 */

import {
  DenoKvEventStore,
  type Event,
  ExportError,
  exportEvents,
  type Forgotten,
  generateSealKey,
  isForgotten,
  proveEvent,
  SealFolder,
  sealOnce,
  Vault,
  verifyExport,
  verifyProof,
  verifySeal,
  verifySealedLog,
} from "@flowmade-one/aether";
import { fsck } from "./fsck.ts";

type LedgerEvent =
  | Event<"AccountOpened", { owner: string }>
  | Event<"Deposited", { amount: number }>
  | Event<"Withdrawn", { amount: number }>
  | Event<"CustomerRegistered", { name: string | Forgotten; plan: string }>;

const ORIGIN = "example.com/ledger";
const [folder = "ledger", checker] = Deno.args;
await Deno.mkdir(folder, { recursive: true });

// Once: the private key goes where only the sealer can read it, the public key to the auditor.
const { privateKey, publicKey } = generateSealKey(ORIGIN);
await Deno.writeTextFile(`${folder}/seal.key`, privateKey, { createNew: true, mode: 0o600 });
await Deno.writeTextFile(`${folder}/seal.pub`, publicKey);
const signer = { file: `${folder}/seal.key` };
const key = publicKey;

const masterKey = { id: "2026", secret: crypto.getRandomValues(new Uint8Array(32)) };
await using vault = await Vault.inMemory({ masterKey });
await using store = await DenoKvEventStore.open<LedgerEvent>(`${folder}/ledger.kv`, {
  vault,
  events: { CustomerRegistered: { personal: { fields: ["name"] } } },
});
for (let account = 1; account <= 3; account++) {
  await store.append(`account-${account}`, [
    { eventType: "AccountOpened", data: { owner: `customer-${account}` } },
    { eventType: "Deposited", data: { amount: 100 * account } },
    { eventType: "Withdrawn", data: { amount: 10 } },
  ], { expectedVersion: 0 });
}

// 1. Sealed and exported. A service would run `sealLog()` instead.
const place = new SealFolder(`${folder}/seal`);
const { size, checkpoint } = await sealOnce(store, place, { signer });
await exportEvents(store, `${folder}/ledger.ndjson`, { signer });
await Deno.writeTextFile(`${folder}/seen.checkpoint`, checkpoint); // mailed to the auditor
console.log(`sealed and exported: ${size} events`);

// 2. The auditor checks the seal with a program of others and with this library, and the export without the store.
console.log(`fsck: ${await fsck(checker, `${folder}/seal`, ORIGIN, `${folder}/seal.pub`)}`);
console.log(`verifySeal: ${(await verifySeal(place, { key, origin: ORIGIN, seen: checkpoint })).ok}`);
console.log(`verifyExport: ${(await verifyExport(`${folder}/ledger.ndjson`, { key })).events} events`);

// 3. One event is proved to a reader who has nothing except the public key.
const [, deposited] = await store.getEvents("account-2");
const proof = await proveEvent(store, place, deposited!.position);
await Deno.writeTextFile(`${folder}/deposit.tlog-proof`, proof);
console.log(`proved: ${JSON.stringify(verifyProof(proof, { key, event: deposited! }).event.data)}`);

// 4. A forger writes the ledger again with another amount. The new store is sound, and the export has its own proof.
await using forged = await DenoKvEventStore.open<LedgerEvent>(`${folder}/forged.kv`);
for await (const event of store.readAll()) {
  const isTarget = event.eventType === "Deposited" && event.actorId === "account-2";
  await forged.saveEvent(isTarget ? { ...event, data: { amount: 2_000 } } : event);
}
console.log(`verify() of the forged store: ${(await forged.verify()).ok}`);
const { faults } = await verifySealedLog(forged, place, { key, copy: true });
for (const { message } of faults) console.log(`found out: ${message}`);

const exported = await Deno.readTextFile(`${folder}/ledger.ndjson`);
await Deno.writeTextFile(`${folder}/forged.ndjson`, exported.replace('"amount":200', '"amount":900'));
try {
  await verifyExport(`${folder}/forged.ndjson`, { key });
} catch (error) {
  if (!(error instanceof ExportError)) throw error;
  console.log(`found out: ${error.message}`);
}

// 5. A customer is forgotten. The seal and the store hold as before.
const registered = { eventType: "CustomerRegistered", data: { name: "Ann Smith", plan: "basic" } } as const;
await store.append("customer-1", [registered], { expectedVersion: 0 });
await sealOnce(store, place, { signer });
await vault.forget("customer-1", store, { reason: "request 4711" });
await sealOnce(store, place, { signer });
const [customer] = await store.getEvents("customer-1");
console.log(`forgotten: ${customer?.eventType === "CustomerRegistered" && isForgotten(customer.data.name)}`);
const { ok, verified } = await verifySealedLog(store, place, { key, seen: checkpoint });
console.log(`verifySealedLog: ${ok}, ${verified} events`);
console.log(`fsck: ${await fsck(checker, `${folder}/seal`, ORIGIN, `${folder}/seal.pub`)}`);
