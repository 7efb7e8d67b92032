/**
 * Proving that an event is sealed.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { InvalidPositionError } from "../store/errors.ts";
import { rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import { describe } from "../text.ts";
import { SealError } from "./errors.ts";
import { decodeLeaf, digestOf, saltOf, storedText } from "./leaf.ts";
import { parseCheckpoint } from "./note.ts";
import type { SealPlace } from "./place.ts";
import { formatProof } from "./proof.ts";
import { checkPlace } from "./seal_options.ts";
import { readCheckpoint, requireSecrets } from "./sealed_tree.ts";
import { TreeReader } from "./tree_reader.ts";

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
  const checkpoint = parseCheckpoint(bytes);
  const secrets = await requireSecrets(place, checkpoint, signal);
  const tree = TreeReader.of(place, checkpoint, signal);
  try {
    const index = await tree.find(position);
    const { entry, hashes } = await tree.prove(index);
    const salt = saltOf(secrets.saltKey, index);
    const text = storedText(await storedEvent(store, tree, index, position, signal));
    if (digestOf(salt, text) !== decodeLeaf(entry)?.digest) {
      throw new SealError("other-log", `The event at ${position} is not the one that was sealed.`);
    }
    const extra = { leaf: decoder.decode(entry), salt, event: text };
    return formatProof(extra, index, hashes, decoder.decode(bytes));
  } catch (error) {
    // So that what is restored is read.
    if (error instanceof SealError && error.reason === "damaged") TreeReader.forget(place);
    throw error;
  }
}

/** The event at a position: the first one after the position of the leaf before. */
async function storedEvent(
  store: EventStore,
  tree: TreeReader,
  index: number,
  position: string,
  signal: AbortSignal | undefined,
): Promise<StoredEvent> {
  const before = index === 0 ? "start" : (await tree.leaf(index - 1)).position;
  try {
    for await (const event of rawLogOf(store).read(before, signal)) {
      if (event.position === position) return event;
      break;
    }
  } catch (error) {
    if (!(error instanceof InvalidPositionError)) throw error;
  }
  if (index > 0) await tree.prove(index - 1); // a position that was changed leads elsewhere
  throw new SealError("other-log", `The store has no event at ${position}, which is sealed.`);
}

const PROVE_OPTIONS: OptionNames<ProveOptions> = { signal: true };

function checkProve({ ...options }: ProveOptions): ProveOptions {
  checkKnown<ProveOptions>(options, PROVE_OPTIONS);
  checkSignal(options.signal);
  return options;
}
