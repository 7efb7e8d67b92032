/**
 * What it costs to encrypt and decrypt personal fields, and what stores with a vault cost that have none.
 *
 * Single events take microseconds, and a machine that is busy, a collection or the compiler take a multiple of that now and then.
 * So all is measured in the time of the processor, in short pieces of both sides one after another, after the code is compiled.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv } from "node:crypto";
import process from "node:process";
import { InMemoryEventStore, Vault } from "../../mod.ts";
import { median, once, type Row } from "./harness.ts";

/** The most that an event with one field of 256 bytes may take more than without, in microseconds. */
const MAX_MICROSECONDS = 15;
const FIELD = "n".repeat(256);
/** The events of a piece. */
const PIECE = 500;
/** Compiling all that `node:crypto` runs through for a cipher takes as long as tens of thousands of events. */
const PREPARING_PIECES = 100;
const ROUNDS = 9;

const ALGORITHM = "aes-256-gcm";
const KEY = crypto.getRandomValues(new Uint8Array(32));
/** As long as what is encrypted of a field, and what it belongs to. */
const TEXT = new TextEncoder().encode(JSON.stringify([FIELD]));
const PLACE = TEXT.subarray(0, 40);

/** How long one of the events of a piece takes, in microseconds of the processor. */
async function timeOf(work: () => void | Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / PIECE;
}

/** The cipher alone. */
function encryptBytes(): { iv: Uint8Array; bytes: Uint8Array; tag: Uint8Array } {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const cipher = createCipheriv(ALGORITHM, KEY, iv);
  cipher.setAAD(PLACE);
  const bytes = cipher.update(TEXT);
  cipher.final();
  return { iv, bytes, tag: cipher.getAuthTag() };
}

const ENCRYPTED = encryptBytes();

function decryptBytes(): void {
  const decipher = createDecipheriv(ALGORITHM, KEY, ENCRYPTED.iv);
  decipher.setAAD(PLACE);
  decipher.setAuthTag(ENCRYPTED.tag);
  decipher.update(ENCRYPTED.bytes);
  decipher.final();
}

function repeatedly(work: () => void): Promise<number> {
  return timeOf(() => {
    for (let event = 0; event < PIECE; event++) work();
  });
}

/** Appends a piece of events to a new store. */
async function appending(store: InMemoryEventStore, eventType: string): Promise<number> {
  const event = { eventType, data: { name: FIELD, total: 5 } };
  const time = await timeOf(async () => {
    for (let version = 0; version < PIECE; version++) {
      await store.append("ann", [event], { expectedVersion: version });
    }
  });
  assert.equal(await store.getLatestVersion("ann"), PIECE);
  return time;
}

/** Reads the events of a store that a piece was appended to. */
async function reading(store: InMemoryEventStore): Promise<number> {
  let read = 0;
  const time = await timeOf(async () => {
    for await (const { data } of store.readEvents("ann")) {
      if ((data as { name: unknown }).name === FIELD) read++;
    }
  });
  assert.equal(read, PIECE);
  return time;
}

/** Both sides of a row. */
type Pair = readonly [ours: number, baseline: number];

type Measure = () => number | Promise<number>;

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Measures both sides of a row in the same pieces of time, each first as often as the other.
 *
 * @param figure What is made of the pieces of a side.
 */
function paired(
  pieces: number,
  ours: Measure,
  baseline: Measure,
  figure: (values: readonly number[]) => number = mean,
): Pick<Row, "measureOurs" | "measureBaseline"> {
  let measured: Promise<Pair> | undefined;
  const measure = async (): Promise<Pair> => {
    const sides: [number[], number[]] = [[], []];
    for (let index = 0; index < pieces; index++) {
      if (index % 2 === 0) sides[0].push(await ours());
      sides[1].push(await baseline());
      if (index % 2 === 1) sides[0].push(await ours());
    }
    return [figure(sides[0]), figure(sides[1])];
  };
  /** The side that is asked for second is of the same measurement. */
  const take = async (side: 0 | 1): Promise<number> => {
    const known = measured;
    measured = known ? undefined : measure();
    return (await (known ?? measured!))[side];
  };
  return { measureOurs: () => take(0), measureBaseline: () => take(1) };
}

/** The rows of personal data. */
export async function personalRows(quick: boolean): Promise<readonly Row[]> {
  const vault = await Vault.inMemory({ masterKey: { id: "bench", secret: KEY } });
  const events = { Named: { personal: { fields: ["name"] } } };
  const withVault = (): InMemoryEventStore => new InMemoryEventStore({ vault, events });
  const plain = (): InMemoryEventStore => new InMemoryEventStore();
  const filled = async (store: InMemoryEventStore, eventType: string): Promise<InMemoryEventStore> => {
    await appending(store, eventType);
    return store;
  };

  const encrypting = async (): Promise<number> =>
    await appending(withVault(), "Named") - await appending(plain(), "Named");
  const decrypting = async (): Promise<number> => await reading(await filled(withVault(), "Named"));
  const pieces = quick ? 20 : 40;
  const common = {
    rounds: ROUNDS,
    prepare: once(async () => {
      for (let piece = 0; piece < PREPARING_PIECES; piece++) {
        await encrypting();
        await decrypting();
        await repeatedly(encryptBytes);
        await repeatedly(decryptBytes);
        await appending(withVault(), "Other");
      }
    }),
  };
  const moreThanWithout = "us more than without, an event";
  // The next row shows how much the cipher takes. What is around it takes 2 us on an idle machine, and 5 on a busy one.
  const most = `${MAX_MICROSECONDS} us; the cipher of node:crypto alone takes 6 to 20 of them`;
  return [{
    name: "encrypt a field of 256 bytes",
    unit: moreThanWithout,
    goal: { op: "<=", value: 1 },
    baseline: most,
    ...common,
    ...paired(pieces, encrypting, () => MAX_MICROSECONDS),
  }, {
    name: "encrypt a field of 256 bytes, next to the cipher alone",
    unit: moreThanWithout,
    baseline: "AES-256-GCM of node:crypto, of the same bytes",
    ...common,
    ...paired(pieces, encrypting, () => repeatedly(encryptBytes)),
  }, {
    name: "decrypt a field of 256 bytes",
    unit: "us, an event",
    goal: { op: "<=", value: 1 },
    baseline: most,
    ...common,
    ...paired(pieces, decrypting, () => MAX_MICROSECONDS),
  }, {
    name: "decrypt a field of 256 bytes, next to the cipher alone",
    unit: "us, an event",
    baseline: "AES-256-GCM of node:crypto, of the same bytes",
    ...common,
    ...paired(pieces, decrypting, () => repeatedly(decryptBytes)),
  }, {
    name: "append an event without personal fields, with a vault",
    unit: "us, an event",
    goal: { op: "<=", value: 1.1 },
    baseline: "without a vault",
    ...common,
    // Both do the same. A mean would be that of the collections, of which a piece has none or one as long as itself.
    ...paired(4 * pieces, () => appending(withVault(), "Other"), () => appending(plain(), "Other"), median),
  }, {
    name: "read an event without personal fields, with a vault",
    unit: "us, an event",
    baseline: "without a vault",
    ...common,
    ...paired(
      4 * pieces,
      async () => await reading(await filled(withVault(), "Other")),
      async () => await reading(await filled(plain(), "Other")),
      median,
    ),
  }];
}
