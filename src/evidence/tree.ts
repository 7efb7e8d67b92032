/**
 * The Merkle tree of RFC 6962, with SHA-256.
 *
 * @module
 */

import { nodeCrypto } from "./crypto.ts";

/** The bytes of a hash. */
export const HASH_BYTES = 32;

// The prefixes keep a leaf from being taken for a node, and the other way round (RFC 6962, section 2.1).
const LEAF_PREFIX = new Uint8Array([0]);
const NODE_PREFIX = 1;

/** The SHA-256 of some bytes, one part after another. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = nodeCrypto().createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** The hash of a leaf. */
export function leafHash(entry: Uint8Array): Uint8Array {
  return fromDigest(leafDigest(entry));
}

/** The hash of a leaf, as hexadecimal digits. */
export function leafDigest(entry: Uint8Array): string {
  return nodeCrypto().createHash("sha256").update(LEAF_PREFIX).update(entry).digest("hex");
}

/** What a node is the hash of: a prefix, and two hashes. */
const node = new Uint8Array(1 + 2 * HASH_BYTES);

/** The hash of a node over two others. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  node[0] = NODE_PREFIX;
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return fromDigest(nodeCrypto().createHash("sha256").update(node).digest("hex"));
}

/**
 * The hashes above those of a row, each over two of them; a last one without a pair is left out. Hashes that follow one another in
 * one array take half the time of single ones.
 */
export function rowAbove(row: Uint8Array): Uint8Array {
  const count = Math.floor(row.length / (2 * HASH_BYTES));
  const above = new Uint8Array(count * HASH_BYTES);
  const { createHash } = nodeCrypto();
  node[0] = NODE_PREFIX;
  for (let at = 0; at < count; at++) {
    node.set(row.subarray(at * 2 * HASH_BYTES, (at + 1) * 2 * HASH_BYTES), 1);
    above.subarray(at * HASH_BYTES).setFromHex(createHash("sha256").update(node).digest("hex"));
  }
  return above;
}

/** The root of a full tile. */
export function rootOfTile(tile: Uint8Array): Uint8Array {
  let row = tile;
  while (row.length > HASH_BYTES) row = rowAbove(row);
  return row;
}

/** The bytes of a hash. A digest as text and back takes half the time of one that the runtime returns as a buffer. */
export function fromDigest(hex: string): Uint8Array {
  const hash = new Uint8Array(HASH_BYTES);
  hash.setFromHex(hex);
  return hash;
}

/** The root of an empty tree: the hash of nothing. */
export function emptyRoot(): Uint8Array {
  return sha256();
}

/** The root of consecutive hashes. They may be those of leaves, or of full subtrees of one size. */
export function rootOf(hashes: readonly Uint8Array[]): Uint8Array {
  const tree = new MerkleTree();
  for (const hash of hashes) tree.append(hash);
  return tree.root();
}

/** A tree that grows by one leaf after another, in memory for its right edge only. */
export class MerkleTree {
  readonly #subtrees: Uint8Array[] = [];
  #size = 0;

  /** How many leaves it has. */
  get size(): number {
    return this.#size;
  }

  /** The roots of the full subtrees that it consists of, the largest first. */
  get subtrees(): readonly Uint8Array[] {
    return this.#subtrees;
  }

  /** Adds a leaf by its hash. */
  append(hash: Uint8Array): void {
    for (let left = this.#size; left % 2 === 1; left = Math.floor(left / 2)) {
      hash = nodeHash(this.#subtrees.pop()!, hash);
    }
    this.#subtrees.push(hash);
    this.#size++;
  }

  /** The root of what was added so far. */
  root(): Uint8Array {
    if (this.#size === 0) return emptyRoot();
    return this.#subtrees.reduceRight((right, left) => nodeHash(left, right));
  }
}

/** The largest power of two below a size of two or more: where a tree is divided. */
export function split(size: number): number {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
}

/**
 * The root that an inclusion proof leads to.
 *
 * @param hash The leaf's hash.
 * @param proof The hashes at its side, from the leaf's sibling up.
 * @returns `undefined` if the proof has another length than a leaf at this place needs.
 */
export function rootFromProof(
  hash: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
): Uint8Array | undefined {
  if (!(index < size)) return undefined;
  // From the root down: on which side the rest of the tree is.
  const isLeft: boolean[] = [];
  for (let [at, count] = [index, size]; count > 1;) {
    const half = split(count);
    isLeft.push(at >= half);
    [at, count] = at >= half ? [at - half, count - half] : [at, half];
  }
  if (isLeft.length !== proof.length) return undefined;
  for (const sibling of proof) hash = isLeft.pop() ? nodeHash(sibling, hash) : nodeHash(hash, sibling);
  return hash;
}
