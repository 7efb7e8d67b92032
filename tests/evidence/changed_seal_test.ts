/** A seal in a NATS bucket in which any value was changed, removed or put in the place of another. */

import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  InMemoryEventStore,
  proveEvent,
  SealBucket,
  SealError,
  sealLog,
  sealOnce,
  type SealPlace,
  verifyProof,
  verifySeal,
  verifySealedLog,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { Random } from "../support/random.ts";
import { until } from "../support/until.ts";
import { fill, refusesWith, sealFixture } from "./support.ts";

const ROUNDS = Deno.env.get("AETHER_CHAOS_ROUNDS") ? 1_000 : 25;
const SECRETS = "private/seal.json";
const WIDTH = 256;

/** The values of a seal. */
type Values = ReadonlyMap<string, Uint8Array>;

/** The bucket of a seal, as a program changes it that is none of ours. */
async function openRaw(url: string): Promise<
  AsyncDisposable & {
    /** All values, but for those of leases. */
    values(): Promise<Values>;
    /** Writes a value, or the mark of a removal. */
    write(key: string, value: Uint8Array | undefined): Promise<void>;
    /** Removes the message of a key. */
    erase(key: string): Promise<void>;
  }
> {
  const nats = await connect({ servers: url });
  const { headers } = await import("@nats-io/nats-core");
  const ask = async (subject: string, request: unknown): Promise<Record<string, unknown>> =>
    (await nats.request(`$JS.API.${subject}.KV_aether_seal`, JSON.stringify(request), { timeout: 20_000 }))
      .json();
  const { state } = await ask("STREAM.INFO", { subjects_filter: "$KV.>" }) as {
    state: { subjects: Record<string, number> };
  };
  const base = Object.keys(state.subjects)[0]!.split(".").slice(0, 3).join(".") + ".";
  const get = async (subject: string): Promise<{ seq: number; data?: string; hdrs?: string } | undefined> =>
    (await ask("STREAM.MSG.GET", { last_by_subj: subject }))["message"] as never;
  return {
    async values(): Promise<Values> {
      const { state: { subjects = {} } } = await ask("STREAM.INFO", { subjects_filter: `${base}>` }) as {
        state: { subjects?: Record<string, number> };
      };
      const values = new Map<string, Uint8Array>();
      await Promise.all(
        Object.keys(subjects).sort().map(async (subject) => {
          const key = subject.slice(base.length);
          if (key.startsWith("lease.")) return;
          const message = await get(subject);
          const isMark = atob(message?.hdrs ?? "").includes("KV-Operation");
          if (message && !isMark) values.set(key, Uint8Array.fromBase64(message.data ?? ""));
        }),
      );
      return values;
    },
    async write(key, value): Promise<void> {
      const fields = headers();
      if (!value) fields.set("KV-Operation", "DEL");
      const answer = await nats.request(
        base + key,
        value ?? new Uint8Array(),
        { headers: fields, timeout: 20_000 },
      );
      assert(answer.json<{ seq?: number }>().seq, answer.string());
    },
    async erase(key): Promise<void> {
      assert((await ask("STREAM.PURGE", { filter: base + key }))["success"]);
    },
    [Symbol.asyncDispose]: () => nats.close(),
  };
}

/** Whether a checkpoint of this size commits to a value; partial tiles of earlier ones are left until they are full. */
function isCommitted(key: string, size: number): boolean {
  const [, level, width] = /^tile\/(\w+)\/.*\.p\/(\d+)$/.exec(key) ?? [];
  if (level === undefined) return true;
  return Number(width) === Math.floor(size / WIDTH ** (level === "entries" ? 0 : Number(level))) % WIDTH;
}

/** Whether a sealer reads a value to go on: those at the end of the tree, and what is not in it. */
function isAtEnd(key: string): boolean {
  return !key.startsWith("tile/") || key.includes(".p/");
}

