/**
 * A sealed tree as it is in its place: its checkpoint, and the files that belong to it.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { utf8 } from "../text.ts";
import { fromBase64, isEqual } from "./bytes.ts";
import { SealError } from "./errors.ts";
import { decodeLeaf, SALT_KEY_BYTES, type SealedEvent } from "./leaf.ts";
import { parseCheckpoint, type SignedCheckpoint, verifySignatures } from "./note.ts";
import type { SealPlace } from "./place.ts";
import type { Expectation } from "./seal_options.ts";
import { decodeBundle, decodeTile, levelSize, RightEdge, TILE_WIDTH, tilePath } from "./tiles.ts";

const CHECKPOINT = "checkpoint";
/** What only the sealer, and programs that verify a store, may know. */
const SECRETS = "private/seal.json";
const FORMAT = 1;
const decoder = new TextDecoder();

/** What is kept with a tree and is not published. */
export interface Secrets {
  /** The origin of the log. */
  readonly origin: string;
  /** What the salts of the leaves follow from. */
  readonly saltKey: Uint8Array;
}

/** Reads from a place; its own failures become errors that explain what to do. */
export async function readFile(
  place: SealPlace,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  signal?.throwIfAborted();
  const read = (): Promise<Uint8Array | undefined> => abortable(place.read(path, signal), signal);
  return await atPlace(`${path} of the seal cannot be read.`, signal, read);
}

/**
 * Does something at a place; what it throws becomes an error that explains what to do, and after an abort the signal's reason.
 */
export async function atPlace<T>(
  message: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof SealError) throw cause;
    throw new SealError("place", message, { cause });
  }
}

/** The secrets of a seal; `undefined` if there are none. */
export async function readSecrets(
  place: SealPlace,
  signal: AbortSignal | undefined,
): Promise<Secrets | undefined> {
  const bytes = await readFile(place, SECRETS, signal);
  if (!bytes) return undefined;
  try {
    const { format, origin, saltKey } = JSON.parse(decoder.decode(bytes)) as Record<string, unknown>;
    const key = typeof saltKey === "string" ? fromBase64(saltKey) : undefined;
    if (format === FORMAT && typeof origin === "string" && key?.length === SALT_KEY_BYTES) {
      return { origin, saltKey: key };
    }
  } catch {
    // refused below
  }
  throw new SealError("damaged", `${SECRETS} of the seal cannot be read.`);
}

/**
 * The secrets of a seal, to compare it with its store.
 *
 * @throws {SealError} If there are none, or they are not those of the checkpoint's seal.
 */
export async function requireSecrets(
  place: SealPlace,
  { origin }: SignedCheckpoint,
  signal: AbortSignal | undefined,
): Promise<Secrets> {
  const secrets = await readSecrets(place, signal);
  if (!secrets) {
    throw new SealError(
      "not-sealed",
      `${SECRETS} is missing: without its salts the store cannot be compared.`,
    );
  }
  if (secrets.origin === origin) return secrets;
  throw new SealError("damaged", `${SECRETS} is of "${secrets.origin}", and the checkpoint of "${origin}".`);
}

/** Makes the secrets of a new seal, unless another sealer was first. */
export async function makeSecrets(
  place: SealPlace,
  origin: string,
  signal: AbortSignal | undefined,
): Promise<Secrets> {
  const saltKey = crypto.getRandomValues(new Uint8Array(SALT_KEY_BYTES)).toBase64();
  const text = JSON.stringify({ format: FORMAT, origin, saltKey });
  await atPlace(
    "The seal cannot be begun.",
    signal,
    () => place.replace(SECRETS, utf8(text + "\n"), undefined, signal),
  );
  const made = await readSecrets(place, signal);
  if (made) return made;
  throw new SealError("place", `${SECRETS} of the seal was written, and is not found.`);
}

/** The bytes of the checkpoint; `undefined` if there is none. */
export function readCheckpoint(
  place: SealPlace,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  return readFile(place, CHECKPOINT, signal);
}

/** Writes a checkpoint in place of another; returns whether that one was still the present one. */
export function replaceCheckpoint(
  place: SealPlace,
  bytes: Uint8Array,
  expected: Uint8Array | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return atPlace(
    "The checkpoint cannot be written.",
    signal,
    () => place.replace(CHECKPOINT, bytes, expected, signal),
  );
}

/**
 * Reads a checkpoint and verifies what is asked of it.
 *
 * @throws {SealError} If there is none, or it is of another log or key.
 */
export async function readTrusted(place: SealPlace, expected: Expectation): Promise<SignedCheckpoint> {
  const bytes = await readCheckpoint(place, expected.signal);
  if (!bytes) throw new SealError("not-sealed", "The place has no checkpoint.");
  return trusted(bytes, expected);
}

