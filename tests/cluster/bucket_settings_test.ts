/** A bucket that exists with other settings than its user asks for is refused by every entry that opens one. */
import assert from "node:assert/strict";
import { ConfigurationMismatchError, Coordinator, JetStreamCheckpoints, JetStreamLeases } from "../../mod.ts";
import { jetStreamPlace } from "../../src/evidence/vault_place.ts";
import { SealBucket } from "../../src/evidence/seal_bucket.ts";
import { openTimerIndex } from "../../src/actor/open_timer_index.ts";
import { offerSide, sideOf } from "../../src/side_storage.ts";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import type { Warning } from "../../src/warning.ts";
import { startNatsServer } from "../support/nats_server.ts";

type Settings = { readonly replicas?: 1 | 3; readonly storage?: "file" | "memory" };

Deno.test("a bucket of one replica in a file is refused to those that ask for three, or for memory", async () => {
  await using server = await startNatsServer();
  const { url } = server;
  const node = { shardCount: 4, ttl: 2_000, maxClockSkew: 200 };
  const opens: Record<string, (settings: Settings) => Promise<{ close(): Promise<void> }>> = {
    leases: (settings) => JetStreamLeases.open(url, settings),
    checkpoints: (settings) => JetStreamCheckpoints.open(url, settings),
    seal: async (settings) => {
      const place = await SealBucket.open(url, settings);
      return { close: () => place[Symbol.asyncDispose]() };
    },
    vault: async (settings) => {
      const place = await jetStreamPlace(url, settings);
      return { close: async () => await place.close() };
    },
    cluster: async (settings) => {
      const coordinator = await Coordinator.join(url, { ...node, ...settings });
      return { close: () => coordinator.leave() };
    },
  };
  for (const [name, open] of Object.entries(opens)) {
    await (await open({})).close();
    for (
      const [settings, setting] of [[{ replicas: 3 }, "num_replicas"], [
        { storage: "memory" },
        "storage",
      ]] as const
    ) {
      await assert.rejects(open(settings), (error) => {
        assert(error instanceof ConfigurationMismatchError, `${name}: ${error}`);
        assert.deepEqual(error.differences.map((difference) => difference.setting), [setting], name);
        return true;
      });
    }
    await (await open({ replicas: 1, storage: "file" })).close();
  }
});

Deno.test("an index of timers that has fewer replicas than the stream is reported, and works", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  const warnings: Warning[] = [];
  const open = async (of: object): Promise<void> => {
    const index = await openTimerIndex(of, (warning) => warnings.push(warning));
    await index.saveHead("booking", {}, (await index.head("booking")).revision);
    await index.close();
  };
  await open(store);
  assert.equal(warnings.length, 0);
  const { storage, now } = sideOf(store)!;
  assert(storage.type === "jetstream");
  const scaled = {};
  offerSide(scaled, { now, storage: { ...storage, replicas: 3 } });
  await open(scaled);
  assert.deepEqual(warnings.map(({ code }) => code), ["bucket-replicas"]);
  assert.match(warnings[0]!.message, /nats stream edit KV_timers_\S+ --replicas 3$/);
});
