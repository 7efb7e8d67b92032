/**
 * Checkpoints: the size and root of a tree, as c2sp.org/tlog-checkpoint defines them, signed as c2sp.org/signed-note does.
 *
 * @module
 */

import { utf8 } from "../text.ts";
import { SealError } from "./errors.ts";
import { concat, fromBase64, isEqual } from "./bytes.ts";
import { KEY_ID_BYTES } from "./key_text.ts";
import type { NoteSigner, PublicKey } from "./signer.ts";
import { HASH_BYTES } from "./tree.ts";

/** What a checkpoint commits to. */
export interface Checkpoint {
  /** The name of the log. */
  readonly origin: string;
  /** How many leaves the tree has. */
  readonly size: number;
  /** The root of the tree. */
  readonly root: Uint8Array;
  /** When it was signed by the clock of the sealer, as UTC with milliseconds; `undefined` in those of other programs. */
  readonly time: string | undefined;
}

/** A checkpoint that was read, before any signature is verified. */
export interface SignedCheckpoint extends Checkpoint {
  /** The text that is signed. */
  readonly text: string;
  /** The lines of the signatures. */
  readonly signatures: readonly NoteSignature[];
}

/** A signature of a note. */
export interface NoteSignature {
  /** The name of the key. */
  readonly name: string;
  /** The id of the key. */
  readonly id: Uint8Array;
  /** The signature. */
  readonly signature: Uint8Array;
}

const SIGNATURE_LINE = /^\u2014 (\S+) ([A-Za-z0-9+/]+=*)$/;
const TIME = "time ";
const MAX_SIGNATURES = 100;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Signs a checkpoint with all signers. */
export async function signCheckpoint(
  { origin, size, root }: Omit<Checkpoint, "time">,
  time: number,
  signers: readonly NoteSigner[],
): Promise<Uint8Array> {
  const text = `${origin}\n${size}\n${root.toBase64()}\n${TIME}${new Date(time).toISOString()}\n`;
  const lines = await Promise.all(signers.map((signer) => signatureLine(text, time, signer)));
  return utf8(`${text}\n${lines.join("")}`);
}

/** The line of a signature of a text, with its line break. */
export async function signatureLine(text: string, time: number, signer: NoteSigner): Promise<string> {
  const { name, id } = signer.publicKey;
  return `\u2014 ${name} ${concat(id, await signer.sign(text, time)).toBase64()}\n`;
}

/** Reads the line of a signature, without its line break; `undefined` if it is none. */
export function readSignature(line: string): NoteSignature | undefined {
  const [, name, base64 = ""] = SIGNATURE_LINE.exec(line) ?? [];
  const bytes = fromBase64(base64);
  if (name === undefined || !bytes || bytes.length <= KEY_ID_BYTES) return undefined;
  return { name, id: bytes.subarray(0, KEY_ID_BYTES), signature: bytes.subarray(KEY_ID_BYTES) };
}

/**
 * Reads a checkpoint.
 *
 * @throws {SealError} If it is none.
 */
export function parseCheckpoint(bytes: Uint8Array): SignedCheckpoint {
  const refuse = (why: string): never => {
    throw new SealError("refused", `The checkpoint cannot be read: ${why}.`);
  };
  let note: string;
  try {
    note = decoder.decode(bytes);
  } catch {
    return refuse("it is not UTF-8");
  }
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n")) return refuse("it has no signatures");
  const text = note.slice(0, end + 1);
  const [origin = "", sizeText = "", rootText = "", ...extensions] = text.slice(0, -1).split("\n");
  const size = Number(sizeText);
  const root = fromBase64(rootText);
  if (origin === "" || !/^(0|[1-9]\d*)$/.test(sizeText) || !Number.isSafeInteger(size)) {
    return refuse("it has no origin or size");
  }
  if (root?.length !== HASH_BYTES) return refuse("it has no root");
  const lines = note.slice(end + 2, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) return refuse("it has too many signatures");
  const signatures = lines.map((line) => readSignature(line) ?? refuse("a line is no signature"));
  const time = extensions.find((line) => line.startsWith(TIME))?.slice(TIME.length);
  return { origin, size, root, time, text, signatures };
}

/**
 * Verifies that a checkpoint is signed with each of some keys.
 *
 * @throws {SealError} If one has not signed it, or a signature is wrong.
 */
export function verifySignatures(checkpoint: SignedCheckpoint, keys: readonly PublicKey[]): void {
  for (const key of keys) {
    const found = checkpoint.signatures.filter((signature) => isOf(signature, key));
    if (found.length === 0) {
      throw new SealError("other-key", `The checkpoint is not signed with the key of "${key.name}".`);
    }
    if (!found.every(({ signature }) => key.verify(checkpoint.text, signature))) {
      throw new SealError("refused", `The signature of "${key.name}" is not one of this checkpoint.`);
    }
  }
}

/** Whether a signature names a key. */
export function isOf({ name, id }: NoteSignature, key: PublicKey): boolean {
  return name === key.name && isEqual(id, key.id);
}
