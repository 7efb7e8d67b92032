/**
 * Reads the options of reads: of the log, of histories and listings, and of what goes through a whole store.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { isVersion } from "../event/draft.ts";
import { compileFilter, type Filterable } from "../event/filter.ts";
import type { EventFilter } from "../event/types.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";
import type { HistoryRead } from "./backend.ts";
import { checkFromVersion } from "./check_options.ts";
import type {
  DeleteSnapshotsOptions,
  ListActorsOptions,
  LogStart,
  ReadAllOptions,
  ReadEventsOptions,
  SubscribeOptions,
  VerifyOptions,
} from "./types.ts";

/** A read of the log, every default filled in. */
export interface CheckedLogRead extends Pick<ReadAllOptions, "onDamage" | "signal"> {
  /** Where to begin. */
  readonly after: LogStart;
  /** The order. */
  readonly direction: "forward" | "backward";
  /** What to choose. */
  readonly filter: EventFilter;
  /** Chooses it. */
  readonly chosen: ((event: Filterable) => boolean) | undefined;
  /** The position of the last event. */
  readonly until: string | undefined;
  /** The most events. */
  readonly limit: number;
}

/** Refuses options of a read that a subscription does not have. */
export function checkSubscription(options: SubscribeOptions | undefined): void {
  readOptions(options, (given) => {
    checkKnown<SubscribeOptions>(given, SUBSCRIBE_OPTIONS);
  });
}

const SUBSCRIBE_OPTIONS: OptionNames<SubscribeOptions> = {
  after: true,
  signal: true,
  eventTypes: true,
  actorId: true,
  actorPrefix: true,
};

/** Reads the options of a read of the log, or of a subscription to it. */
export function readLogRead(options: ReadAllOptions & SubscribeOptions | undefined): CheckedLogRead {
  return readOptions(options, (given) => {
    const { after = "start", until, direction = "forward", limit, onDamage, signal, ...filter } = given;
    checkFunction("options.onDamage", onDamage);
    checkSignal(signal);
    checkDirection(direction);
    return {
      after,
      direction,
      filter,
      chosen: compileFilter(filter),
      until: checkUntil(until),
      limit: checkLimit(limit),
      ...(onDamage && { onDamage }),
      ...(signal && { signal }),
    };
  });
}

function checkUntil(until: string | undefined): string | undefined {
  if (until === undefined || typeof until === "string") return until;
  throw new InvalidArgumentError(
    "options.until",
    `must be the position of an event, and is ${describe(until)}`,
  );
}

const LISTING_OPTIONS: OptionNames<ListActorsOptions> = { actorPrefix: true, signal: true };

/** Reads the options of a listing. */
export function readListing(options: ListActorsOptions | undefined): ListActorsOptions {
  return readOptions(options, (given) => {
    checkKnown(given, LISTING_OPTIONS);
    const { actorPrefix, signal } = given;
    compileFilter(actorPrefix === undefined ? {} : { actorPrefix });
    checkSignal(signal);
    return { ...(actorPrefix !== undefined && { actorPrefix }), ...(signal && { signal }) };
  });
}

const VERIFY_OPTIONS: OptionNames<VerifyOptions> = { expectedPosition: true, onProgress: true, signal: true };

/** Reads the options of a verification. */
export function readVerification(options: VerifyOptions | undefined): VerifyOptions {
  return readOptions(options, (given) => {
    checkKnown(given, VERIFY_OPTIONS);
    const { expectedPosition, onProgress, signal } = given;
    checkFunction("options.onProgress", onProgress);
    checkSignal(signal);
    return {
      ...(expectedPosition !== undefined && { expectedPosition }),
      ...(onProgress && { onProgress }),
      ...(signal && { signal }),
    };
  });
}

const DELETE_OPTIONS: OptionNames<DeleteSnapshotsOptions> = { signal: true };

/** Reads the options of a deletion. */
export function readDeleteSnapshots(options: DeleteSnapshotsOptions | undefined): DeleteSnapshotsOptions {
  return readOptions(options, (given) => {
    checkKnown(given, DELETE_OPTIONS);
    const { signal } = given;
    checkSignal(signal);
    return { ...(signal && { signal }) };
  });
}

/** Reads the options of a read of a history, every default filled in. */
export function readHistoryRead(
  options: ReadEventsOptions | undefined,
): HistoryRead & Pick<ReadEventsOptions, "signal"> {
  return readOptions(options, checkHistoryRead);
}

const HISTORY_OPTIONS: OptionNames<ReadEventsOptions> = {
  fromVersion: true,
  toVersion: true,
  direction: true,
  limit: true,
  onDamage: true,
  signal: true,
};

function checkHistoryRead(options: ReadEventsOptions): HistoryRead & Pick<ReadEventsOptions, "signal"> {
  checkKnown(options, HISTORY_OPTIONS);
  const {
    fromVersion = 0,
    toVersion = Number.MAX_SAFE_INTEGER,
    direction = "forward",
    limit,
    onDamage,
    signal,
  } = options;
  checkFunction("options.onDamage", onDamage);
  checkSignal(signal);
  checkFromVersion("options.fromVersion", fromVersion);
  checkVersion("options.toVersion", toVersion);
  checkDirection(direction);
  return {
    fromVersion: Math.max(1, fromVersion),
    toVersion,
    direction,
    limit: checkLimit(limit),
    onDamage,
    ...(signal && { signal }),
  };
}

/** Refuses what cannot be a version to read to. */
function checkVersion(argument: string, version: unknown): void {
  if (isVersion(version)) return;
  throw new InvalidArgumentError(argument, `must be a positive integer, and is ${describe(version)}`);
}

/** Returns a limit, infinity if there is none. */
export function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return Infinity;
  if (Number.isSafeInteger(limit) && limit >= 0) return limit;
  throw new InvalidArgumentError(
    "options.limit",
    `must be a non-negative integer, and is ${describe(limit)}`,
  );
}

function checkDirection(direction: unknown): void {
  if (direction === "forward" || direction === "backward") return;
  throw new InvalidArgumentError(
    "options.direction",
    `must be "forward" or "backward", and is ${describe(direction)}`,
  );
}
