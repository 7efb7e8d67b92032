/** A seal in a NATS bucket. */

import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  proveEvent,
  SealBucket,
  sealLog,
  sealOnce,
  verifyProof,
  verifySeal,
} from "../../src/evidence/mod.ts";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import { fill, refusesWith, sealFixture, shortly } from "./support.ts";

Deno.test("a seal in a NATS bucket is made, continued and verified as one in a folder", async (t) => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await using seal = await sealFixture();
  const { signer, key } = seal;
  const positions = await fill(store, 700);

  await t.step("sealed, continued, proved", async () => {
    await using bucket = await SealBucket.open(server.url);
    await refusesWith("not-sealed", verifySeal(bucket, { key }));
    for (const step of [0, 1, 255, 256]) {
      positions.push(...await fill(store, step));
      await sealOnce(store, bucket, { signer });
      assert.deepEqual((await verifySeal(bucket, { key })).faults, []);
    }
    const proof = await proveEvent(store, bucket, positions[555]!);
    assert.equal(verifyProof(proof, { key }).index, 555);
    assert.equal(await bucket.read("tile/0/002.p/188"), undefined, "partial tiles are removed");
  });

  await t.step("a value that was removed or changed is found, and can be written again", async () => {
    await using bucket = await SealBucket.open(server.url);
    const bytes = (await bucket.read("tile/0/001"))!;
    assert(await bucket.replace("tile/0/001", bytes.with(5, bytes[5]! ^ 1), bytes));
    assert.deepEqual(shortly((await verifySeal(bucket, { key })).faults), ["tree tile/0/001"]);
    const nats = await connect({ servers: server.url });
    const { subject } = await lastMessage(nats, "KV_aether_seal", "tile/0/001");
    const headers = (await import("@nats-io/nats-core")).headers();
    headers.set("KV-Operation", "DEL");
    await nats.request(subject, new Uint8Array(), { headers, timeout: 60_000 });
    await nats.close();
    assert.equal(await bucket.read("tile/0/001"), undefined);
    assert(await bucket.replace("tile/0/001", bytes, undefined));
    assert.deepEqual((await verifySeal(bucket, { key })).faults, []);
  });

  await t.step("a bucket with other values is refused", async () => {
    await using bucket = await SealBucket.open(server.url, { bucket: "others" });
    assert(await bucket.replace("letter", new Uint8Array(1), undefined));
    await refusesWith("not-empty", sealOnce(store, bucket, { signer }));
  });

  await t.step("one of two sealers works, and the other goes on after it", async () => {
    await using one = await SealBucket.open(server.url);
    await using two = await SealBucket.open(server.url);
    const first = sealLog(store, one, { signer, interval: 5 });
    await until("the first works", () => first.report !== undefined);
    await using second = sealLog(store, two, { signer, interval: 5 });
    const size = first.report!.size + 10;
    await fill(store, 10);
    await until("it is sealed", () => first.report?.size === size);
    assert.equal(second.report, undefined);
    await first.close();
    await until("the second works", () => second.report !== undefined);
  });
});

/** The last message of a key of a bucket. */
async function lastMessage(
  nats: Awaited<ReturnType<typeof connect>>,
  stream: string,
  key: string,
): Promise<{ readonly subject: string }> {
  const answer = await nats.request(
    `$JS.API.STREAM.MSG.GET.${stream}`,
    JSON.stringify({ last_by_subj: `$KV.*.*.${key}` }),
  );
  return (answer.json() as { readonly message: { readonly subject: string } }).message;
}
