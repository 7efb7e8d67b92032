/**
 * The files of a tree, as c2sp.org/tlog-tiles lays them out: tiles of 256 hashes and bundles of 256 entries, those at the
 * right edge partial.
 *
 * @module
 */

import { isEqual } from "./bytes.ts";
import { HASH_BYTES, leafHash, MerkleTree, nodeHash, rootOf, rootOfTile } from "./tree.ts";

/** The most hashes of a tile, and entries of a bundle. */
export const TILE_WIDTH = 256;
/** The most bytes of an entry: its length takes two. */
export const MAX_ENTRY_BYTES = 0xffff;

/** The path of a tile of a level, or of a bundle of entries. */
export function tilePath(level: number | "entries", index: number, width = TILE_WIDTH): string {
  return `tile/${level}/${indexPath(index)}${width < TILE_WIDTH ? `.p/${width}` : ""}`;
}

/** The path below which all partial tiles at a place are. */
export function partialsPath(level: number | "entries", index: number): string {
  return `${tilePath(level, index)}.p`;
}

/** Groups of three digits, of which all except the last begin with an x. */
function indexPath(index: number): string {
  const last = String(index % 1000).padStart(3, "0");
  return index < 1000 ? last : `${indexPath(Math.floor(index / 1000)).replace(/\d+$/, "x$&")}/${last}`;
}

/** How many hashes there are on a level of a tree: those of full subtrees. */
export function levelSize(size: number, level: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** The bytes of a bundle. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(entries.reduce((length, entry) => length + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    bytes[at++] = entry.length >> 8;
    bytes[at++] = entry.length & 0xff;
    bytes.set(entry, at);
    at += entry.length;
  }
  return bytes;
}

/** The entries of a bundle; `undefined` if it does not consist of exactly so many. */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] | undefined {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = bytes[at]! << 8 | (bytes[at + 1] ?? 0);
    if (at + 2 + length > bytes.length) return undefined;
    entries.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return entries.length === width ? entries : undefined;
}

/** One entry of a bundle; `undefined` if it has fewer. */
export function entryAt(bytes: Uint8Array, index: number): Uint8Array | undefined {
  for (let at = 0; at + 1 < bytes.length; index--) {
    const end = at + 2 + (bytes[at]! << 8 | bytes[at + 1]!);
    if (index === 0) return end > bytes.length ? undefined : bytes.subarray(at + 2, end);
    at = end;
  }
  return undefined;
}

/** The bytes of a tile. */
export function encodeTile(hashes: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * HASH_BYTES);
  for (const [index, hash] of hashes.entries()) bytes.set(hash, index * HASH_BYTES);
  return bytes;
}

/** The hashes of a tile; `undefined` if it does not consist of exactly so many. */
export function decodeTile(bytes: Uint8Array, width: number): Uint8Array[] | undefined {
  if (bytes.length !== width * HASH_BYTES) return undefined;
  return Array.from({ length: width }, (_, at) => bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}

/** A file of a tree. */
export interface TileFile {
  /** Its path. */
  readonly path: string;
  /** Its bytes. */
  readonly bytes: Uint8Array;
}

/** The right edge of a tree: the hashes and entries that are in no full tile yet. */
export class RightEdge {
  /** The hashes of each level, from that of the leaves up; fewer than a tile has. */
  readonly #levels: Uint8Array[][];
  #entries: Uint8Array[];
  #size: number;

  /** Begins with an empty tree, or with the edge of one that was read. */
  constructor(size = 0, levels: Uint8Array[][] = [], entries: Uint8Array[] = []) {
    this.#size = size;
    this.#levels = levels;
    this.#entries = entries;
  }

  /** How many leaves the tree has. */
  get size(): number {
    return this.#size;
  }

  /** Whether the entries are those of the leaves' hashes. */
  isConsistent(): boolean {
    const hashes = this.#levels[0] ?? [];
    return hashes.length === this.#entries.length &&
      this.#entries.every((entry, index) => isEqual(leafHash(entry), hashes[index]));
  }

  /** Adds an entry. What is full by it is passed on. */
  append(entry: Uint8Array, onFull: (file: TileFile, partials: string) => void): void {
    this.#entries.push(entry);
    if (this.#entries.length === TILE_WIDTH) {
      const index = Math.floor(this.#size / TILE_WIDTH);
      onFull(
        { path: tilePath("entries", index), bytes: encodeBundle(this.#entries) },
        partialsPath("entries", index),
      );
      this.#entries = [];
    }
    this.#size++;
    let hash = leafHash(entry);
    for (let level = 0;; level++) {
      const hashes = this.#levels[level] ??= [];
      hashes.push(hash);
      if (hashes.length < TILE_WIDTH) return;
      const index = levelSize(this.#size, level + 1) - 1;
      const bytes = encodeTile(hashes);
      onFull({ path: tilePath(level, index), bytes }, partialsPath(level, index));
      hash = rootOfTile(bytes);
      this.#levels[level] = [];
    }
  }

  /** The partial files that a checkpoint of this size needs. */
  partials(): TileFile[] {
    const files = this.#levels.flatMap((hashes, level) => {
      const index = levelSize(this.#size, level + 1);
      return hashes.length === 0
        ? []
        : [{ path: tilePath(level, index, hashes.length), bytes: encodeTile(hashes) }];
    });
    const count = this.#entries.length;
    if (count === 0) return files;
    const path = tilePath("entries", levelSize(this.#size, 1), count);
    return [{ path, bytes: encodeBundle(this.#entries) }, ...files];
  }

  /** The root of the tree. */
  root(): Uint8Array {
    return rootOfLevels(this.#levels);
  }
}

/** The root of a tree, of which the hashes of each level are given that are in no full tile. */
export function rootOfLevels(levels: readonly (readonly Uint8Array[])[]): Uint8Array {
  let root: Uint8Array | undefined;
  for (const hashes of levels) {
    const tree = new MerkleTree();
    for (const hash of hashes) tree.append(hash);
    for (const subtree of tree.subtrees.toReversed()) root = root ? nodeHash(subtree, root) : subtree;
  }
  return root ?? rootOf([]);
}
