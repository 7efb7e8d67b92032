/**
 * Verifying a seal without its store.
 *
 * @module
 */

import { readOptions } from "../options.ts";
import { utf8 } from "../text.ts";
import type { SealedEvent } from "./leaf.ts";
import type { SignedCheckpoint } from "./note.ts";
import type { SealPlace } from "./place.ts";
import { checkPlace, checkVerify, type Expectation, type VerifySealOptions } from "./seal_options.ts";
import { readTrusted, trusted } from "./sealed_tree.ts";
import { TreeCheck } from "./tree_check.ts";

/** Faults that a report names; a log that was replaced has as many as events. */
const MAX_FAULTS = 10_000;

/**
 * Something that is not as it was sealed.
 *
 * @category Evidence
 */
export interface SealFault {
  /**
   * `tree`: a file of the seal is missing or was changed. `changed`, `missing`, `added`, `reordered`: what happened to an event
   * of the store. `unreadable`: a part of the log is damaged.
   */
  readonly kind: "tree" | "changed" | "missing" | "added" | "reordered" | "unreadable";
  /** What is wrong. */
  readonly message: string;
  /** The file of the seal, if it is one. */
  readonly path?: string;
  /** The actor of the event: as it is sealed, or as it is stored if it was added. */
  readonly actorId?: string;
  /** The version of the event. */
  readonly version?: number;
  /** The position of the event in the store; `undefined` if it is missing there. */
  readonly position?: string | undefined;
  /** Which of `actorId`, `version`, `eventType`, `timestamp`, `position` and `data` differ; `data` is all the rest of the event. */
  readonly fields?: readonly string[];
}

/**
 * What a verification of a seal found.
 *
 * @category Evidence
 */
export interface SealVerification {
  /** Whether nothing was found. */
  readonly ok: boolean;
  /** The name of the log. */
  readonly origin: string;
  /** How many events are sealed. */
  readonly size: number;
  /** The root of the tree, as base64. */
  readonly root: string;
  /** When the checkpoint was signed, by the clock of the sealer; `undefined` in those of other programs. */
  readonly time: string | undefined;
  /** What is wrong, the first 10,000. */
  readonly faults: readonly SealFault[];
  /** How many faults there are beyond those. */
  readonly moreFaults: number;
}

/** A list of faults that does not grow without bound. */
export class Faults {
  readonly list: SealFault[] = [];
  more = 0;

  add(fault: SealFault): void {
    if (this.list.length < MAX_FAULTS) this.list.push(fault);
    else this.more++;
  }
}

/**
 * Verifies a seal alone: its signatures, and that all its tiles and entries are what the checkpoint commits to. It needs neither
 * the store nor the private key. With `seen` it also shows that nothing has changed since a checkpoint that was seen before.
 *
 * @param place Where the seal is.
 * @param options The public key.
 * @throws {SealError} If there is no checkpoint, or it is of another log or key.
 * @throws {InvalidArgumentError} If a key cannot be read, or an option is out of range.
 *
 * @example Find a change
 * ```ts
 * import { generateSealKey, SealFolder, sealOnce, verifySeal } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const { privateKey, publicKey } = generateSealKey("example.com/orders");
 * const path = await Deno.makeTempDir();
 * await sealOnce(store, new SealFolder(path), { signer: { key: privateKey } });
 * assert((await verifySeal(new SealFolder(path), { key: publicKey })).ok);
 *
 * await Deno.writeTextFile(`${path}/tile/entries/000.p/1`, "forged");
 * const { ok, faults } = await verifySeal(new SealFolder(path), { key: publicKey });
 * assert.deepEqual([ok, faults[0]?.path], [false, "tile/entries/000.p/1"]);
 * ```
 *
 * @category Evidence
 */
export async function verifySeal(place: SealPlace, options: VerifySealOptions): Promise<SealVerification> {
  const expected = readOptions(options, checkVerify);
  checkPlace(place);
  const checkpoint = await readTrusted(place, expected);
  const faults = new Faults();
  for await (const _leaves of checkedLeaves(place, checkpoint, expected, faults));
  return reportOf(checkpoint, faults);
}

/** The leaves of a tree, all of whose files are checked meanwhile. */
export function checkedLeaves(
  place: SealPlace,
  checkpoint: SignedCheckpoint,
  expected: Expectation,
  faults: Faults,
): AsyncGenerator<readonly (SealedEvent | undefined)[]> {
  const seen = expected.seen === undefined ? undefined : trusted(utf8(expected.seen), expected);
  const onFault = (path: string, message: string): void => faults.add({ kind: "tree", path, message });
  return new TreeCheck(place, checkpoint, seen, onFault, expected.signal).leaves();
}

/** The report of a verification. */
export function reportOf({ origin, size, root, time }: SignedCheckpoint, faults: Faults): SealVerification {
  const { list, more } = faults;
  return { ok: list.length === 0, origin, size, root: root.toBase64(), time, faults: list, moreFaults: more };
}
