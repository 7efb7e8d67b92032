/**
 * Checks on the arguments of a store's methods.
 *
 * @module
 */

import { isPromise } from "node:util/types";
import { InvalidArgumentError } from "../errors.ts";
import { actorIdFault, isVersion, MAX_NAME_BYTES } from "../event/draft.ts";
import { compileFilter, type Filterable } from "../event/filter.ts";
import { describe, nameFault } from "../text.ts";
import type { EventFilter } from "../event/types.ts";
import {
  checkFlag,
  checkFunction,
  checkKnown,
  checkSignal,
  type OptionNames,
  readOptions,
} from "../options.ts";
import type { HistoryRead } from "./backend.ts";
import { type Commit, NO_CONDITIONS } from "./commit.ts";
import type {
  AppendOptions,
  CommitCondition,
  DeleteSnapshotsOptions,
  ExpectedVersion,
  ListActorsOptions,
  LogStart,
  ReadAllOptions,
  ReadEventsOptions,
  SaveOptions,
  SubscribeOptions,
  VerifyOptions,
} from "./types.ts";

/** The options of a save, checked. */
export type CheckedSave = Pick<Commit, "fencingToken" | "unfenced" | "signal" | "conditions">;

/** The options of an append, checked. */
export interface CheckedAppend {
  /** The version that the actor must be at. */
  readonly expectedVersion: ExpectedVersion;
  /** The rest. */
  readonly save: CheckedSave;
}

const PLAIN_SAVE: CheckedSave = Object.freeze({
  fencingToken: undefined,
  unfenced: false,
  signal: undefined,
  conditions: NO_CONDITIONS,
});

/** Reads the options of a save. */
export function readSave(options: SaveOptions | undefined): CheckedSave {
  return options === undefined ? PLAIN_SAVE : readOptions(options, checkSaveAlone);
}

/** Reads the options of an append. */
export function readAppend(options: AppendOptions | undefined): CheckedAppend {
  return readOptions(options, checkAppend);
}

const SAVE_OPTIONS: OptionNames<SaveOptions> = {
  fencingToken: true,
  unfenced: true,
  signal: true,
  conditions: true,
};
const APPEND_OPTIONS: OptionNames<AppendOptions> = { ...SAVE_OPTIONS, expectedVersion: true };

function checkSaveAlone(options: SaveOptions): CheckedSave {
  checkKnown(options, SAVE_OPTIONS);
  return checkSave(options);
}

function checkSave({ fencingToken, unfenced, signal, conditions }: SaveOptions): CheckedSave {
  if (fencingToken !== undefined) checkToken("options.fencingToken", fencingToken);
  return {
    fencingToken,
    unfenced: checkFlag("options.unfenced", unfenced),
    signal: checkSignal(signal),
    conditions: conditions === undefined ? NO_CONDITIONS : readConditions(conditions),
  };
}

/** Copies conditions, each of another actor. */
function readConditions(conditions: readonly CommitCondition[]): readonly CommitCondition[] {
  const field = "options.conditions";
  if (!isArray(conditions)) {
    throw new InvalidArgumentError(
      field,
      `must be an array of { actorId, version }, and is ${describe(conditions)}`,
    );
  }
  const actors = new Set<string>();
  return Array.from({ length: conditions.length }, (_, index) => {
    const condition = readCondition(conditions[index], `${field}[${index}]`);
    if (actors.has(condition.actorId)) {
      throw new InvalidArgumentError(
        `${field}[${index}]`,
        `names actor "${condition.actorId}" a second time`,
      );
    }
    actors.add(condition.actorId);
    return condition;
  });
}

const CONDITION_FIELDS: OptionNames<CommitCondition> = { actorId: true, version: true };

function readCondition(condition: unknown, field: string): CommitCondition {
  if (typeof condition !== "object" || condition === null) {
    throw new InvalidArgumentError(field, `must be { actorId, version }, and is ${describe(condition)}`);
  }
  checkKnown(condition as CommitCondition, CONDITION_FIELDS, field);
  const { actorId, version } = condition as CommitCondition;
  const fault = actorIdFault(actorId);
  if (fault) throw new InvalidArgumentError(`${field}.actorId`, fault);
  if (version !== 0 && !isVersion(version)) {
    throw new InvalidArgumentError(
      `${field}.version`,
      `must be the version that the actor is at, 0 if it has no events, and is ${describe(version)}`,
    );
  }
  return { actorId, version };
}

function checkAppend(options: AppendOptions): CheckedAppend {
  checkKnown(options, APPEND_OPTIONS);
  const { expectedVersion } = options;
  checkExpectedVersion(expectedVersion);
  return { expectedVersion, save: checkSave(options) };
}

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

/** Refuses what cannot be a kind of snapshots. */
export function checkKind(kind: unknown): void {
  const fault = nameFault(kind, MAX_NAME_BYTES);
  if (fault) throw new InvalidArgumentError("kind", fault);
}

/** Refuses what cannot be an actor id. */
export function checkActorId(actorId: unknown): void {
  const fault = actorIdFault(actorId);
  if (fault) throw new InvalidArgumentError("actorId", fault);
}

/** Refuses what cannot be a fencing token. */
export function checkToken(argument: string, token: unknown): void {
  if (isVersion(token)) return;
  throw new InvalidArgumentError(
    argument,
    `must be an integer from 1 to 2^53 - 1, and is ${describe(token)}`,
  );
}

/** Refuses what cannot be a version to read from: 0 means all, as 1 does. */
export function checkFromVersion(argument: string, version: unknown): void {
  if (version === 0 || isVersion(version)) return;
  throw new InvalidArgumentError(
    argument,
    `must be a version, or 0 to read all, and is ${describe(version)}`,
  );
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

/** Refuses what an append cannot expect. */
function checkExpectedVersion(expected: unknown): void {
  if (expected === "any" || expected === "exists" || expected === 0 || isVersion(expected)) return;
  throw new InvalidArgumentError(
    "options.expectedVersion",
    `must be the version that the actor is at, 0 for a new one, "exists" or "any", and is ${
      describe(expected)
    }`,
  );
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

function checkDirection(direction: unknown): void {
  if (direction === "forward" || direction === "backward") return;
  throw new InvalidArgumentError(
    "options.direction",
    `must be "forward" or "backward", and is ${describe(direction)}`,
  );
}

/** Refuses what cannot be folded with. */
export function checkView(argument: string, view: unknown): void {
  const sound = readOptions(
    (view ?? {}) as { initialState?: unknown; evolve?: unknown },
    ({ initialState, evolve }) => typeof initialState === "function" && typeof evolve === "function",
    argument,
  );
  if (sound) return;
  throw new InvalidArgumentError(
    argument,
    `must be an object with the functions initialState() and evolve(state, event), and is ${describe(view)}`,
  );
}

/** Refuses what a decider cannot have decided, and returns how many events it has. */
export function checkDecision(decided: unknown): number {
  if (isArray(decided)) return readOptions(decided, ({ length }) => length, "decider.decide");
  if (isPromise(decided)) decided.then(undefined, () => {}); // its rejection would end the process
  const returned = isPromise(decided)
    ? "a promise: load what it needs before, and pass it in with the command"
    : describe(decided);
  throw new InvalidArgumentError(
    "decider.decide",
    `must return an array of events, and returned ${returned}`,
  );
}

/** Whether a value is an array; a proxy that was revoked throws when it is asked. */
export function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}
