/**
 * How a log is sealed.
 *
 * @module
 */

import type { LeaseStore } from "../cluster/lease.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames } from "../options.ts";
import { describe } from "../text.ts";
import type { Warning } from "../warning.ts";
import { checkName } from "./key_text.ts";
import type { SealPlace } from "./place.ts";
import { type NoteSigner, openSigner, type PublicKey, readPublicKey, type SignerSource } from "./signer.ts";

/**
 * How a log is sealed.
 *
 * @category Evidence
 */
export interface SealOptions {
  /**
   * The key that checkpoints are signed with, or several: the first is that of the seal, those of cosigners sign with the time.
   */
  readonly signer: SignerSource | readonly SignerSource[];
  /** The name of the log in its checkpoints, without spaces and `+`. @default {the name of the first key} */
  readonly origin?: string;
  /** Where a new seal begins: `"first-kept"` if retention has removed the beginning of the log. @default {"start"} */
  readonly from?: "start" | "first-kept";
  /** Where the lease of the one sealer is kept. @default {that of the place, if it has leases} */
  readonly leases?: LeaseStore;
  /** Called with how many events are sealed, after each checkpoint: a log of many events gets several. */
  readonly onProgress?: (progress: { readonly events: number }) => void;
  /** Ends the work with the signal's reason. What was sealed is kept. */
  readonly signal?: AbortSignal;
}

/**
 * How a log is sealed while it grows.
 *
 * @category Evidence
 */
export interface SealLogOptions extends SealOptions {
  /** How often new events are sealed, in ms: each time a checkpoint is signed and written. @default {1000} */
  readonly interval?: number;
  /** Takes the warning `seal-interrupted`: the store or the place failed, and it is tried again. @default {console.warn, once a minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/** The options of a seal, every default filled in. */
export interface SealSettings {
  readonly origin: string;
  readonly signers: readonly NoteSigner[];
  readonly from: "start" | "first-kept";
  readonly leases: LeaseStore | undefined;
  readonly onProgress: SealOptions["onProgress"];
  readonly signal: AbortSignal | undefined;
}

const SEAL_OPTIONS: OptionNames<SealOptions> = {
  signer: true,
  origin: true,
  from: true,
  leases: true,
  onProgress: true,
  signal: true,
};
const SEAL_LOG_OPTIONS: OptionNames<SealLogOptions> = { ...SEAL_OPTIONS, interval: true, onWarning: true };

/** Returns the options as they were read. */
export function checkSeal({ ...options }: SealOptions): SealOptions {
  checkKnown<SealOptions>(options, SEAL_OPTIONS);
  return checkCommon(options);
}

/** Returns the options as they were read. */
export function checkSealLog({ ...options }: SealLogOptions): SealLogOptions {
  checkKnown<SealLogOptions>(options, SEAL_LOG_OPTIONS);
  checkFunction("options.onWarning", options.onWarning);
  const { interval } = options;
  if (interval !== undefined && !(typeof interval === "number" && interval >= 1 && interval <= 2 ** 31 - 1)) {
    throw new InvalidArgumentError(
      "options.interval",
      `must be a number of milliseconds of at least 1, and is ${describe(interval)}`,
    );
  }
  return { ...options, ...checkCommon(options) };
}

function checkCommon(options: SealOptions): SealOptions {
  const { signer, origin, from, leases, onProgress, signal } = options;
  if (signer === undefined || Array.isArray(signer) && signer.length === 0) {
    throw new InvalidArgumentError(
      "options.signer",
      "is missing: pass { file }, { env }, { key } or a signing function",
    );
  }
  if (origin !== undefined) checkName("options.origin", origin);
  if (from !== undefined && from !== "start" && from !== "first-kept") {
    throw new InvalidArgumentError(
      "options.from",
      `must be "start" or "first-kept", and is ${describe(from)}`,
    );
  }
  if (leases !== undefined && typeof leases?.acquire !== "function") {
    throw new InvalidArgumentError("options.leases", `must be a store of leases, and is ${describe(leases)}`);
  }
  checkFunction("options.onProgress", onProgress);
  checkSignal(signal);
  return options;
}

/**
 * Opens the keys, and fills in the defaults.
 *
 * @throws {InvalidArgumentError} If a key cannot be read.
 */
export async function openSettings(options: SealOptions, place: SealPlace): Promise<SealSettings> {
  const { signer, from = "start", onProgress, signal } = options;
  const sources = Array.isArray(signer) ? signer as readonly SignerSource[] : [signer as SignerSource];
  const signers = await Promise.all(sources.map((source) => openSigner(source, "options.signer")));
  const origin = options.origin ?? signers[0]!.publicKey.name;
  const leases = options.leases ?? await place.leases?.();
  return { origin, signers, from, leases, onProgress, signal };
}

/** Checks a place. */
export function checkPlace(place: SealPlace): SealPlace {
  if (typeof place?.read === "function" && typeof place.replace === "function") return place;
  throw new InvalidArgumentError(
    "place",
    `must be a place for a seal, such as new SealFolder(path), and is ${describe(place)}`,
  );
}

/**
 * Which keys a checkpoint must be signed with.
 *
 * @category Evidence
 */
export interface VerifySealOptions {
  /** The public key of the seal, or several: each must have signed. */
  readonly key: string | readonly string[];
  /** The name that the log must have. @default {any} */
  readonly origin?: string;
  /**
   * A checkpoint that was seen before: the text of the file `checkpoint`. The present one must continue it, so that nothing
   * that was sealed then is changed or missing now. @default {none}
   */
  readonly seen?: string;
  /** Ends the verification with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What a checkpoint must be like. */
export interface Expectation {
  readonly keys: readonly PublicKey[];
  readonly origin: string | undefined;
  readonly seen: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The names of {@linkcode VerifySealOptions}. */
export const VERIFY_OPTIONS: OptionNames<VerifySealOptions> = {
  key: true,
  origin: true,
  seen: true,
  signal: true,
};

/** Reads the options of a verification. */
export function checkVerify({ ...options }: VerifySealOptions): Expectation {
  checkKnown<VerifySealOptions>(options, VERIFY_OPTIONS);
  return readExpectation(options);
}

/** Reads what a checkpoint must be like. */
export function readExpectation({ key, origin, seen, signal }: VerifySealOptions): Expectation {
  if (origin !== undefined) checkName("options.origin", origin);
  if (seen !== undefined && typeof seen !== "string") {
    throw new InvalidArgumentError(
      "options.seen",
      `must be the text of a checkpoint, and is ${describe(seen)}`,
    );
  }
  return { keys: readKeys(key), origin, seen, signal: checkSignal(signal) };
}

/**
 * Reads one public key or several.
 *
 * @throws {InvalidArgumentError} If there is none, or a text is none.
 */
export function readKeys(key: string | readonly string[]): readonly PublicKey[] {
  const texts = Array.isArray(key) ? key as readonly string[] : [key as string];
  if (texts.length === 0) throw new InvalidArgumentError("options.key", "must have at least one public key");
  return texts.map((text) => readPublicKey(text, "options.key"));
}
