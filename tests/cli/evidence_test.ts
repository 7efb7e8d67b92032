/** Seals, exports and imports on the command line, on a file of Deno KV and on a NATS server. */

import assert from "node:assert/strict";
import { DenoKvEventStore, type EventStore, JetStreamEventStore } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { aether, type Ran } from "./command_line.ts";

const run = (...args: string[]): Promise<Ran> => aether(args, { allow: ["--allow-all"] });

async function fill(store: EventStore): Promise<void> {
  for (const actorId of ["order-1", "order-2"]) {
    await store.append(actorId, [
      { eventType: "OrderPlaced", data: { total: 5 } },
      { eventType: "OrderShipped", data: null },
    ], { expectedVersion: 0 });
  }
}

/** Seals, verifies, exports and imports; `place` and `copy` are where the seal and the import go. */
async function evidenceOf(target: string, place: string, copy: string, folder: string): Promise<void> {
  const [key, file] = [`${folder}/seal.key`, `${folder}/orders.ndjson`];
  const sealed = await run("seal", target, place, "--key", key, "--new-key", "example.com/orders", "--json");
  assert.equal(sealed.code, 0, sealed.err);
  const [, publicKey = ""] = /auditors: (\S+)/.exec(sealed.err)!;
  const { size, added, origin, checkpoint } = sealed.rows[0]!;
  assert.deepEqual([size, added, origin], [4, 4, "example.com/orders"]);
  assert.equal((await Deno.stat(key)).mode! & 0o077, 0, "only the owner reads the private key");
  const privateKey = (await Deno.readTextFile(key)).trim();
  assert(!(sealed.out + sealed.err).includes(privateKey));
  await Deno.writeTextFile(`${folder}/seen`, checkpoint as string);
  await Deno.writeTextFile(`${folder}/public`, `${publicKey}\n`);

  const exported = await run("export", target, file, "--key", key, "--json");
  assert.equal(exported.code, 0, exported.err);
  assert.deepEqual([exported.rows[0]!["events"], exported.rows[0]!["commits"]], [4, 2]);
  const [again, asSealed, overwritten, whole, streamed] = await Promise.all([
    run("seal", target, place, "--key", key),
    run("verify", target, "--seal", place, "--public-key", publicKey, "--seen", `${folder}/seen`, "--json"),
    run("export", target, file),
    run("verify", file, "--public-key", `${folder}/public`, "--json"),
    run("export", target, "-"),
  ]);
  assert.match(again.out, / has 4 sealed events of "example.com\/orders", 0 of them new/, again.err);
  assert.deepEqual([asSealed.code, asSealed.rows.map(({ ok }) => ok)], [0, [true, true]], asSealed.err);
  assert.equal(asSealed.rows[1]!["verified"], 4);
  assert.deepEqual([overwritten.code, overwritten.out], [1, ""]);
  assert.match(overwritten.err, /is a file already/);
  assert.deepEqual([whole.code, whole.rows[0]!["ok"], whole.rows[0]!["events"]], [0, true, 4], whole.err);
  assert.equal(streamed.rows.length, 4, "a header, two commits and a trailer");

  const asked = await run("import", copy, file);
  assert.deepEqual([asked.code, asked.out], [2, ""]);
  assert.match(asked.err, /Stores the events of .* Add --yes to do it/);
  const imported = await run("import", copy, file, "--yes", "--public-key", publicKey, "--json");
  assert.deepEqual([imported.rows[0]!["events"], imported.rows[0]!["imported"]], [4, 4], imported.err);
  const seal = ["--seal", place, "--public-key", publicKey];
  const [compared, other] = await Promise.all([
    run("verify", copy, ...seal, "--copy", "--json"),
    run("verify", copy, ...seal),
  ]);
  assert.equal(compared.rows[1]!["verified"], 4, compared.err);
  assert.equal(other.code, 1);
  assert.match(other.err, /another log than the one that was sealed/);
}

Deno.test("aether seals, exports and imports a log in a file of Deno KV", async () => {
  await using folder = await kvFolder();
  const { path, file } = folder;
  {
    await using store = await DenoKvEventStore.open(file);
    await fill(store);
  }
  await evidenceOf(file, `${path}/seal`, `${path}/copy.kv`, path);

  const text = await Deno.readTextFile(`${path}/orders.ndjson`);
  await Deno.writeTextFile(`${path}/changed.ndjson`, text.replace('"total":5', '"total":6'));
  const publicKey = await Deno.readTextFile(`${path}/public`);
  await Deno.writeTextFile(`${path}/seal/tile/entries/000.p/4`, "forged");
  const seal = ["--seal", `${path}/seal`, "--public-key", publicKey.trim()];
  const [changed, asJson, refused, noKey, damaged] = await Promise.all([
    run("verify", `${path}/changed.ndjson`),
    run("verify", `${path}/changed.ndjson`, "--json"),
    run("import", `${path}/other.kv`, `${path}/changed.ndjson`, "--yes"),
    run("verify", `${path}/orders.ndjson`, "--public-key", "nothing"),
    run("verify", file, ...seal, "--json"),
  ]);
  assert.equal(changed.code, 3);
  assert.match(changed.out, /Line 2/);
  assert.deepEqual([asJson.code, asJson.rows[0]!["ok"], asJson.rows[0]!["line"]], [3, false, 2]);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /Line 2/);
  assert.equal(noKey.code, 2);
  assert.match(noKey.err, /neither a public key, .* nor a file/);
  assert.equal(damaged.code, 3, damaged.err);
  assert(damaged.rows.some(({ sealFault }) => sealFault !== undefined), damaged.out);
});

Deno.test("aether seals, exports and imports a log on a NATS server, and makes nothing by a look", async () => {
  await using server = await startNatsServer();
  await using folder = await kvFolder();
  const { url } = server;
  const missing = await run("seal", url, url, "--key", `${folder.path}/seal.key`);
  assert.equal(missing.code, 3, missing.err);
  {
    await using store = await JetStreamEventStore.open(url);
    await fill(store);
  }
  const [timers, unsealed] = await Promise.all([
    run("timers", url),
    run("verify", url, "--seal", url, "--public-key", "example.com/orders+00000000+AAAA"),
  ]);
  assert.deepEqual([timers.code, timers.out], [0, ""]);
  assert.match(timers.err, /No timers wait/);
  assert.equal(unsealed.code, 3, unsealed.err);
  assert.match(unsealed.err, /There is no seal in the bucket "aether_seal"/);
  await evidenceOf(url, url, `${folder.path}/copy.kv`, folder.path);
});
