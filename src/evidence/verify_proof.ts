/**
 * Verifying the proof of an event, without its store and its seal.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { sameJson } from "../event/json.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { describe, utf8 } from "../text.ts";
import { isEqual } from "./bytes.ts";
import { SealError } from "./errors.ts";
import { checkName } from "./key_text.ts";
import { decodeLeaf, digestOf, type SealedEvent } from "./leaf.ts";
import { verifySignatures } from "./note.ts";
import { parseProof, refused } from "./proof.ts";
import { readKeys } from "./seal_options.ts";
import type { PublicKey } from "./signer.ts";
import { leafHash, rootFromProof } from "./tree.ts";

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
