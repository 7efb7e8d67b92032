/**
 * Signatures of signed notes, as c2sp.org/signed-note and c2sp.org/tlog-cosignature define them.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { checkFlag, checkKnown, readOptions } from "../options.ts";
import { describe, utf8 } from "../text.ts";
import { concat } from "./bytes.ts";
import { nodeCrypto } from "./crypto.ts";
import { checkName, COSIGNATURE, ED25519, newKeyTexts, readPrivateText, readPublicText } from "./key_text.ts";

const SIGNATURE_BYTES = 64;
const TIME_BYTES = 8;
const MS_PER_SECOND = 1_000;

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
  return newKeyTexts(name, readOptions(options, isCosigner) ? COSIGNATURE : ED25519);
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
  const { name, id, algorithm, key } = readPublicText(text, argument);
  const isCosigner = algorithm === COSIGNATURE;
  return {
    name,
    id: Uint8Array.fromHex(id),
    isCosigner,
    verify: (message, signature) => {
      if (signature.length !== (isCosigner ? TIME_BYTES : 0) + SIGNATURE_BYTES) return false;
      if (!isCosigner) return nodeCrypto().verify(null, utf8(message), key, signature);
      const signed = cosigned(message, timeOf(signature));
      return nodeCrypto().verify(null, signed, key, signature.subarray(TIME_BYTES));
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
  const { key, publicText: publicKey } = readPrivateText(text, argument);
  return { publicKey, sign: (bytes) => nodeCrypto().sign(null, bytes, key) };
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
