/**
 * Which shard an actor belongs to.
 *
 * @module
 */
import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";

/** The most shards a cluster can have. */
export const MAX_SHARD_COUNT = 16_384;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * The shard of an actor: 32-bit FNV-1a over the UTF-8 bytes of the id, mixed by MurmurHash3's finalizer, modulo the
 * number of shards. It never changes, and any language can compute it:
 *
 * ```text
 * h = 0x811c9dc5
 * for each byte b:  h = (h xor b) * 0x01000193             (mod 2^32)
 * h = (h xor (h >> 16)) * 0x85ebca6b                       (mod 2^32, logical shifts)
 * h = (h xor (h >> 13)) * 0xc2b2ae35                       (mod 2^32)
 * h =  h xor (h >> 16)
 * shard = h mod shardCount
 * ```
 *
 * @example Find an actor's shard
 * ```ts
 * import { shardOf } from "@flowmade-one/aether/cluster";
 * import assert from "node:assert/strict";
 *
 * assert.equal(shardOf("order.123", 1024), 208);
 * assert.equal(shardOf("caf\u00e9", 16_384), 3_410);
 * ```
 *
 * @param actorId A well-formed string that is not empty.
 * @param shardCount The number of shards: 1 to 16,384.
 * @returns A number from 0 to `shardCount - 1`.
 * @throws {InvalidArgumentError} If the id is empty or has lone surrogates, or the number of shards is out of range.
 *
 * @category Cluster
 */
export function shardOf(actorId: string, shardCount: number): number {
  checkShardCount("shardCount", shardCount);
  return hash(actorId) % shardCount;
}

/** Refuses what is no number of shards. */
export function checkShardCount(argument: string, shardCount: unknown): void {
  if (
    !Number.isInteger(shardCount) || (shardCount as number) < 1 || (shardCount as number) > MAX_SHARD_COUNT
  ) {
    throw new InvalidArgumentError(
      argument,
      `must be a whole number from 1 to ${MAX_SHARD_COUNT}, and is ${describe(shardCount)}`,
    );
  }
}

/** The 32-bit hash that {@linkcode shardOf} reduces to a shard. */
export function hash(id: string): number {
  if (typeof id !== "string" || id === "") {
    throw new InvalidArgumentError("actorId", `must be a string that is not empty, and is ${describe(id)}`);
  }
  let h = FNV_OFFSET;
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i);
    if (unit >= 0x80) return hashUtf8(id);
    h = Math.imul(h ^ unit, FNV_PRIME);
  }
  return mix(h);
}

const encoder = new TextEncoder();

function hashUtf8(id: string): number {
  if (!id.isWellFormed()) throw new InvalidArgumentError("actorId", "must not contain lone surrogates");
  let h = FNV_OFFSET;
  for (const byte of encoder.encode(id)) h = Math.imul(h ^ byte, FNV_PRIME);
  return mix(h);
}

function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
