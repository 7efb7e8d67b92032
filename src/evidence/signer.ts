/**
 * Keys and signatures of signed notes, as c2sp.org/signed-note and c2sp.org/tlog-cosignature define them. The texts of keys
 * are those of Go's `golang.org/x/mod/sumdb/note`, so that other programs take them.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { InvalidArgumentError } from "../errors.ts";
import { checkFlag, checkKnown, readOptions } from "../options.ts";
import { describe, utf8 } from "../text.ts";
import { concat, fromBase64 } from "./bytes.ts";
import { nodeCrypto } from "./crypto.ts";
import { sha256 } from "./tree.ts";

/** An Ed25519 signature of the text. */
const ED25519 = 1;
/** An Ed25519 signature of the text and a time: a cosignature. */
const COSIGNATURE = 4;

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const TIME_BYTES = 8;
const ID_BYTES = 4;
const PRIVATE = "PRIVATE+KEY+";
const MS_PER_SECOND = 1_000;
/** What comes before the bytes of a key in DER (RFC 8410). */
const PRIVATE_DER = new Uint8Array([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]);
const PUBLIC_DER = new Uint8Array([0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0]);

/**
 * A signing function, for a key that the process must not have: one in a hardware module or a signing service.
 *
 * @category Evidence
 */
export interface Signer {
  /** The public key, as {@linkcode generateSealKey} makes it: name, id and key. */
  readonly publicKey: string;
  /** Signs bytes with Ed25519 (RFC 8032), and returns the 64 bytes of the signature. */
  sign(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/**
 * Where a private key comes from: a file, a variable of the environment, the text itself, or a signing function.
 *
 * @category Evidence
 */
export type SignerSource =
  | Signer
  | { readonly file: string }
  | { readonly env: string }
  | { readonly key: string };

/**
 * A new pair of keys.
 *
 * @category Evidence
 */
export interface SealKey {
  /** The private key. Keep it where the store's operators cannot read it. */
  readonly privateKey: string;
  /** The public key: give it to every auditor. */
  readonly publicKey: string;
}

/**
 * What kind of key is made.
 *
 * @category Evidence
 */
export interface SealKeyOptions {
  /** Whether it is the key of a cosigner, whose signatures come with the time. @default {false} */
  readonly cosigner?: boolean;
}

/** A public key that was read. */
export interface PublicKey {
  /** The name of its owner. */
  readonly name: string;
  /** The four bytes that find its signatures in a note. */
  readonly id: Uint8Array;
  /** Whether its signatures come with a time. */
  readonly isCosigner: boolean;
  /** Whether a signature of a text is right; it is passed as it is in a note, without the id. */
  verify(text: string, signature: Uint8Array): boolean;
}

/** What signs notes. */
export interface NoteSigner {
  /** The public key. */
  readonly publicKey: PublicKey;
  /** Signs a text; the time, in milliseconds, goes into a cosignature. */
  sign(text: string, time: number): Promise<Uint8Array>;
}

/**
 * Makes a pair of Ed25519 keys.
 *
 * @param name The name in the signatures. It has no spaces and no `+`, such as `example.com/orders`.
 * @param options What kind of key.
 * @throws {InvalidArgumentError} If the name cannot be used.
 *
 * @example Keys for a seal
 * ```ts
 * import { generateSealKey } from "@flowmade-one/aether/evidence";
 * import assert from "node:assert/strict";
 *
 * const { privateKey, publicKey } = generateSealKey("example.com/orders");
 * assert.match(privateKey, /^PRIVATE\+KEY\+example\.com\/orders\+/); // into a file that only the sealer can read
 * assert.match(publicKey, /^example\.com\/orders\+/); // to the auditors
 * ```
 *
 * @category Evidence
 */
export function generateSealKey(name: string, options?: SealKeyOptions): SealKey {
  checkName("name", name);
  const algorithm = readOptions(options, isCosigner) ? COSIGNATURE : ED25519;
  const { privateKey, publicKey } = nodeCrypto().generateKeyPairSync("ed25519");
  const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-KEY_BYTES);
  const key = publicKey.export({ format: "der", type: "spki" }).subarray(-KEY_BYTES);
  const id = idOf(name, algorithm, key).toHex();
  return {
    privateKey: `${PRIVATE}${name}+${id}+${concat([algorithm], seed).toBase64()}`,
    publicKey: `${name}+${id}+${concat([algorithm], key).toBase64()}`,
  };
}

function isCosigner({ ...options }: SealKeyOptions): boolean {
  checkKnown<SealKeyOptions>(options, { cosigner: true });
  return checkFlag("options.cosigner", options.cosigner);
}

/**
 * Reads the text of a public key.
 *
 * @throws {InvalidArgumentError} If it is none.
 */
export function readPublicKey(text: string, argument: string): PublicKey {
  const { name, id, algorithm, key } = readKey(text, argument, "public");
  if (idOf(name, algorithm, key).toHex() !== id) {
    throw new InvalidArgumentError(argument, "is not whole: its id does not belong to its name and key");
  }
  const publicKey = nodeCrypto().createPublicKey({ key: der(PUBLIC_DER, key), format: "der", type: "spki" });
  const isCosigner = algorithm === COSIGNATURE;
  return {
    name,
    id: Uint8Array.fromHex(id),
    isCosigner,
    verify: (message, signature) => {
      if (signature.length !== (isCosigner ? TIME_BYTES : 0) + SIGNATURE_BYTES) return false;
      if (!isCosigner) return nodeCrypto().verify(null, utf8(message), publicKey, signature);
      const signed = cosigned(message, timeOf(signature));
      return nodeCrypto().verify(null, signed, publicKey, signature.subarray(TIME_BYTES));
    },
  };
}

/**
 * Opens the key of a signer.
 *
 * @throws {InvalidArgumentError} If there is none, or it is no private key.
 */
export async function openSigner(source: SignerSource, argument: string): Promise<NoteSigner> {
  if (typeof source !== "object" || source === null) {
    throw new InvalidArgumentError(
      argument,
      `must be { file }, { env }, { key } or a signing function with its public key, and is ${
        describe(source)
      }`,
    );
  }
  const signer = "sign" in source ? source : signerOf(await readText(source, argument), argument);
  if (typeof signer.sign !== "function") {
    throw new InvalidArgumentError(`${argument}.sign`, `must be a function, and is ${describe(signer.sign)}`);
  }
  const publicKey = readPublicKey(signer.publicKey, `${argument}.publicKey`);
  return {
    publicKey,
    async sign(text, time): Promise<Uint8Array> {
      const seconds = Math.floor(time / MS_PER_SECOND);
      const bytes = publicKey.isCosigner ? cosigned(text, seconds) : utf8(text);
      const bare = await signer.sign(bytes);
      if (!(bare instanceof Uint8Array)) {
        throw new InvalidArgumentError(
          `${argument}.sign`,
          `must return the bytes of a signature, and returned ${describe(bare)}`,
        );
      }
      const signature = publicKey.isCosigner ? concat(timeBytes(seconds), bare) : bare;
      if (publicKey.verify(text, signature)) return signature;
      throw new InvalidArgumentError(argument, "signs with another key than that of its public key");
    },
  };
}

async function readText(source: Exclude<SignerSource, Signer>, argument: string): Promise<string> {
  if ("key" in source) return source.key;
  if ("env" in source) return readVariable(source.env, argument);
  if (!("file" in source)) {
    throw new InvalidArgumentError(argument, "must have one of file, env, key and sign");
  }
  try {
    return (await Deno.readTextFile(source.file)).trim();
  } catch (cause) {
    throw new InvalidArgumentError(
      `${argument}.file`,
      `cannot be read: ${describe(source.file)}. Make a key with generateSealKey() and write it there`,
      { cause },
    );
  }
}

function readVariable(name: string, argument: string): string {
  let text: string | undefined;
  let cause: unknown;
  try {
    text = Deno.env.get(name);
  } catch (error) {
    cause = error; // no permission, or no name of a variable
  }
  if (text !== undefined) return text.trim();
  throw new InvalidArgumentError(
    `${argument}.env`,
    `names the variable ${describe(name)}, which is not set or cannot be read`,
    { cause },
  );
}

function signerOf(text: string, argument: string): Signer {
  const { name, id, algorithm, key: seed } = readKey(text, argument, "private");
  const key = nodeCrypto().createPrivateKey({ key: der(PRIVATE_DER, seed), format: "der", type: "pkcs8" });
  const bare = nodeCrypto().createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-KEY_BYTES);
  if (idOf(name, algorithm, bare).toHex() !== id) {
    throw new InvalidArgumentError(argument, "is not whole: its id does not belong to its name and key");
  }
  return {
    publicKey: `${name}+${id}+${concat([algorithm], bare).toBase64()}`,
    sign: (bytes) => nodeCrypto().sign(null, bytes, key),
  };
}

