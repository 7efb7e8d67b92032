/**
 * The text of a proof, as c2sp.org/tlog-proof defines it.
 *
 * @module
 */

import { utf8 } from "../text.ts";
import { fromBase64 } from "./bytes.ts";
import { SealError } from "./errors.ts";
import { parseCheckpoint, type SignedCheckpoint } from "./note.ts";
import { HASH_BYTES } from "./tree.ts";

const HEADER = "c2sp.org/tlog-proof@v1";
const MAX_HASHES = 63;
const decoder = new TextDecoder();

/** What a proof adds to the standard: what the leaf is made from. */
export interface Extra {
  /** The entry of the tree. */
  readonly leaf: string;
  /** The salt of the digest. */
  readonly salt: string;
  /** The event as it is stored. */
  readonly event: string;
}

/** A proof that was read, and is not verified yet. */
export interface Proof {
  readonly extra: Extra;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  readonly checkpoint: SignedCheckpoint;
}

/** Writes a proof. */
export function formatProof(
  extra: Extra,
  index: number,
  hashes: readonly Uint8Array[],
  checkpoint: string,
): string {
  const lines = [HEADER, `extra ${utf8(JSON.stringify(extra)).toBase64()}`, `index ${index}`];
  return [...lines, ...hashes.map((hash) => hash.toBase64()), "", checkpoint].join("\n");
}

/** The error of a proof that shows nothing. */
export function refused(why: string): SealError {
  return new SealError("refused", `The proof does not hold: ${why}.`);
}

/**
 * Reads a proof.
 *
 * @throws {SealError} If it is none.
 */
export function parseProof(text: string): Proof {
  const end = text.indexOf("\n\n");
  const [header, extraLine = "", indexLine = "", ...hashLines] = text.slice(0, Math.max(end, 0)).split("\n");
  if (header !== HEADER) throw refused(`its first line is not ${HEADER}`);
  const [, digits] = /^index (0|[1-9]\d{0,15})$/.exec(indexLine) ?? [];
  if (digits === undefined) throw refused("it has no index");
  if (hashLines.length > MAX_HASHES) throw refused("it has too many hashes");
  const hashes = hashLines.map((line) => {
    const hash = fromBase64(line);
    if (hash?.length !== HASH_BYTES) throw refused("a line is no hash");
    return hash;
  });
  const checkpoint = parseCheckpoint(utf8(text.slice(end + 2)));
  return { extra: parseExtra(extraLine), index: Number(digits), hashes, checkpoint };
}

function parseExtra(line: string): Extra {
  const bytes = line.startsWith("extra ") ? fromBase64(line.slice("extra ".length)) : undefined;
  try {
    const { leaf, salt, event } = JSON.parse(decoder.decode(bytes)) as Partial<Record<string, unknown>>;
    if (typeof leaf === "string" && typeof salt === "string" && typeof event === "string") {
      return { leaf, salt, event };
    }
  } catch {
    // refused below
  }
  throw refused("it has no event");
}