Deno.test(`each of ${ROUNDS} random changes of a seal in a NATS bucket is found, and no sealer writes over it`, async () => {
  const seed = Number(Deno.env.get("AETHER_CHAOS_SEED") ?? Math.floor(Math.random() * 2 ** 31));
  const random = new Random(seed);
  const next = (bound: number): number => Math.floor(random.next() * bound);
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore();
  await using bucket = await SealBucket.open(server.url);
  await using seal = await sealFixture();
  const { signer, key } = seal;
  const positions = await fill(store, 700);
  let { size } = await sealOnce(store, bucket, { signer });
  await using raw = await openRaw(server.url);
  for (let number = 0; number < ROUNDS; number++) {
    await round(number).catch((cause) => {
      throw new Error(`seed ${seed}, round ${number}`, { cause });
    });
  }

  async function round(number: number): Promise<void> {
    const before = await raw.values();
    const keys = [...before.keys()].filter((name) => isCommitted(name, size));
    const name = keys[next(keys.length)]!;
    const what = await change(name, before.get(name)!);
    const hint = `${name}: ${what}`;
    const changed = await raw.values();
    // Not the bucket itself: what was read for earlier proofs is kept with it.
    const place: SealPlace = {
      read: (path, signal) => bucket.read(path, signal),
      replace: (path, bytes, expected, signal) => bucket.replace(path, bytes, expected, signal),
      isEmpty: (signal) => bucket.isEmpty(signal),
      removeFolder: (path, signal) => bucket.removeFolder(path, signal),
    };

    if (name !== SECRETS) assert.equal(await holds(verifySeal(place, { key })), false, `verifySeal: ${hint}`);
    const compared = await holds(verifySealedLog(store, place, { key }));
    assert.equal(compared, false, `verifySealedLog: ${hint}`);
    await checkProof(place, positions[next(positions.length)]!, hint);

    positions.push(...await fill(store, 1, 1_000 + number));
    const outcome = await sealOnce(store, place, { signer }).catch((error) => error);
    const after = await raw.values();
    if (outcome instanceof Error) {
      assert(outcome instanceof SealError, `${hint}: ${outcome}`);
      assert.notEqual(outcome.reason, "place", hint);
      assert.deepEqual(after, changed, hint);
    } else {
      assert(!isAtEnd(name), `sealed on: ${hint}`);
      assert.equal(outcome.size, positions.length, `${hint}: ${outcome}`);
      assert.deepEqual(after.get(name), changed.get(name), hint);
      assert.equal(await holds(verifySeal(place, { key })), false, `verifySeal, sealed on: ${hint}`);
    }
    await raw.write(name, before.get(name)!);
    ({ size } = await sealOnce(store, place, { signer }));
    assert.deepEqual((await verifySealedLog(store, place, { key })).faults, [], hint);
  }

  async function change(name: string, bytes: Uint8Array): Promise<string> {
    const at = next(bytes.length);
    switch (next(5)) {
      case 0:
        await raw.write(name, undefined);
        return "removed";
      case 1:
        await raw.erase(name);
        return "erased";
      case 2: {
        const others = [...(await raw.values())].filter(([, value]) => value.toHex() !== bytes.toHex());
        const [other, value] = others[next(others.length)]!;
        await raw.write(name, value);
        return `in its place ${other}`;
      }
      case 3: {
        // JSON without the line break at its end is the same.
        const end = name === SECRETS ? Math.min(at, bytes.length - 2) : at;
        await raw.write(name, bytes.subarray(0, end));
        return `cut to ${end} bytes`;
      }
      default: {
        // The last character of a base64 text may have bits that count for nothing; a checkpoint ends with one.
        const place = name === "checkpoint" ? Math.min(at, bytes.length - 4) : at;
        await raw.write(name, bytes.with(place, bytes[place]! ^ 1 << next(8)));
        return `a bit of byte ${place} flipped`;
      }
    }
  }

  /** A proof is refused as damaged when it is made, or when it is verified; or it is right. */
  async function checkProof(place: SealPlace, position: string, hint: string): Promise<void> {
    let proof: string;
    try {
      proof = await proveEvent(store, place, position);
    } catch (error) {
      assert(error instanceof SealError, `${hint}: ${error}`);
      // What a wrong salt and a missing checkpoint look like.
      const isOther = hint.startsWith(SECRETS) || hint.startsWith("checkpoint");
      if (!isOther) assert.equal(error.reason, "damaged", `${hint}: ${error.message}`);
      return;
    }
    const isTrusted = await holds(
      Promise.try(() => {
        assert.equal(verifyProof(proof, { key }).event.position, position, hint);
        return { ok: true };
      }),
    );
    if (hint.startsWith("checkpoint")) assert.equal(isTrusted, false, `proof: ${hint}`);
  }
});

async function holds(verification: Promise<{ readonly ok: boolean }>): Promise<boolean> {
  try {
    return (await verification).ok;
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}

Deno.test("a seal whose checkpoint was removed is not begun again, also if the log was changed", async () => {
  await using server = await startNatsServer();
  await using bucket = await SealBucket.open(server.url);
  await using seal = await sealFixture();
  const { signer, folder } = seal;
  await using store = new InMemoryEventStore();
  await fill(store, 300);
  await using forged = new InMemoryEventStore();
  await fill(forged, 300, 7, "forged");
  await sealOnce(store, folder, { signer });
  await using run = sealLog(store, bucket, { signer, interval: 10 });
  await until("it is sealed", () => run.report?.size === 300);
  await using raw = await openRaw(server.url);
  await raw.write("checkpoint", undefined);
  await Deno.remove(`${seal.path}/checkpoint`);
  await refusesWith("damaged", run.finished);
  const before = await raw.values();
  for (const log of [store, forged]) {
    for (const place of [bucket, folder]) await refusesWith("damaged", sealOnce(log, place, { signer }));
  }
  assert.deepEqual(await raw.values(), before);
});
