/** An abort ends every call of this folder with the signal's reason: in the middle of the work, and while nothing answers. */

import assert from "node:assert/strict";
import {
  copyEvents,
  type EventStore,
  exportEvents,
  generateSealKey,
  importEvents,
  InMemoryEventStore,
  JetStreamEventStore,
  proveEvent,
  SealBucket,
  SealFolder,
  sealLog,
  sealOnce,
  Vault,
  verifyExport,
  verifySeal,
  verifySealedLog,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { soon } from "../support/running_time.ts";
import { KINDS, stores } from "./stores.ts";
import { fill, sealFixture } from "./support.ts";

/** Far below the time that a server has to answer, and that a save has. */
const AT_ONCE = 1_500;

type Call = (signal: AbortSignal) => Promise<unknown>;
type Calls = Readonly<Record<string, Call>>;

/** Begins all calls, aborts them once they wait, and expects that each rejects with the reason, at once. */
async function abortAll(calls: Calls): Promise<void> {
  const ending = new AbortController();
  const reason = new Error("enough");
  const outcomes = Object.values(calls).map((call) =>
    call(ending.signal).then(() => "done", (error) => error)
  );
  await pause(300);
  ending.abort(reason);
  const results = await Promise.all(outcomes.map((outcome) => soon(outcome, AT_ONCE)));
  for (const [at, result] of results.entries()) {
    const name = Object.keys(calls)[at];
    assert.equal(result, reason, `${name}: ${result instanceof Error ? result.stack : result}`);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const sink = (): WritableStream<Uint8Array> => new WritableStream();
const never = (): Promise<never> => new Promise(() => {});
const silentSource = (): ReadableStream<Uint8Array> => new ReadableStream({ pull: never });
const silentTarget = (): WritableStream<Uint8Array> => new WritableStream({ write: never });

/** A large part of an export, and nothing more. */
function unfinishedSource(text: string): ReadableStream<Uint8Array> {
  let isSent = false;
  return new ReadableStream({
    pull(controller): Promise<void> {
      if (isSent) return never();
      isSent = true;
      controller.enqueue(new TextEncoder().encode(text.slice(0, text.length >> 1)));
      return Promise.resolve();
    },
  });
}

async function textOf(store: EventStore): Promise<string> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const [text] = await Promise.all([new Response(readable).text(), exportEvents(store, writable)]);
  return text;
}

Deno.test("exports, imports, seals and their verification end in the middle with the signal's reason, on each store", async () => {
  await using all = await stores();
  await using seal = await sealFixture();
  const path = await Deno.makeTempFile();
  for (const kind of KINDS) {
    const store = await all.open(kind);
    await fill(store, 2_500);
    const text = await textOf(store);
    const place = new SealFolder(`${seal.path}/${kind}`);
    await sealOnce(store, place, { signer: seal.signer });
    type Options = { signal: AbortSignal; onProgress: () => void };
    const calls: Record<string, (options: Options) => Promise<unknown>> = {
      "export to a stream": (options) => exportEvents(store, sink(), options),
      "export to a file": (options) => exportEvents(store, `${path}.${kind}`, options),
      "export, begun again": (options) => exportEvents(store, `${path}.${kind}`, options),
      import: async (options) => await importEvents(new Blob([text]).stream(), await all.open(kind), options),
      copy: async (options) => await copyEvents(store, await all.open(kind), options),
      verifySealedLog: (options) => verifySealedLog(store, place, { ...options, key: seal.key }),
    };
    for (const [name, call] of Object.entries(calls)) {
      const ending = new AbortController();
      const reason = new Error("enough");
      const onProgress = (): void => ending.abort(reason);
      const outcome = await call({ signal: ending.signal, onProgress }).then(() => "done", (error) => error);
      assert.equal(
        outcome,
        reason,
        `${kind}, ${name}: ${outcome instanceof Error ? outcome.stack : outcome}`,
      );
    }
    await Deno.remove(`${path}.${kind}.partial`);
  }
  await Deno.remove(path);
});

Deno.test("exports, imports, seals, erasures and their verification end at once on a silent server", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await using memory = new InMemoryEventStore();
  await using bucket = await SealBucket.open(server.url);
  const masterKey = { id: "2026", secret: crypto.getRandomValues(new Uint8Array(32)) };
  await using vault = await Vault.onJetStream(server.url, { masterKey });
  await using seal = await sealFixture();
  const { signer, key, folder } = seal;
  const positions = await fill(store, 300);
  await fill(memory, 10);
  await sealOnce(store, bucket, { signer });
  await sealOnce(store, folder, { signer });
  await fill(store, 10);
  const text = await textOf(store);
  const path = `${seal.path}/log.ndjson`;
  await server.suspend();
  try {
    await abortAll({
      "export to a stream": (signal) => exportEvents(store, sink(), { signal }),
      "export to a file": (signal) => exportEvents(store, path, { signal }),
      import: (signal) => importEvents(new Blob([text]).stream(), store, { signal }),
      "copy from": (signal) => copyEvents(store, new InMemoryEventStore(), { signal }),
      "copy to": (signal) => copyEvents<never>(memory as never, store as never, { signal }),
      "seal from": (signal) => sealOnce(store, folder, { signer, signal }),
      "seal to": (signal) => sealOnce(memory, bucket, { signer, signal }),
      "sealLog to": (signal) => sealLog(memory, bucket, { signer, signal }).finished,
      verifySeal: (signal) => verifySeal(bucket, { key, signal }),
      "verifySealedLog, the store": (signal) => verifySealedLog(store, folder, { key, signal }),
      "verifySealedLog, the seal": (signal) => verifySealedLog(store, bucket, { key, signal }),
      "proveEvent, the store": (signal) => proveEvent(store, folder, positions[5]!, { signal }),
      "proveEvent, the seal": (signal) => proveEvent(store, bucket, positions[5]!, { signal }),
      "read of a bucket": (signal) => bucket.read("checkpoint", signal),
      "isEmpty of a bucket": (signal) => bucket.isEmpty(signal),
      forget: (signal) => vault.forget("ann", memory, { signal }),
      rotate: (signal) => vault.rotate({ signal }),
    });
  } finally {
    server.resume();
  }
});

Deno.test(
  "exports, imports and seals end at once if a stream, a signing function or a folder does not answer",
  {
    ignore: Deno.build.os === "windows", // it has no named pipes
  },
  async () => {
    await using store = new InMemoryEventStore();
    await using seal = await sealFixture();
    const [position] = await fill(store, 2_000, 7, "x".repeat(200));
    const text = await textOf(store);
    const signer = { publicKey: generateSealKey("example.com/slow").publicKey, sign: never };
    const { key } = seal;
    const pipe = `${seal.path}/silent/checkpoint`;
    await Deno.mkdir(`${seal.path}/silent`);
    assert((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
    const folder = new SealFolder(`${seal.path}/silent`);
    await abortAll({
      "export, the target": (signal) => exportEvents(store, silentTarget(), { signal }),
      "export, the compressed target": (signal) =>
        exportEvents(store, silentTarget(), { signal, compress: true }),
      "export, the signature": (signal) => exportEvents(store, sink(), { signal, signer }),
      import: (signal) => importEvents(silentSource(), new InMemoryEventStore(), { signal }),
      "import, in the middle": (signal) =>
        importEvents(unfinishedSource(text), new InMemoryEventStore(), { signal }),
      verifyExport: (signal) => verifyExport(silentSource(), { signal }),
      "verifyExport, in the middle": (signal) => verifyExport(unfinishedSource(text), { signal }),
      "seal, the signature": (signal) =>
        sealOnce(store, new SealFolder(`${seal.path}/new`), { signer, signal }),
      "sealLog, the signature": (signal) =>
        sealLog(store, new SealFolder(`${seal.path}/newer`), { signer, signal }).finished,
      "seal, the folder": (signal) => sealOnce(store, folder, { signer: seal.signer, signal }),
      verifySeal: (signal) => verifySeal(folder, { key, signal }),
      verifySealedLog: (signal) => verifySealedLog(store, folder, { key, signal }),
      proveEvent: (signal) => proveEvent(store, folder, position!, { signal }),
    });
    // The reads of the pipe end when it is opened for writing.
    await Deno.writeTextFile(pipe, "");
  },
);