/**
 * Reads the bytes of a checkpoint and verifies what is asked of it.
 *
 * @throws {SealError} If it is of another log or key.
 */
export function trusted(
  bytes: Uint8Array,
  { keys, origin }: Pick<Expectation, "keys" | "origin">,
): SignedCheckpoint {
  const checkpoint = parseCheckpoint(bytes);
  if (origin !== undefined && checkpoint.origin !== origin) {
    throw new SealError("other-origin", `The checkpoint is of "${checkpoint.origin}", not of "${origin}".`);
  }
  verifySignatures(checkpoint, keys);
  return checkpoint;
}

/** Reads a tile or a bundle: the partial one that a size needs, or the beginning of the full one that has replaced it. */
export async function readWide<T>(
  place: SealPlace,
  path: (width: number) => string,
  width: number,
  decode: (bytes: Uint8Array, width: number) => T[] | undefined,
  signal: AbortSignal | undefined,
): Promise<T[] | undefined> {
  const bytes = await readFile(place, path(width), signal);
  if (bytes || width === TILE_WIDTH) return bytes && decode(bytes, width);
  const full = await readFile(place, path(TILE_WIDTH), signal);
  return full && decode(full, TILE_WIDTH)?.slice(0, width);
}

/** The hashes of a tile of a tree; `undefined` if it is missing or has another size. */
export function readTile(
  place: SealPlace,
  size: number,
  level: number,
  index: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array[] | undefined> {
  const width = Math.min(TILE_WIDTH, levelSize(size, level) - index * TILE_WIDTH);
  return readWide(place, (width) => tilePath(level, index, width), width, decodeTile, signal);
}

/** The entries of a bundle of a tree; `undefined` if it is missing or has another size. */
export function readBundle(
  place: SealPlace,
  size: number,
  index: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array[] | undefined> {
  const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
  return readWide(place, (width) => tilePath("entries", index, width), width, decodeBundle, signal);
}

/** The bytes of a bundle of a tree: the partial one that a size needs, or the full one that has replaced it. */
export async function readBundleBytes(
  place: SealPlace,
  size: number,
  index: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
  const bytes = await readFile(place, tilePath("entries", index, width), signal);
  if (bytes || width === TILE_WIDTH) return bytes;
  return await readFile(place, tilePath("entries", index), signal);
}

/** Whether there is a first bundle of entries, of any width. */
export async function hasEntries(place: SealPlace, signal: AbortSignal | undefined): Promise<boolean> {
  const widths = Array.from({ length: TILE_WIDTH }, (_, at) => at + 1);
  const bundles = await Promise.all(
    widths.map((width) => readFile(place, tilePath("entries", 0, width), signal)),
  );
  return bundles.some((bundle) => bundle !== undefined);
}

/** The leaf at an index, from the bundle that it is in. */
export async function readLeaf(
  place: SealPlace,
  size: number,
  index: number,
  signal: AbortSignal | undefined,
): Promise<SealedEvent> {
  const bundle = await readBundle(place, size, Math.floor(index / TILE_WIDTH), signal);
  const leaf = bundle && decodeLeaf(bundle[index % TILE_WIDTH]!);
  if (leaf) return leaf;
  throw new SealError("damaged", `Entry ${index} of the seal is missing or cannot be read.`);
}

/**
 * Reads the right edge of a tree, to go on from it.
 *
 * @throws {SealError} If it does not lead to the root of the checkpoint.
 */
export async function readEdge(
  place: SealPlace,
  { size, root }: SignedCheckpoint,
  signal: AbortSignal | undefined,
): Promise<RightEdge> {
  const levels: Uint8Array[][] = [];
  for (let level = 0; levelSize(size, level) > 0; level++) {
    const index = levelSize(size, level + 1);
    const isFull = index * TILE_WIDTH === levelSize(size, level);
    const hashes = isFull ? [] : await readTile(place, size, level, index, signal);
    if (!hashes) {
      throw new SealError("damaged", `The tile of level ${level} at the end of the seal is missing.`);
    }
    levels.push(hashes);
  }
  const isFull = size % TILE_WIDTH === 0;
  const entries = isFull ? [] : await readBundle(place, size, Math.floor(size / TILE_WIDTH), signal);
  if (!entries) throw new SealError("damaged", "The last bundle of entries of the seal is missing.");
  const edge = new RightEdge(size, levels, entries);
  if (!edge.isConsistent() || !isEqual(edge.root(), root)) {
    throw new SealError(
      "damaged",
      "The files at the end of the seal do not lead to the root of its checkpoint.",
    );
  }
  return edge;
}
