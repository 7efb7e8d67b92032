/**
 * How commands are executed.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { EventMetadata } from "../event/types.ts";
import type { Warning } from "../warning.ts";
import { checkMetadata, isVersion } from "../event/draft.ts";
import { describe } from "../text.ts";
import { checkFunction, checkKnown, type OptionNames } from "../options.ts";
import { readSave } from "./save_options.ts";
import { checkCommandId, COMMAND_HISTORY } from "./command_id.ts";
import type { Replayed } from "./fold.ts";
import type { SaveOptions } from "./types.ts";

/**
 * How a command is executed.
 *
 * @typeParam S The state.
 *
 * @category Deciders
 */
export interface ExecuteOptions<S = unknown> extends SaveOptions {
  /**
   * The result of the last `execute` or `replay` of this actor: the command is decided on its state, and costs one write and
   * no read. Events that were stored since are noticed when it is stored, and then it is decided again. Where the decider
   * throws or decides nothing, they are read before that counts. With a `commandId`, the latest events are searched as
   * behind a snapshot. @default {the actor is replayed}
   */
  readonly from?: Pick<Replayed<S>, "state" | "version" | "snapshotVersion">;
  /** How often to decide again after a version conflict, before the conflict is thrown. @default {10} */
  readonly retries?: number;
  /**
   * The version that the actor must be at for the command to be decided, 0 for a new actor; an HTTP `If-Match`, say. If it
   * is at another one, nothing is decided. @default {any}
   */
  readonly expectedVersion?: number;
  /**
   * Names the command, so that it can be repeated: its events get the ids `<commandId>/1`, `<commandId>/2` and so on, and
   * a repetition is answered with what the first one stored, without deciding again, also after other events have come.
   * A text of 1 to 128 UTF-8 bytes that does not begin with `timer/`. A command that decided nothing is decided again. @default {none}
   */
  readonly commandId?: string;
  /**
   * How many of the actor's latest events are searched for a command of this id, at least. The events that are replayed
   * anyway are always searched; only what a snapshot stands for is read in addition. @default {1_000}
   */
  readonly commandHistory?: number;
  /** Metadata for each event; what `decide` gives an event goes before it. */
  readonly metadata?: EventMetadata;
  /** Takes warnings: a snapshot that could not be used or saved. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/** The names of the options that executions of one and of several actors have in common. */
export const COMMAND_OPTIONS: OptionNames<CommandOptions> = {
  fencingToken: true,
  unfenced: true,
  conditions: true,
  signal: true,
  retries: true,
  commandId: true,
  commandHistory: true,
  metadata: true,
  onWarning: true,
};

const EXECUTE_OPTIONS: OptionNames<ExecuteOptions> = {
  ...COMMAND_OPTIONS,
  expectedVersion: true,
  from: true,
};

/** Returns the options, those of the append apart. */
export function checkExecute(options: ExecuteOptions): CheckedExecute {
  checkKnown<ExecuteOptions>(options, EXECUTE_OPTIONS);
  const { expectedVersion, from, ...common } = options;
  if (expectedVersion !== undefined && expectedVersion !== 0 && !isVersion(expectedVersion)) {
    throw new InvalidArgumentError(
      "options.expectedVersion",
      `must be the version that the actor must be at, 0 for a new one, and is ${describe(expectedVersion)}`,
    );
  }
  if (from !== undefined) checkFrom(from);
  return { ...checkCommand(common), expectedVersion, from };
}

/** Refuses what is no result of an `execute` or a `replay`. */
function checkFrom(from: unknown): void {
  const { version, snapshotVersion } = (from ?? {}) as Partial<Replayed<unknown>>;
  const isReached = (version === 0 || isVersion(version)) && "state" in (from as object);
  const isKnown = snapshotVersion === 0 || (isVersion(snapshotVersion) && snapshotVersion <= version!);
  if (isReached && isKnown) return;
  throw new InvalidArgumentError(
    "options.from",
    `must be the result of an execute or a replay of the actor, and is ${describe(from)}`,
  );
}

/**
 * The options that executions of one and of several actors have in common.
 *
 * @category Deciders
 */
export type CommandOptions = Omit<ExecuteOptions, "expectedVersion" | "from">;

/** The options of a command, checked. */
export interface CheckedCommand {
  /** How often to decide again. */
  readonly retries: number;
  /** Metadata for each event. */
  readonly metadata: EventMetadata | undefined;
  /** The command's name. */
  readonly commandId: string | undefined;
  /** How many events to search for it. */
  readonly commandHistory: number;
  /** Takes warnings. */
  readonly onWarning: ExecuteOptions["onWarning"];
  /** What is passed on to the store. */
  readonly save: SaveOptions;
}

/** The options of a command on one actor, checked. */
export interface CheckedExecute extends CheckedCommand {
  readonly expectedVersion: number | undefined;
  readonly from: ExecuteOptions["from"];
}

/** Checks the options of a command. */
export function checkCommand(options: CommandOptions): CheckedCommand {
  const { retries = 10, metadata, commandId, commandHistory = COMMAND_HISTORY, onWarning, ...save } = options;
  for (const [name, count] of Object.entries({ retries, commandHistory })) {
    if (Number.isSafeInteger(count) && count >= 0) continue;
    throw new InvalidArgumentError(
      `options.${name}`,
      `must be a non-negative integer, and is ${describe(count)}`,
    );
  }
  checkFunction("options.onWarning", onWarning);
  if (commandId !== undefined) checkCommandId(commandId);
  readSave(save);
  return {
    retries,
    metadata: metadata === undefined ? undefined : checkMetadata(metadata),
    commandId,
    commandHistory,
    onWarning,
    save,
  };
}
