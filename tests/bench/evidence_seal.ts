/**
 * Sealing a log, and proofs of single events.
 *
 * @module
 */

import assert from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  generateSealKey,
  InMemoryEventStore,
  JetStreamEventStore,
  proveEvent,
  SealFolder,
  sealOnce,
  verifyProof,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import {
  concurrently,
  type Group,
  type GroupOptions,
  perProcessorSecond,
  rate,
  type Row,
} from "./harness.ts";
import { eventData } from "./kv_append.ts";
import { simulatedSeal } from "./simulated_seal.ts";

const SEALED_PER_SECOND = 30_000;
const LEAVES = 10_000_000;
const IN_FLIGHT = 16;
const SEALER = fileURLToPath(new URL("../evidence/sealer_process.ts", import.meta.url));

/** The rows of seals. */
export async function evidenceSealRows({ quick }: GroupOptions): Promise<Group> {
  const key = generateSealKey("example.com/orders");
  const folder = await Deno.makeTempDir();
  const server = await startNatsServer();
  const events = quick ? 32_768 : 131_072;
  const log = new InMemoryEventStore();
  for (let actor = 0; actor * 64 < events; actor++) {
    const batch = Array.from({ length: 64 }, () => ({ eventType: "OrderPlaced", data: eventData(actor) }));
    await log.append(`order-${actor}`, batch, { expectedVersion: 0 });
  }
  let number = 0;

  const saves = quick ? 4_000 : 20_000;
  const save = async (store: JetStreamEventStore): Promise<number> =>
    await rate(saves, () =>
      concurrently(saves, IN_FLIGHT, async (index) => {
        const placed = [{ eventType: "OrderPlaced", data: eventData(index) }];
        await store.append(`order-${crypto.randomUUID()}`, placed, { expectedVersion: 0 });
      }));
  const rows: Row[] = [
    {
      name: "seal into a folder",
      unit: "events/s of the processor",
      goal: { op: ">=", value: 1 },
      baseline: "30,000 events/s",
      measureOurs: () =>
        perProcessorSecond(events, async () => {
          const place = new SealFolder(`${folder}/${++number}`);
          assert.equal((await sealOnce(log, place, { signer: { key: key.privateKey } })).size, events);
        }),
      measureBaseline: () => Promise.resolve(SEALED_PER_SECOND),
    },
    {
      // Server, saves and sealer share the processors: with two of them, what the sealer takes, the saves lose.
      name: "save on JetStream next to a sealer",
      unit: "events/s",
      goal: { op: ">=", value: 0.97 },
      baseline: `the same without a sealer, ${IN_FLIGHT} at once`,
      measureOurs: async () => {
        const path = `${folder}/${++number}`;
        await using store = await JetStreamEventStore.open(server.url);
        const sealer = startSealer(server.url, path, key.privateKey);
        try {
          const isSealed = async (): Promise<boolean> => (await sealedSize(path)) >= 0;
          await until("the sealer works", isSealed);
          const result = await save(store);
          const { events: stored } = await store.verify();
          await until("all is sealed", async () => (await sealedSize(path)) === stored);
          return result;
        } finally {
          sealer.kill("SIGKILL");
          await sealer.status;
          await sealer.stdin.close().catch(() => {});
        }
      },
      measureBaseline: async () => {
        await using store = await JetStreamEventStore.open(server.url);
        return await save(store);
      },
    },
    proofRow("prove and verify an event of 10,000,000", async (position) => {
      const { store, place } = await seal();
      const proof = await proveEvent(store, place, position);
      verifyProof(proof, { key: key.publicKey });
    }),
  ];

  let simulated: ReturnType<typeof simulatedSeal> | undefined;
  function seal(): ReturnType<typeof simulatedSeal> {
    return simulated ??= simulatedSeal(LEAVES, { key: key.privateKey });
  }

  function proofRow(name: string, work: (position: string) => Promise<void>): Row {
    return {
      name,
      unit: "ms of the processor",
      goal: { op: "<=", value: 1 },
      baseline: "1 ms",
      prepare: async () => void await seal(),
      measureOurs: async () => {
        const { positions } = await seal();
        const { user, system } = process.cpuUsage();
        for (const position of positions) await work(position);
        const after = process.cpuUsage();
        return (after.user + after.system - user - system) / positions.length / 1_000;
      },
      measureBaseline: () => Promise.resolve(1),
    };
  }

  return {
    rows,
    async [Symbol.asyncDispose](): Promise<void> {
      await server.stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

function startSealer(url: string, path: string, key: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", SEALER, url, path, "1000"],
    env: { SEAL_KEY: key },
    stdin: "piped",
    stdout: "null",
  }).spawn();
}

/** How many events are sealed in a folder; -1 without a seal. */
async function sealedSize(path: string): Promise<number> {
  const text = await Deno.readTextFile(`${path}/checkpoint`).catch(() => "");
  return Number(text.split("\n")[1] ?? -1);
}
