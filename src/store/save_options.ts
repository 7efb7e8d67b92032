/**
 * Reads the options of saves and appends.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { actorIdFault, isVersion } from "../event/draft.ts";
import { checkFlag, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";
import { checkToken, isArray } from "./check_options.ts";
import { type Commit, NO_CONDITIONS } from "./commit.ts";
import type { AppendOptions, CommitCondition, ExpectedVersion, SaveOptions } from "./types.ts";

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
