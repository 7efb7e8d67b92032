/** Sealers as processes: several at once, killed at random moments. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { SealBucket, SealFolder, sealOnce, type SealPlace, verifySealedLog } from "../../src/evidence/mod.ts";
import type { EventStore } from "../../src/store/mod.ts";
import { DenoKvEventStore } from "../../src/store/deno_kv/mod.ts";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { installFsck } from "../support/fsck.ts";
import { fill, ORIGIN, sealFixture } from "./support.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 0) > 0 ? 100 : 3;
const PROGRAM = fileURLToPath(new URL("./sealer_process.ts", import.meta.url));

/** Starts a sealer, and waits until it works, if it is to. */
async function startSealer(args: readonly string[], key: string, waits: boolean): Promise<Deno.ChildProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", PROGRAM, ...args],
    env: { SEAL_KEY: key },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  if (!waits) return child;
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  assert.equal(new TextDecoder().decode(value), "sealed\n");
  return child;
}

async function kill(child: Deno.ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await Promise.all([child.status, child.stdout.cancel(), child.stdin.close().catch(() => {})]);
}

/** Kills one of two sealers after another, while the log grows, and verifies what they have made. */
async function killSealers(
  store: EventStore,
  place: SealPlace,
  args: readonly string[],
  { privateKey, publicKey }: { readonly privateKey: string; readonly publicKey: string },
  haveLease: boolean,
): Promise<void> {
  const growing = new AbortController();
  const grown = (async (): Promise<void> => {
    while (!growing.signal.aborted) {
      await fill(store, 200);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  let sealers: Deno.ChildProcess[] = [];
  try {
    // With a lease, the second one waits while the first one works.
    sealers = [await startSealer(args, privateKey, true), await startSealer(args, privateKey, !haveLease)];
    for (let round = 0; round < ROUNDS; round++) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 200));
      await kill(sealers.shift()!);
      sealers.push(await startSealer(args, privateKey, !haveLease));
    }
  } finally {
    growing.abort();
    await grown;
    for (const sealer of sealers) await kill(sealer);
  }
  const { size } = await sealOnce(store, place, { signer: { key: privateKey } });
  const { faults, verified, unsealed } = await verifySealedLog(store, place, { key: publicKey });
  assert.deepEqual([faults, verified, unsealed], [[], size, 0]);
  const { events } = await store.verify();
  assert.equal(size, events);
}

Deno.test("two sealers of a folder that are killed at random moments make one tree", async () => {
  await using seal = await sealFixture();
  const file = `${seal.path}.kv`;
  try {
    await using store = await DenoKvEventStore.open(file);
    await killSealers(store, seal.folder, [file, seal.path], seal.keys, false);
    const result = await (await installFsck())?.check(seal.path, ORIGIN, seal.key);
    assert.notEqual(result?.accepts, false, result?.output);
  } finally {
    for await (const { name } of Deno.readDir(seal.path.replace(/\/[^/]+$/, ""))) {
      if (name.startsWith(file.split("/").at(-1)!)) await Deno.remove(`${seal.path}/../${name}`);
    }
  }
});

Deno.test("sealers of a NATS bucket that are killed at random moments make one tree, as one in a folder", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await using bucket = await SealBucket.open(server.url, { bucket: "seal" });
  await using seal = await sealFixture();
  await killSealers(store, bucket, [server.url, "seal"], seal.keys, true);
  // The same files in a folder are a seal too.
  const paths = ["private/seal.json", "checkpoint"];
  const folder = new SealFolder(seal.path);
  for (const path of paths) assert(await folder.replace(path, (await bucket.read(path))!, undefined));
  const { size } = await sealSize(bucket);
  const copy = async (level: string, count: number): Promise<void> => {
    for (let index = 0; index * 256 < count; index++) {
      const suffix = (index + 1) * 256 > count ? `.p/${count % 256}` : "";
      const thousands = index < 1_000 ? "" : `x${String(Math.floor(index / 1_000)).padStart(3, "0")}/`;
      const path = `tile/${level}/${thousands}${String(index % 1_000).padStart(3, "0")}${suffix}`;
      assert(await folder.replace(path, (await bucket.read(path))!, undefined));
    }
  };
  await copy("entries", size);
  let count = size;
  for (let level = 0; count > 0; level++) {
    await copy(String(level), count);
    count = Math.floor(count / 256);
  }
  assert.deepEqual((await verifySealedLog(store, folder, { key: seal.key })).faults, []);
  assert.equal(await bucket.read("tile/0/000.p/1"), undefined);
});

async function sealSize(place: SealPlace): Promise<{ readonly size: number }> {
  const [, size] = new TextDecoder().decode(await place.read("checkpoint")).split("\n");
  return { size: Number(size) };
}
