/** Histories that are read without the rest of the store. */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { DamagedHistoryError, DenoKvEventStore, StoreOpenError } from "../../../mod.ts";
import { plainChecksum } from "../../../src/store/checksum.ts";
import { KvHistories } from "../../../src/store/deno_kv/histories.ts";
import { kvFolder } from "../../support/kv_file.ts";

Deno.test("KvHistories reads what the store reads: short, deflated and in chunks", async () => {
  await using folder = await kvFolder();
  await using store = await DenoKvEventStore.open(folder.file);
  const random = Array.from(crypto.getRandomValues(new Uint8Array(60_000)), (byte) => byte.toString(36)).join(
    "",
  );
  const sizes = { short: 10, deflated: 5_000, chunks: 120_000 };
  for (const [actorId, size] of Object.entries(sizes)) {
    for (let version = 0; version < 6; version += 2) {
      const text = actorId === "chunks" ? random.slice(0, size) : "x".repeat(size);
      const events = [1, 2].map((number) => ({
        eventType: "Noted",
        data: { number, text },
        metadata: { userId: `user-${number}` },
      }));
      await store.append(actorId, events, { expectedVersion: version });
    }
  }
  using kv = await Deno.openKv(folder.file);
  const histories = await KvHistories.open(kv, "aether", "default");
  const reads = [{}, { limit: 3 }, { fromVersion: 2, toVersion: 5 }, { toVersion: 3 }, { fromVersion: 7 }];
  for (const actorId of [...Object.keys(sizes), "unknown"]) {
    assert.equal(await histories.getLatestVersion(actorId), await store.getLatestVersion(actorId), actorId);
    for (const read of reads) {
      for (const direction of ["forward", "backward"] as const) {
        const options = { ...read, direction };
        assert.deepEqual(
          await Array.fromAsync(histories.readEvents(actorId, options)),
          await Array.fromAsync(store.readEvents(actorId, options)),
          `${actorId} ${JSON.stringify(options)}`,
        );
      }
    }
  }
  assert.equal(await histories.getLatestVersion(""), 0);
  assert.equal(await histories.getLatestVersion("x".repeat(10_000)), 0);
});

Deno.test("KvHistories reports a record with a flipped bit, and a log of another format", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open(folder.file);
    for (const [actorId, size] of [["short", 10], ["deflated", 5_000]] as const) {
      await store.append(actorId, [{ eventType: "Noted", data: "x".repeat(size) }], { expectedVersion: 0 });
    }
  }
  using kv = await Deno.openKv(folder.file);
  for (const actorId of ["short", "deflated"]) {
    const key = ["aether", "default", "event", actorId, 1];
    const { value } = await kv.get<Uint8Array>(key);
    const sound = value!;
    for (const at of [0, 5, 20, sound.length - 1]) {
      await kv.set(key, sound.with(at, sound[at]! ^ 0x10));
      const histories = await KvHistories.open(kv, "aether", "default");
      await assert.rejects(histories.getLatestVersion(actorId), DamagedHistoryError, `${actorId} ${at}`);
      await assert.rejects(Array.fromAsync(histories.readEvents(actorId)), DamagedHistoryError);
    }
  }
  await kv.set(["aether", "default", "log"], { format: 99, id: "0123456789ab" });
  await assert.rejects(KvHistories.open(kv, "aether", "default"), StoreOpenError);
});

Deno.test("plainChecksum() is the checksum of the runtime, also in parts", () => {
  const checksum = plainChecksum();
  for (let length = 0; length < 600; length += 37) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    assert.equal(checksum(bytes), crc32(bytes));
    assert.equal(checksum(bytes.subarray(10), checksum(bytes.subarray(0, 10))), crc32(bytes));
  }
});
