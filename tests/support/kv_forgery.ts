/**
 * Values as the store writes them, and as it never would: with a checksum that matches, since that is no secret.
 *
 * @module
 */

import { crc32, inflateRawSync } from "node:zlib";

/** The bytes before the JSON of a value: the format, the number of chunks, the checksum. */
const HEAD_BYTES = 12;

/** A value with a right checksum. */
export function sealed(logId: string, body: string | Uint8Array, chunks = "000", format = "1"): Uint8Array {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const seed = crc32(new TextEncoder().encode(logId));
  const checksum = crc32(bytes, seed).toString(16).padStart(8, "0");
  const head = new TextEncoder().encode(format + chunks + checksum);
  return new Uint8Array([...head, ...bytes]);
}

/** The JSON text of a value, also of one that is deflated. */
export function bodyOf(value: Uint8Array): string {
  const body = value.subarray(HEAD_BYTES);
  const isDeflated = value[0] === "2".charCodeAt(0);
  return new TextDecoder().decode(isDeflated ? inflateRawSync(body) : body);
}

/** A text that does not become shorter when it is deflated. */
export function incompressible(length: number): string {
  let text = "";
  while (text.length < length) text += crypto.getRandomValues(new Uint8Array(3_000)).toBase64();
  return text.slice(0, length);
}

/** The id of the log in a database. */
export async function logIdOf(kv: Deno.Kv, namespace = "default"): Promise<string> {
  const { value } = await kv.get<{ readonly id: string }>(["aether", namespace, "log"]);
  return value!.id;
}

/** The key of a record of the log that is stored by the same atomic operation. */
export function nextCommitKey(kv: Deno.Kv, namespace = "default"): Deno.KvKey {
  return ["aether", namespace, "commit", kv.commitVersionstamp()] as readonly unknown[] as Deno.KvKey;
}

/** The body of a record with one field replaced; a body that is not JSON any more stays as it is. */
export function withField(body: string, field: number, replacement: unknown): string {
  let root: { body: unknown };
  try {
    root = { body: JSON.parse(body) };
  } catch {
    return body;
  }
  const places: [object: Record<string, unknown>, key: string][] = [];
  for (const pending: unknown[] = [root]; pending.length > 0;) {
    const object = pending.pop() as Record<string, unknown>;
    for (const key of Object.keys(object)) {
      places.push([object, key]);
      if (typeof object[key] === "object" && object[key] !== null) pending.push(object[key]);
    }
  }
  const [object, key] = places[field % places.length]!;
  object[key] = replacement;
  return JSON.stringify(root.body) ?? "";
}
