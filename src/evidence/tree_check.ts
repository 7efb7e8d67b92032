/**
 * Checks all files of a sealed tree against its checkpoint.
 *
 * Every leaf is hashed again, and every tile compared with what follows from the level below. Where both differ, the hash that
 * the level above has decides which of them was changed.
 *
 * @module
 */

import { isEqual } from "./bytes.ts";
import { decodeLeaf, type SealedEvent } from "./leaf.ts";
import type { Checkpoint } from "./note.ts";
import type { SealPlace } from "./place.ts";
import { readBundle, readTile } from "./sealed_tree.ts";
import { levelSize, rootOfLevels, TILE_WIDTH, tilePath } from "./tiles.ts";
import { HASH_BYTES, leafHash, rootOf } from "./tree.ts";

/** What is wrong with a file. */
export type OnFault = (path: string, message: string) => void;

/** Checks one tree. */
export class TreeCheck {
  readonly #place: SealPlace;
  readonly #checkpoint: Checkpoint;
  readonly #seen: Checkpoint | undefined;
  readonly #onFault: OnFault;
  readonly #signal: AbortSignal | undefined;
  /** The hashes of each level that are in no full tile yet. */
  readonly #levels: Uint8Array[][] = [[]];
  /** The tile of each level that was read last. */
  readonly #tiles = new Map<number, { readonly index: number; readonly hashes: Uint8Array[] | undefined }>();

  constructor(
    place: SealPlace,
    checkpoint: Checkpoint,
    seen: Checkpoint | undefined,
    onFault: OnFault,
    signal: AbortSignal | undefined,
  ) {
    this.#place = place;
    this.#checkpoint = checkpoint;
    this.#seen = seen;
    this.#onFault = onFault;
    this.#signal = signal;
  }

  /** The leaves of each bundle; `undefined` for those that are missing, changed or no leaves of ours. */
  async *leaves(): AsyncGenerator<readonly (SealedEvent | undefined)[]> {
    const { size } = this.#checkpoint;
    const seenSize = this.#seen?.size ?? -1;
    if (seenSize > size) {
      this.#onFault("checkpoint", `It has ${size} events, and the one that was seen has ${seenSize}.`);
    }
    for (let index = 0; index * TILE_WIDTH < size; index++) {
      const start = index * TILE_WIDTH;
      const width = Math.min(TILE_WIDTH, size - start);
      const entries = await readBundle(this.#place, size, index, this.#signal);
      const own = entries?.map(leafHash);
      const hashes = await this.#settle(0, index, width, own);
      if (seenSize > start && seenSize < start + width) this.#compareSeen(hashes?.slice(0, seenSize - start));
      if (width < TILE_WIDTH) this.#levels[0] = hashes ?? [];
      else await this.#raise(1, index, hashes);
      if (seenSize === start + width) this.#compareSeen(this.#levels[0]);
      yield Array.from({ length: width }, (_, at) => {
        const isWhole = own !== undefined && isEqual(own[at], hashes?.[at]);
        return isWhole ? this.#decode(entries![at]!, index, width, at) : undefined;
      });
    }
    for (const [level, hashes] of this.#levels.entries()) {
      if (level === 0 || hashes.length === 0) continue;
      const index = levelSize(size, level + 1);
      this.#levels[level] = await this.#settle(level, index, hashes.length, hashes) ?? hashes;
    }
    if (!isEqual(rootOfLevels(this.#levels), this.#checkpoint.root)) {
      this.#onFault("checkpoint", "Its root is not that of the entries.");
    }
  }

  #decode(entry: Uint8Array, index: number, width: number, at: number): SealedEvent | undefined {
    const leaf = decodeLeaf(entry);
    if (!leaf) {
      this.#onFault(tilePath("entries", index, width), `Entry ${index * TILE_WIDTH + at} is no event.`);
    }
    return leaf;
  }

  /** Adds the root of a tile to the level above. */
  async #raise(level: number, below: number, hashes: readonly Uint8Array[] | undefined): Promise<void> {
    const expected = await this.#parent(level - 1, below);
    this.#levels[level - 1] = [];
    const siblings = this.#levels[level] ??= [];
    siblings.push(hashes ? rootOf(hashes) : expected ?? new Uint8Array(HASH_BYTES));
    if (siblings.length < TILE_WIDTH) return;
    const index = Math.floor(below / TILE_WIDTH);
    await this.#raise(level + 1, index, await this.#settle(level, index, TILE_WIDTH, siblings));
  }

  /**
   * Compares the stored tile with the hashes that follow from what is below it, and reports what is wrong.
   *
   * @returns The right hashes, or those that exist; `undefined` if there are none.
   */
  async #settle(
    level: number,
    index: number,
    width: number,
    own: readonly Uint8Array[] | undefined,
  ): Promise<Uint8Array[] | undefined> {
    const stored = await readTile(this.#place, this.#checkpoint.size, level, index, this.#signal);
    const differing = Array.from({ length: width }, (_, at) => at).filter((at) => {
      return !own || !stored || !isEqual(own[at], stored[at]);
    });
    if (differing.length === 0) return stored;
    const tile = tilePath(level, index, width);
    const isStoredRight = stored && await this.#isRight(level, index, width, stored);
    if (!own || isStoredRight) this.#reportBelow(level, index, width, own && differing);
    if (!stored) this.#onFault(tile, "It is missing, or has another length.");
    else if (own && !isStoredRight) this.#onFault(tile, "Its hashes are not those of what is below it.");
    return isStoredRight || !own ? stored : [...own];
  }

  /** Reports what is below a tile: a bundle of entries, or those of the tiles that differ. */
  #reportBelow(level: number, index: number, width: number, differing: readonly number[] | undefined): void {
    if (level === 0) {
      const message = differing
        ? `It does not have the hashes of the tree, from entry ${index * TILE_WIDTH + differing[0]!} on.`
        : "It is missing, or has another number of entries.";
      return this.#onFault(tilePath("entries", index, width), message);
    }
    for (const at of differing ?? []) {
      const path = tilePath(level - 1, index * TILE_WIDTH + at);
      this.#onFault(path, "It and what is below it are not what the level above commits to.");
    }
  }

  /** Whether the level above, or the root, has what follows from some hashes. */
  async #isRight(
    level: number,
    index: number,
    width: number,
    hashes: readonly Uint8Array[],
  ): Promise<boolean> {
    if (width === TILE_WIDTH) return isEqual(rootOf(hashes), await this.#parent(level, index));
    return isEqual(rootOfLevels(this.#levels.with(level, [...hashes])), this.#checkpoint.root);
  }

  /** The hash that the level above has for a full tile. */
  async #parent(level: number, index: number): Promise<Uint8Array | undefined> {
    const [above, at] = [Math.floor(index / TILE_WIDTH), index % TILE_WIDTH];
    let tile = this.#tiles.get(level + 1);
    if (tile?.index !== above) {
      const hashes = await readTile(this.#place, this.#checkpoint.size, level + 1, above, this.#signal);
      this.#tiles.set(level + 1, tile = { index: above, hashes });
    }
    return tile.hashes?.[at];
  }

  #compareSeen(last: readonly Uint8Array[] | undefined): void {
    const { size, root } = this.#seen!;
    if (isEqual(rootOfLevels(this.#levels.with(0, [...last ?? []])), root)) return;
    this.#onFault(
      "checkpoint",
      `It does not continue the one that was seen: the first ${size} events are others.`,
    );
  }
}
