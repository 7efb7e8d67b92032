/**
 * The texts of Ed25519 keys: those of Go's `golang.org/x/mod/sumdb/note`, so that other programs take them.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import type { KeyObject } from "node:crypto";
import { InvalidArgumentError } from "../errors.ts";
import { describe, utf8 } from "../text.ts";
import { concat, fromBase64 } from "./bytes.ts";
import { nodeCrypto } from "./crypto.ts";
import { sha256 } from "./tree.ts";

/** An Ed25519 signature of the text. */
export const ED25519 = 1;
/** An Ed25519 signature of the text and a time: a cosignature. */
export const COSIGNATURE = 4;

/** The bytes of the id of a key. */
export const KEY_ID_BYTES = 4;
const KEY_BYTES = 32;
const PRIVATE = "PRIVATE+KEY+";
/** What comes before the bytes of a key in DER (RFC 8410). */
const PRIVATE_DER = new Uint8Array([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]);
const PUBLIC_DER = new Uint8Array([0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0]);
const NOT_WHOLE = "is not whole: its id does not belong to its name and key";

/** A key that was read. */
export interface KeyText {
  /** The name of its owner. */
  readonly name: string;
  /** What finds its signatures in a note, as hexadecimal digits. */
  readonly id: string;
  /** What it signs: `ED25519` or `COSIGNATURE`. */
  readonly algorithm: number;
  /** The key. */
  readonly key: KeyObject;
  /** The text of the public key. */
  readonly publicText: string;
}

/** The texts of a new pair of keys. */
export function newKeyTexts(
  name: string,
  algorithm: number,
): { readonly privateKey: string; readonly publicKey: string } {
  const { privateKey, publicKey } = nodeCrypto().generateKeyPairSync("ed25519");
  const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-KEY_BYTES);
  const bytes = bytesOf(publicKey);
  return {
    privateKey: PRIVATE + textOf(name, idOf(name, algorithm, bytes), algorithm, seed),
    publicKey: textOf(name, idOf(name, algorithm, bytes), algorithm, bytes),
  };
}

/**
 * Reads the text of a public key.
 *
 * @throws {InvalidArgumentError} If it is none.
 */
export function readPublicText(text: unknown, argument: string): KeyText {
  if (typeof text === "string" && text.startsWith(PRIVATE)) {
    throw new InvalidArgumentError(argument, "is a private key: pass the public key");
  }
  const parts = typeof text === "string" ? partsOf(text) : undefined;
  if (!parts) {
    throw new InvalidArgumentError(
      argument,
      `must be name+id+key of an Ed25519 key, and is ${describe(text)}`,
    );
  }
  const { name, id, algorithm, bytes } = parts;
  if (idOf(name, algorithm, bytes) !== id) throw new InvalidArgumentError(argument, NOT_WHOLE);
  const key = nodeCrypto().createPublicKey({ key: der(PUBLIC_DER, bytes), format: "der", type: "spki" });
  return { name, id, algorithm, key, publicText: text as string };
}

/**
 * Reads the text of a private key, which is never repeated.
 *
 * @throws {InvalidArgumentError} If it is none.
 */
export function readPrivateText(text: unknown, argument: string): KeyText {
  if (typeof text !== "string" || !text.startsWith(PRIVATE)) {
    throw new InvalidArgumentError(argument, `must be a private key that begins with ${PRIVATE}`);
  }
  const parts = partsOf(text.slice(PRIVATE.length));
  if (!parts) throw new InvalidArgumentError(argument, "must be name+id+key of an Ed25519 key");
  const { name, id, algorithm, bytes: seed } = parts;
  const key = nodeCrypto().createPrivateKey({ key: der(PRIVATE_DER, seed), format: "der", type: "pkcs8" });
  const bytes = bytesOf(nodeCrypto().createPublicKey(key));
  if (idOf(name, algorithm, bytes) !== id) throw new InvalidArgumentError(argument, NOT_WHOLE);
  return { name, id, algorithm, key, publicText: textOf(name, id, algorithm, bytes) };
}

/**
 * Checks the name of a key, or the origin of a log.
 *
 * @throws {InvalidArgumentError} If it cannot be used.
 */
export function checkName(argument: string, name: unknown): string {
  if (
    typeof name === "string" && name.length <= 256 && /^[^+\s\p{Cc}]+$/u.test(name) && name.isWellFormed()
  ) {
    return name;
  }
  throw new InvalidArgumentError(
    argument,
    `must be 1 to 256 characters without spaces and +, such as example.com/orders, and is ${describe(name)}`,
  );
}

interface KeyParts {
  readonly name: string;
  readonly id: string;
  readonly algorithm: number;
  readonly bytes: Uint8Array;
}

/** The parts of a text; `undefined` if it is not that of a key. */
function partsOf(text: string): KeyParts | undefined {
  const [, name, id, base64 = ""] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text) ?? [];
  const [algorithm, ...bytes] = fromBase64(base64) ?? [];
  if (name === undefined || id === undefined || bytes.length !== KEY_BYTES) return undefined;
  if (algorithm !== ED25519 && algorithm !== COSIGNATURE) return undefined;
  return { name, id, algorithm, bytes: new Uint8Array(bytes) };
}

function textOf(name: string, id: string, algorithm: number, bytes: Uint8Array): string {
  return `${name}+${id}+${concat([algorithm], bytes).toBase64()}`;
}

function idOf(name: string, algorithm: number, bytes: Uint8Array): string {
  return sha256(utf8(`${name}\n`), new Uint8Array([algorithm]), bytes).subarray(0, KEY_ID_BYTES).toHex();
}

/** The bytes of a public key. */
function bytesOf(key: KeyObject): Uint8Array {
  return key.export({ format: "der", type: "spki" }).subarray(-KEY_BYTES);
}

/** A key in DER. The runtime takes any bytes, its types ask for a buffer. */
function der(prefix: Uint8Array, key: Uint8Array): Buffer {
  return concat(prefix, key) as Buffer;
}
