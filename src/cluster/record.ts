/**
 * The text of a record in a bucket: its kind, the version of its format, a checksum, and its fields as JSON. What is damaged,
 * was written by another program, or has a newer format, reads as `undefined`.
 *
 * @module
 */
import { hash } from "./shard_of.ts";

const FORMAT = 1;
const HEADER = /^aether ([a-z]+) (\d+) ([0-9a-f]{8}) /;
const CHECKSUM_DIGITS = 8;

/** Writes a record as text. */
export function encodeRecord(kind: string, fields: object): string {
  const json = JSON.stringify(fields);
  return `aether ${kind} ${FORMAT} ${checksum(json)} ${json}`;
}

/** Reads the fields of a record, which may have any values. */
export function decodeRecord(kind: string, text: string | undefined): Record<string, unknown> | undefined {
  const [header, kindFound, format, sum] = HEADER.exec(text ?? "") ?? [];
  if (text === undefined || header === undefined || kindFound !== kind || format !== String(FORMAT)) {
    return undefined;
  }
  const json = text.slice(header.length);
  try {
    const fields: unknown = checksum(json) === sum ? JSON.parse(json) : undefined;
    return isFields(fields) ? fields : undefined;
  } catch {
    return undefined;
  }
}

function checksum(json: string): string {
  return hash(json).toString(16).padStart(CHECKSUM_DIGITS, "0");
}

/** Whether a value is an object of fields. */
export function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value can be the revision of an entry that was written before the entry of the given revision. */
export function isRevisionBefore(value: unknown, revision: number): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < revision;
}
