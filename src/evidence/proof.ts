/**
 * Proofs of single events, as c2sp.org/tlog-proof defines them.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { sameJson } from "../event/json.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import { untyped } from "../store/untyped.ts";
import { describe, utf8 } from "../text.ts";
import { fromBase64, isEqual } from "./bytes.ts";
import { SealError } from "./errors.ts";
import { decodeLeaf, digestOf, Salts, type SealedEvent, storedText } from "./leaf.ts";
import { parseCheckpoint, type SignedCheckpoint, verifySignatures } from "./note.ts";
import type { SealPlace } from "./place.ts";
import { checkPlace, readKeys } from "./seal_options.ts";
import { readCheckpoint, readSecrets } from "./sealed_tree.ts";
import { checkName, type PublicKey } from "./signer.ts";
import { TreeReader } from "./tree_reader.ts";
import { HASH_BYTES, leafHash, rootFromProof } from "./tree.ts";

const HEADER = "c2sp.org/tlog-proof@v1";
const MAX_HASHES = 63;
const decoder = new TextDecoder();

/**
 * How an event is proved.
 *
 * @category Evidence
 */
export interface ProveOptions {
  /** Ends the work with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * How a proof is verified.
 *
 * @category Evidence
 */
export interface VerifyProofOptions {
  /** The public key of the seal, or several: each must have signed. */
  readonly key: string | readonly string[];
  /** The name that the log must have. @default {any} */
  readonly origin?: string;
  /** The event that must be the proved one, as a store without schemas returned it. @default {any: see the result} */
  readonly event?: Event;
}

/**
 * What a proof shows.
 *
 * @category Evidence
 */
export interface ProvedEvent {
  /** The event as it is stored, personal data encrypted. */
  readonly event: StoredEvent;
  /** The schema version that the event was stored under. */
  readonly schemaVersion: number;
  /** The event's place in the tree, from 0. */
  readonly index: number;
  /** The name of the log. */
  readonly origin: string;
  /** How many events the log had when the checkpoint was signed. */
  readonly size: number;
  /** When the checkpoint was signed, by the clock of the sealer. */
  readonly time: string | undefined;
}

/** What a proof adds to the standard: what the leaf is made from. */
interface Extra {
  /** The entry of the tree. */
  readonly leaf: string;
  /** The salt of the digest. */
  readonly salt: string;
  /** The event as it is stored. */
  readonly event: string;
}

/**
 * Proves that an event was in the log when its last checkpoint was signed. The result is a text that is verified without the store,
 * the seal or a network; it contains the event as it is stored.
 *
 * @param store The store.
 * @param place Where the seal is, `private/seal.json` included.
 * @param position The position of the event.
 * @param options How long it may take.
 * @throws {SealError} If the event is not sealed yet, or is not the one that was sealed.
 * @throws {InvalidArgumentError} If the position is no text, or an option is out of range.
 *
 * @example Prove an event to others
 * ```ts
 * import { generateSealKey, proveEvent, SealFolder, sealOnce, verifyProof } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const placed = [{ eventType: "OrderPlaced", data: { total: 5 } }];
 * const [event] = await store.append("order-1", placed, { expectedVersion: 0 });
 * const { privateKey, publicKey } = generateSealKey("example.com/orders");
 * const folder = new SealFolder(await Deno.makeTempDir());
 * await sealOnce(store, folder, { signer: { key: privateKey } });
 *
 * const proof = await proveEvent(store, folder, event!.position);
 * // Elsewhere, with the proof and the public key alone:
 * assert.deepEqual(verifyProof(proof, { key: publicKey }).event.data, { total: 5 });
 * ```
 *
 * @category Evidence
 */
export async function proveEvent<E extends Event>(
  store: EventStore<E>,
  place: SealPlace,
  position: string,
  options?: ProveOptions,
): Promise<string> {
  const { signal } = readOptions(options, checkProve);
  checkPlace(place);
  if (typeof position !== "string") {
    throw new InvalidArgumentError(
      "position",
      `must be the position of an event, and is ${describe(position)}`,
    );
  }
  const bytes = await readCheckpoint(place, signal);
  if (!bytes) throw new SealError("not-sealed", "The place has no checkpoint.");
  const secrets = await readSecrets(place, signal);
  if (!secrets) {
    throw new SealError("not-sealed", "private/seal.json is missing, which the salts follow from.");
  }
  const checkpoint = parseCheckpoint(bytes);
  const tree = TreeReader.of(place, checkpoint, signal);
  const index = await tree.find(position);
  const leaf = await tree.entry(index);
  const salt = new Salts(secrets.saltKey).of(index);
  const event = await storedEvent(untyped(store), tree, index, position, signal);
  const text = storedText(event);
  if (digestOf(salt, text) !== decodeLeaf(leaf)?.digest) {
    throw new SealError("other-log", `The event at ${position} is not the one that was sealed.`);
  }
  const hashes = await tree.proof(index);
  if (!isEqual(rootFromProof(leafHash(leaf), index, checkpoint.size, hashes), checkpoint.root)) {
    TreeReader.forget(place);
    throw new SealError("damaged", `The files of the seal do not lead from entry ${index} to the root.`);
  }
  return formatProof({ leaf: decoder.decode(leaf), salt, event: text }, index, hashes, decoder.decode(bytes));
}

/** The event at a position: the first one after the position of the leaf before. */
async function storedEvent(
  store: EventStore,
  tree: TreeReader,
  index: number,
  position: string,
  signal: AbortSignal | undefined,
): Promise<StoredEvent> {
  const before = index === 0 ? undefined : (await tree.leaf(index - 1)).position;
  for await (const event of rawLogOf(store).read(before ?? "start", signal)) {
    if (event.position === position) return event;
    break;
  }
  throw new SealError("other-log", `The store has no event at ${position}, which is sealed.`);
}

const PROVE_OPTIONS: OptionNames<ProveOptions> = { signal: true };

function checkProve({ ...options }: ProveOptions): ProveOptions {
  checkKnown<ProveOptions>(options, PROVE_OPTIONS);
  checkSignal(options.signal);
  return options;
}

function formatProof(
  extra: Extra,
  index: number,
  hashes: readonly Uint8Array[],
  checkpoint: string,
): string {
  const lines = [HEADER, `extra ${utf8(JSON.stringify(extra)).toBase64()}`, `index ${index}`];
  return [...lines, ...hashes.map((hash) => hash.toBase64()), "", checkpoint].join("\n");
}

/**
 * Verifies a proof, offline: the signatures of its checkpoint, that the event is in the tree, and that it is the given one.
 *
 * @param text The proof.
 * @param options The public key, and what the proof must show.
 * @returns What it shows. It never returns if something is wrong.
 * @throws {SealError} If the proof does not hold; its `reason` is `refused`, `other-key` or `other-origin`.
 * @throws {InvalidArgumentError} If a key cannot be read.
 *
 * @example A proof of another event
 * ```ts
 * import { generateSealKey, proveEvent, SealError, SealFolder, sealOnce, verifyProof } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const placed = [{ eventType: "OrderPlaced", data: { total: 5 } }];
 * const [event] = await store.append("order-1", placed, { expectedVersion: 0 });
 * const { privateKey, publicKey: key } = generateSealKey("example.com/orders");
 * const folder = new SealFolder(await Deno.makeTempDir());
 * await sealOnce(store, folder, { signer: { key: privateKey } });
 * const proof = await proveEvent(store, folder, event!.position);
 *
 * verifyProof(proof, { key, event: event! });
 * assert.throws(() => verifyProof(proof, { key, event: { ...event!, data: { total: 6 } } }), SealError);
 * ```
 *
 * @category Evidence
 */
export function verifyProof(text: string, options: VerifyProofOptions): ProvedEvent {
  const { keys, origin, event } = readOptions(options, checkVerifyProof);
  if (typeof text !== "string") {
    throw new InvalidArgumentError("text", `must be a proof, and is ${describe(text)}`);
  }
  const { extra, index, hashes, checkpoint } = parseProof(text);
  if (origin !== undefined && checkpoint.origin !== origin) {
    throw new SealError(
      "other-origin",
      `The proof is of the log "${checkpoint.origin}", not of "${origin}".`,
    );
  }
  verifySignatures(checkpoint, keys);
  const leaf = utf8(extra.leaf);
  if (!isEqual(rootFromProof(leafHash(leaf), index, checkpoint.size, hashes), checkpoint.root)) {
    throw refused("it does not lead from its entry to the root of its checkpoint");
  }
  const sealed = decodeLeaf(leaf);
  if (!sealed || digestOf(extra.salt, extra.event) !== sealed.digest) {
    throw refused("its event is not the one of its entry");
  }
  const proved = readEvent(extra.event, sealed);
  if (event !== undefined) compare(event, proved.event);
  const { size, time } = checkpoint;
  return { ...proved, index, origin: checkpoint.origin, size, time };
}

const VERIFY_OPTIONS: OptionNames<VerifyProofOptions> = { key: true, origin: true, event: true };

function checkVerifyProof(
  { ...options }: VerifyProofOptions,
): { keys: readonly PublicKey[]; origin: string | undefined; event: Event | undefined } {
  checkKnown<VerifyProofOptions>(options, VERIFY_OPTIONS);
  const { key, origin, event } = options;
  if (origin !== undefined) checkName("options.origin", origin);
  if (event !== undefined && (typeof event !== "object" || event === null)) {
    throw new InvalidArgumentError("options.event", `must be an event, and is ${describe(event)}`);
  }
  return { keys: readKeys(key), origin, event };
}

function refused(why: string): SealError {
  return new SealError("refused", `The proof does not hold: ${why}.`);
}

interface Proof {
  readonly extra: Extra;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  readonly checkpoint: SignedCheckpoint;
}

function parseProof(text: string): Proof {
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

/** The event of a proof; its text is authentic. */
function readEvent(text: string, sealed: SealedEvent): Pick<ProvedEvent, "event" | "schemaVersion"> {
  const { schemaVersion, ...event } = JSON.parse(text) as Event & { readonly schemaVersion: number };
  const isSealed = (["actorId", "eventType", "timestamp", "version"] as const)
    .every((field) => event[field] === sealed[field]);
  if (!isSealed) throw refused("its event and its entry differ");
  return { event: { ...event, position: sealed.position }, schemaVersion };
}

/** @throws {SealError} If a given event is another than the proved one. */
function compare(given: Event & { readonly position?: string }, proved: StoredEvent): void {
  const fields = (["id", "actorId", "eventType", "timestamp", "version"] as const)
    .filter((field) => given[field] !== proved[field]) as string[];
  if (given.position !== undefined && given.position !== proved.position) fields.push("position");
  if (!sameJson(given.data, proved.data)) fields.push("data");
  if (!sameJson(given.metadata, proved.metadata)) fields.push("metadata");
  if (fields.length > 0) throw refused(`the given event differs from the sealed one in ${fields.join(", ")}`);
}
