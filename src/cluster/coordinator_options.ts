/**
 * The options of a node, and their checks.
 *
 * @module
 */
import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkSignal, type OptionNames } from "../options.ts";
import { type Warn, warner, type Warning } from "../warning.ts";
import { checkTerms, type LeaseOptions } from "./lease.ts";
import type { LeaseTerms } from "./lease_record.ts";
import { checkName } from "./names.ts";
import { MAX_WEIGHT } from "./placement.ts";
import { checkShardCount } from "./shard_of.ts";
import { describe } from "../text.ts";

/** The longest address, in bytes of UTF-8. */
export const MAX_ADDRESS_BYTES = 1024;
/** The most metadata, in bytes of JSON: every node keeps that of every other. */
export const MAX_METADATA_BYTES = 16_384;
const DEFAULT_SHARD_COUNT = 1024;

/**
 * How a node joins a cluster.
 *
 * @category Cluster
 */
export interface CoordinatorOptions extends Pick<LeaseOptions, "ttl" | "maxClockSkew" | "renewEvery"> {
  /**
   * The node's name: unique in the cluster, up to 256 bytes. One that stays the same over restarts keeps logs readable.
   *
   * @default {a random one}
   */
  readonly name?: string;
  /** Where other nodes can reach this one, up to 1,024 bytes; kept as it is. @default {""} */
  readonly address?: string;
  /** Anything that other nodes should know: strings, up to 16 KiB as JSON. @default {{}} */
  readonly metadata?: Readonly<Record<string, string>>;
  /** This node's share of the shards, relative to the weights of the others: 0 (none) to 1,000. @default {1} */
  readonly weight?: number;
  /** The number of shards, 1 to 16,384: the same on every node, and fixed for the life of the cluster. @default {1024} */
  readonly shardCount?: number;
  /** Whether this node may lead. @default {true} */
  readonly candidate?: boolean;
  /** Ends the joining with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Called with what goes wrong in the background. The codes are `left-by-force`, `map-not-stored`, `name-lost`,
   * `session-lost`, `unreadable-record` and `watch-lost`.
   *
   * @default {console.warn, once a code and minute}
   */
  readonly onWarning?: (warning: Warning) => void;
}

/** The names of {@linkcode CoordinatorOptions}. */
export const COORDINATOR_OPTIONS: OptionNames<CoordinatorOptions> = {
  ttl: true,
  maxClockSkew: true,
  renewEvery: true,
  name: true,
  address: true,
  metadata: true,
  weight: true,
  shardCount: true,
  candidate: true,
  signal: true,
  onWarning: true,
};

/** The options with their defaults. */
export interface CheckedOptions extends
  Required<
    Pick<CoordinatorOptions, "name" | "address" | "metadata" | "weight" | "shardCount" | "candidate">
  >,
  Pick<LeaseTerms, "ttl" | "maxClockSkew" | "renewEvery"> {
  /** See {@linkcode CoordinatorOptions.onWarning}. */
  readonly warn: Warn;
}

/** Checks what the user gave and fills in the defaults. */
export function checkOptions(options: CoordinatorOptions, newId: () => string): CheckedOptions {
  const {
    name = `node-${newId()}`,
    address = "",
    metadata = {},
    weight = 1,
    shardCount = DEFAULT_SHARD_COUNT,
    candidate = true,
  } = options;
  checkName("options.name", name);
  if (typeof address !== "string" || byteLength(address) > MAX_ADDRESS_BYTES) {
    const is = typeof address === "string" ? `has ${byteLength(address)}` : `is ${describe(address)}`;
    throw new InvalidArgumentError(
      "options.address",
      `must be a string of at most ${MAX_ADDRESS_BYTES} bytes, and ${is}`,
    );
  }
  if (typeof weight !== "number" || !(weight >= 0 && weight <= MAX_WEIGHT)) {
    throw new InvalidArgumentError(
      "options.weight",
      `must be a number from 0 to ${MAX_WEIGHT}, and is ${describe(weight)}`,
    );
  }
  checkShardCount("options.shardCount", shardCount);
  if (typeof candidate !== "boolean") {
    throw new InvalidArgumentError(
      "options.candidate",
      `must be true or false, and is ${describe(candidate)}`,
    );
  }
  checkSignal(options.signal);
  checkFunction("options.onWarning", options.onWarning);
  return {
    name,
    address,
    metadata: checkMetadata(metadata),
    weight,
    shardCount,
    candidate,
    warn: warner(options.onWarning),
    ...checkTerms(options),
  };
}

function checkMetadata(metadata: unknown): Readonly<Record<string, string>> {
  if (!isPlainObject(metadata)) {
    const fault = `must be a plain object whose values are strings, and is ${describe(metadata)}`;
    throw new InvalidArgumentError("options.metadata", fault);
  }
  const entries = Object.entries(metadata);
  for (const [name, value] of entries) {
    if (typeof value === "string") continue;
    const fault = `must be a plain object whose values are strings, and ${JSON.stringify(name)} is ${
      describe(value)
    }`;
    throw new InvalidArgumentError("options.metadata", fault);
  }
  const bytes = byteLength(JSON.stringify(metadata));
  if (bytes > MAX_METADATA_BYTES) {
    throw new InvalidArgumentError(
      "options.metadata",
      `must be at most ${MAX_METADATA_BYTES} bytes as JSON, not ${bytes}: keep large things elsewhere`,
    );
  }
  return Object.freeze(Object.fromEntries(entries));
}

/** A map or a date is refused: its contents are not in its properties, and would be left out. */
function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
