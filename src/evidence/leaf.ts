/**
 * The leaves of a sealed log: what a leaf commits to, and what it does not show.
 *
 * A leaf is a line of canonical JSON (RFC 8785) with the event's position, actor, version, type and time, and a digest of the
 * whole event as it is stored. The digest is salted: without the salt, which is kept out of the tree, no guess at the
 * data can be compared with a leaf. The salt of a leaf follows from a secret and the leaf's index, so that two sealers write the
 * same leaf.
 *
 * @module
 */

import { schemaVersionOf } from "../event/registry.ts";
import type { StoredEvent } from "../event/types.ts";
import { utf8 } from "../text.ts";
import { canonicalJson } from "./canonical_json.ts";
import { nodeCrypto } from "./crypto.ts";
import { TILE_WIDTH } from "./tiles.ts";

/** The bytes of the secret that salts follow from. */
export const SALT_KEY_BYTES = 32;
const SALT_BYTES = 16;
const SALT_DIGITS = 2 * SALT_BYTES;

/**
 * What a sealed event commits to in the open.
 *
 * @category Evidence
 */
export interface SealedEvent {
  /** The event's place in the log that was sealed. */
  readonly position: string;
  /** The actor. */
  readonly actorId: string;
  /** The event's place among its actor's events. */
  readonly version: number;
  /** What happened. */
  readonly eventType: string;
  /** When it happened, by the clock of the program that saved it. */
  readonly timestamp: string;
  /** The salted SHA-256 of the event as it is stored, as hexadecimal digits. */
  readonly digest: string;
}

/**
 * The text of an event as it is stored, without its position: a copy in another store has the same.
 *
 * The events of a raw log have the schema versions that they were stored under.
 */
export function storedText(event: StoredEvent): string {
  const { actorId, data, eventType, id, metadata, timestamp, version } = event;
  // The members of an event are known: they are not sorted for each one.
  return `{"actorId":${JSON.stringify(actorId)},"data":${canonicalJson(data)},"eventType":${
    JSON.stringify(eventType)
  }` +
    `,"id":${JSON.stringify(id)}${metadata ? `,"metadata":${canonicalJson(metadata)}` : ""}` +
    `,"schemaVersion":${schemaVersionOf(event)},"timestamp":"${timestamp}","version":${version}}`;
}

/** The digest of an event as it is stored. */
export function digestOf(salt: string, text: string): string {
  return nodeCrypto().createHash("sha256").update(`${salt}\n${text}`).digest("hex");
}

/** The entry of an event. Its members are in the order of RFC 8785. */
export function encodeLeaf(event: StoredEvent, salt: string): Uint8Array {
  const { actorId, eventType, position, timestamp, version } = event;
  const digest = digestOf(salt, storedText(event));
  return utf8(JSON.stringify({ actorId, digest, eventType, position, timestamp, version }));
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads an entry; `undefined` if it is none of ours. */
export function decodeLeaf(entry: Uint8Array): SealedEvent | undefined {
  try {
    const leaf: unknown = JSON.parse(decoder.decode(entry));
    return isLeaf(leaf) ? leaf : undefined;
  } catch {
    return undefined;
  }
}

function isLeaf(value: unknown): value is SealedEvent {
  if (typeof value !== "object" || value === null) return false;
  const { actorId, digest, eventType, position, timestamp, version } = value as Record<string, unknown>;
  return [actorId, digest, eventType, position, timestamp].every((member) => typeof member === "string") &&
    typeof version === "number";
}

/** The salts of leaves, made for a bundle at once. */
export class Salts {
  readonly #key: Uint8Array;
  #bundle = -1;
  #salts = "";

  /** Makes salts from the secret. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** The salt of a leaf, as hexadecimal digits. */
  of(index: number): string {
    const bundle = Math.floor(index / TILE_WIDTH);
    if (bundle !== this.#bundle) {
      this.#salts = firstSalts(this.#key, bundle, TILE_WIDTH);
      this.#bundle = bundle;
    }
    const at = index % TILE_WIDTH * SALT_DIGITS;
    return this.#salts.slice(at, at + SALT_DIGITS);
  }
}

/** The salt of one leaf. Those after it in its bundle are not made. */
export function saltOf(key: Uint8Array, index: number): string {
  return firstSalts(key, Math.floor(index / TILE_WIDTH), index % TILE_WIDTH + 1).slice(-SALT_DIGITS);
}

/** The first salts of a bundle, one after another. */
function firstSalts(key: Uint8Array, bundle: number, count: number): string {
  const shake = nodeCrypto().createHash("shake256", { outputLength: count * SALT_BYTES });
  return shake.update(key).update(`salts ${bundle}`).digest("hex");
}