/** A key in DER. The runtime takes any bytes, its types ask for a buffer. */
function der(prefix: Uint8Array, key: Uint8Array): Buffer {
  return concat(prefix, key) as Buffer;
}

interface KeyText {
  readonly name: string;
  readonly id: string;
  readonly algorithm: number;
  readonly key: Uint8Array;
}

const KEY_TEXT = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/;

function readKey(text: unknown, argument: string, kind: "public" | "private"): KeyText {
  const isPrivate = typeof text === "string" && text.startsWith(PRIVATE);
  if (kind === "public" && isPrivate) {
    throw new InvalidArgumentError(argument, "is a private key: pass the public key");
  }
  if (kind === "private" && !isPrivate) {
    // It may be a secret all the same: it is not repeated.
    throw new InvalidArgumentError(argument, `must be a private key that begins with ${PRIVATE}`);
  }
  const found = typeof text === "string"
    ? KEY_TEXT.exec(isPrivate ? text.slice(PRIVATE.length) : text)
    : null;
  const bytes = found ? fromBase64(found[3]!) : undefined;
  if (!found || bytes?.length !== KEY_BYTES + 1 || ![ED25519, COSIGNATURE].includes(bytes[0]!)) {
    const shown = kind === "public" ? `, and is ${describe(text)}` : "";
    throw new InvalidArgumentError(argument, `must be name+id+key of an Ed25519 key${shown}`);
  }
  return { name: found[1]!, id: found[2]!, algorithm: bytes[0]!, key: bytes.subarray(1) };
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

function idOf(name: string, algorithm: number, key: Uint8Array): Uint8Array {
  return sha256(utf8(`${name}\n`), new Uint8Array([algorithm]), key).subarray(0, ID_BYTES);
}

/** What a cosigner signs. */
function cosigned(text: string, seconds: number): Uint8Array {
  return utf8(`cosignature/v1\ntime ${seconds}\n${text}`);
}

/** The time of a cosignature, in seconds. */
function timeOf(signature: Uint8Array): number {
  return Number(new DataView(signature.buffer, signature.byteOffset).getBigUint64(0));
}

function timeBytes(seconds: number): Uint8Array {
  const bytes = new Uint8Array(TIME_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(seconds));
  return bytes;
}
