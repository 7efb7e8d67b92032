/**
 * Single leaves of a sealed tree, and the proofs that they are in it.
 *
 * @module
 */

import { isEqual } from "./bytes.ts";
import { SealError } from "./errors.ts";
import { decodeLeaf, type SealedEvent } from "./leaf.ts";
import type { Checkpoint } from "./note.ts";
import type { SealPlace } from "./place.ts";
import { readBundleBytes, readTile } from "./sealed_tree.ts";
import { encodeTile, entryAt, TILE_WIDTH } from "./tiles.ts";
import { HASH_BYTES, leafHash, nodeHash, rootFromProof, rowAbove, split } from "./tree.ts";

/** How many hashes there are between two levels of tiles. */
const LEVELS_PER_TILE = 8;
/** Files that are kept for the next proof: those of the upper levels are in every one. */
const MAX_FILES = 256;
/** Positions that bundles begin with, which are kept for the next search: it passes most of them again. */
const MAX_POSITIONS = 4_096;

/** What was read of a place, the last used at the end. */
class Kept<T> {
  readonly #max: number;
  readonly #values = new Map<string | number, T>();

  constructor(max: number) {
    this.#max = max;
  }

  async get(key: string | number, read: () => Promise<T>): Promise<T> {
    const value = this.#values.get(key) ?? await read();
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.#max) this.#values.delete(this.#values.keys().next().value!);
    return value;
  }
}

/** A tile: its hashes, and those of the levels above them within it. */
type Pyramid = readonly Uint8Array[];

interface Known {
  readonly root: string;
  readonly tiles: Kept<Pyramid>;
  readonly bundles: Kept<Uint8Array>;
  /** The position of the first leaf of each bundle. */
  readonly positions: Kept<string>;
}

/** What was read of a place, as long as its checkpoint is the same. */
const known = new WeakMap<SealPlace, Known>();

/** An entry, and the hashes that lead from it to the root. */
export interface ProvedEntry {
  readonly entry: Uint8Array;
  readonly hashes: readonly Uint8Array[];
}

/** Reads a tree. */
export class TreeReader {
  readonly #place: SealPlace;
  readonly #size: number;
  readonly #root: Uint8Array;
  readonly #signal: AbortSignal | undefined;
  readonly #known: Known;

  private constructor(
    place: SealPlace,
    { size, root }: Checkpoint,
    signal: AbortSignal | undefined,
    known: Known,
  ) {
    this.#place = place;
    this.#size = size;
    this.#root = root;
    this.#signal = signal;
    this.#known = known;
  }

  /** Begins to read the tree of a checkpoint. */
  static of(place: SealPlace, checkpoint: Checkpoint, signal: AbortSignal | undefined): TreeReader {
    const root = checkpoint.root.toHex();
    let found = known.get(place);
    if (found?.root !== root) {
      found = {
        root,
        tiles: new Kept(MAX_FILES),
        bundles: new Kept(MAX_FILES),
        positions: new Kept(MAX_POSITIONS),
      };
      known.set(place, found);
    }
    return new TreeReader(place, checkpoint, signal, found);
  }

  /** Reads everything of a place again the next time. */
  static forget(place: SealPlace): void {
    known.delete(place);
  }

  async #entry(index: number): Promise<Uint8Array> {
    const bundle = Math.floor(index / TILE_WIDTH);
    const bytes = await this.#known.bundles.get(bundle, async () => {
      const read = await readBundleBytes(this.#place, this.#size, bundle, this.#signal);
      return read ?? this.#damaged(`Bundle ${bundle} of the entries`);
    });
    return entryAt(bytes, index % TILE_WIDTH) ?? this.#damaged(`Entry ${index}`);
  }

  /** A leaf. */
  async leaf(index: number): Promise<SealedEvent> {
    return decodeLeaf(await this.#entry(index)) ?? this.#damaged(`Entry ${index}`);
  }

  /**
   * The index of the leaf at a position.
   *
   * @throws {SealError} If there is none, or a leaf that would be next to it was changed.
   */
  async find(position: string): Promise<number> {
    const bundle = await this.#findBundle(position);
    let low = bundle * TILE_WIDTH;
    let high = Math.min(low + TILE_WIDTH, this.#size);
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((await this.leaf(middle)).position < position) low = middle + 1;
      else high = middle;
    }
    if (low < this.#size && (await this.leaf(low)).position === position) return low;
    // The leaves on both sides show that there is none, if they are in the tree.
    if (low > 0) await this.prove(low - 1);
    if (low < this.#size) await this.prove(low);
    throw new SealError("not-sealed", `No event at ${position} is sealed.`);
  }

  /** The last bundle that does not begin after a position; the first one if all do. */
  async #findBundle(position: string): Promise<number> {
    let [low, high] = [0, Math.ceil(this.#size / TILE_WIDTH)];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const first = await this.#known.positions.get(
        middle,
        async () => (await this.leaf(middle * TILE_WIDTH)).position,
      );
      if (first <= position) low = middle;
      else high = middle;
    }
    return low;
  }

  /**
   * An entry, with the hashes that lead from it to the root.
   *
   * @throws {SealError} If they do not.
   */
  async prove(index: number): Promise<ProvedEntry> {
    const entry = await this.#entry(index);
    const hashes: Uint8Array[] = [];
    for (let [from, to] = [0, this.#size]; to - from > 1;) {
      const middle = from + split(to - from);
      hashes.push(await (index < middle ? this.#rootOf(middle, to) : this.#rootOf(from, middle)));
      [from, to] = index < middle ? [from, middle] : [middle, to];
    }
    hashes.reverse();
    if (isEqual(rootFromProof(leafHash(entry), index, this.#size, hashes), this.#root)) {
      return { entry, hashes };
    }
    throw new SealError("damaged", `The files of the seal do not lead from entry ${index} to the root.`);
  }

  /** The root of the leaves of a range, whose beginning is a multiple of the largest power of two in it. */
  async #rootOf(from: number, to: number): Promise<Uint8Array> {
    const count = to - from;
    const height = Math.log2(count);
    if (!Number.isInteger(height)) {
      const middle = from + split(count);
      return nodeHash(await this.#rootOf(from, middle), await this.#rootOf(middle, to));
    }
    const level = Math.floor(height / LEVELS_PER_TILE);
    const at = from / TILE_WIDTH ** level;
    const tile = await this.#tile(level, Math.floor(at / TILE_WIDTH));
    const within = height % LEVELS_PER_TILE;
    const place = at % TILE_WIDTH / 2 ** within;
    return tile[within]!.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES);
  }

  #tile(level: number, index: number): Promise<Pyramid> {
    return this.#known.tiles.get(`${level}/${index}`, async () => {
      const hashes = await readTile(this.#place, this.#size, level, index, this.#signal);
      if (!hashes) return this.#damaged(`Tile ${index} of level ${level}`);
      return pyramidOf(encodeTile(hashes));
    });
  }

  #damaged(what: string): never {
    throw new SealError("damaged", `${what} of the seal is missing or cannot be read.`);
  }
}

function pyramidOf(hashes: Uint8Array): Pyramid {
  const pyramid = [hashes];
  for (let row = hashes; row.length > HASH_BYTES;) pyramid.push(row = rowAbove(row));
  return pyramid;
}
