/**
 * The records of a bucket in Deno KV: an entry, and the counter of revisions.
 *
 * @module
 */

import { MAX_LEASE_TTL } from "./lease.ts";
import { decodeRecord, encodeRecord, isRevisionBefore } from "./record.ts";

/** Keeps the revisions of records that cannot be read apart, and above those of all others. */
const UNREADABLE_REVISIONS = 2 ** 40;

/** A record as it is stored. */
export interface Stored {
  readonly revision: number;
  readonly value: string;
  /** In milliseconds. */
  readonly ttl?: number;
}

/** The record that the first use of a namespace makes: it names the bucket, and counts revisions over all of its keys. */
export interface Counter {
  /** Unique to the bucket. */
  readonly id: string;
  /** When it was made, on the wall clock. */
  readonly made: number;
  /** The latest revision. */
  readonly revision: number;
}

/** Writes an entry as text. */
export function encodeStored(stored: Stored): string {
  return encodeRecord("entry", stored);
}

/** Writes the counter as text. */
export function encodeCounter(counter: Counter): string {
  return encodeRecord("counter", counter);
}

/** Reads an entry; `undefined` if it cannot be read. */
export function decodeStored(stored: unknown): Stored | undefined {
  const { revision, value, ttl } = decodeRecord("entry", textOf(stored)) ?? {};
  const isSound = isRevision(revision) && typeof value === "string" &&
    (ttl === undefined || (typeof ttl === "number" && ttl > 0 && ttl <= MAX_LEASE_TTL));
  return isSound ? { revision, value, ...(ttl === undefined ? {} : { ttl }) } : undefined;
}

/** Reads the counter; `undefined` if it cannot be read. */
export function decodeCounter(stored: unknown): Counter | undefined {
  const { id, made, revision } = decodeRecord("counter", textOf(stored)) ?? {};
  const isSound = typeof id === "string" && id !== "" && typeof made === "number" && isRevision(revision);
  return isSound ? { id, made, revision } : undefined;
}

function textOf(stored: unknown): string | undefined {
  return typeof stored === "string" ? stored : undefined;
}

function isRevision(value: unknown): value is number {
  return isRevisionBefore(value, Number.MAX_SAFE_INTEGER - UNREADABLE_REVISIONS);
}

/** The revision of a record; 0 if there is none; one of its own for a record that cannot be read. */
export function revisionOf({ value, versionstamp }: Deno.KvEntryMaybe<unknown>): number {
  if (versionstamp === null) return 0;
  return decodeStored(value)?.revision ??
    Number.MAX_SAFE_INTEGER - Number(BigInt(`0x${versionstamp}`) % BigInt(UNREADABLE_REVISIONS));
}
