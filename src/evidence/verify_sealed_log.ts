/**
 * Comparing a store with its seal.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import { checkFlag, checkFunction, checkKnown, type OptionNames, readOptions } from "../options.ts";
import type { EventStore } from "../store/types.ts";
import { Salts } from "./leaf.ts";
import { type ComparisonOptions, LogComparison } from "./log_comparison.ts";
import type { SealPlace } from "./place.ts";
import {
  checkPlace,
  type Expectation,
  readExpectation,
  VERIFY_OPTIONS,
  type VerifySealOptions,
} from "./seal_options.ts";
import { readLeaf, readTrusted, requireSecrets } from "./sealed_tree.ts";
import { checkedLeaves, Faults, reportOf, type SealVerification } from "./verify_seal.ts";

/**
 * How a store is compared with its seal.
 *
 * @category Evidence
 */
export interface VerifySealedLogOptions extends VerifySealOptions {
  /** Whether the store is a copy, made by `copyEvents` or an import: positions are not compared then. @default {false} */
  readonly copy?: boolean;
  /** Called with how many events of the store were compared, every thousand events and at the end. */
  readonly onProgress?: (progress: { readonly events: number }) => void;
}

/**
 * What a comparison of a store with its seal found.
 *
 * @category Evidence
 */
export interface SealedLogVerification extends SealVerification {
  /** How many events of the store are as they were sealed. */
  readonly verified: number;
  /** How many events of the store are newer than the seal: nothing is known of them. */
  readonly unsealed: number;
  /** How many sealed events retention has removed from the beginning of the store. */
  readonly removed: number;
}

const OPTIONS: OptionNames<VerifySealedLogOptions> = { ...VERIFY_OPTIONS, copy: true, onProgress: true };

/** Returns the options as they were read. */
function checkCompare({ ...options }: VerifySealedLogOptions): Expectation & ComparisonOptions {
  checkKnown<VerifySealedLogOptions>(options, OPTIONS);
  return {
    ...readExpectation(options),
    copy: checkFlag("options.copy", options.copy),
    onProgress: checkFunction("options.onProgress", options.onProgress),
  };
}

/**
 * Compares a store with its seal in both directions, and names each event that was changed, is missing, was added or reordered. The
 * seal is verified meanwhile, as `verifySeal` does.
 *
 * @param store The store that was sealed.
 * @param place Where the seal is, `private/seal.json` included.
 * @param options The public key.
 * @throws {SealError} If there is no seal, or it is of another log or key.
 * @throws {InvalidArgumentError} If a key cannot be read, or an option is out of range.
 *
 * @example Is the store as it was sealed?
 * ```ts
 * import { generateSealKey, SealFolder, sealOnce, verifySealedLog } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const { privateKey, publicKey } = generateSealKey("example.com/orders");
 * const folder = new SealFolder(await Deno.makeTempDir());
 * await sealOnce(store, folder, { signer: { key: privateKey } });
 *
 * const { ok, verified, faults } = await verifySealedLog(store, folder, { key: publicKey });
 * for (const { kind, message } of faults) console.error(kind, message);
 * assert.deepEqual([ok, verified], [true, 1]);
 * ```
 *
 * @category Evidence
 */
export async function verifySealedLog<E extends Event>(
  store: EventStore<E>,
  place: SealPlace,
  options: VerifySealedLogOptions,
): Promise<SealedLogVerification> {
  const expected = readOptions(options, checkCompare);
  checkPlace(place);
  const checkpoint = await readTrusted(place, expected);
  const { size } = checkpoint;
  const secrets = await requireSecrets(place, checkpoint, expected.signal);
  const last = size === 0
    ? undefined
    : await readLeaf(place, size, size - 1, expected.signal).catch(() => undefined);
  const faults = new Faults();
  const leaves = checkedLeaves(place, checkpoint, expected, faults);
  const comparison = new LogComparison(new Salts(secrets.saltKey), last, expected, faults);
  await comparison.run(store, leaves);
  const { verified, unsealed, removed } = comparison;
  return { ...reportOf(checkpoint, faults), verified, unsealed, removed };
}
