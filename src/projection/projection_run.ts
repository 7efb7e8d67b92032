/**
 * A projection that runs, as its owner sees it.
 *
 * @module
 */

import type { LeaseStore } from "../cluster/lease.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames } from "../options.ts";
import { describe, nameFault } from "../text.ts";
import type { Warning } from "../warning.ts";
import { checkLeases } from "./checkpoints.ts";
import type { WaitForOptions } from "./wait_for.ts";

/**
 * How a projection is run.
 *
 * @category Projections
 */
export interface RunOptions {
  /** Where the lease of the one worker is kept. @default {next to the checkpoints, if they have leases} */
  readonly leases?: LeaseStore;
  /**
   * How long another worker waits at most after a crash of this one, in ms, at least 2000: a hundredth and up to 200 ms longer on
   * Deno KV. After a clean end it does not wait. @default {15000}
   */
  readonly leaseTtl?: number;
  /** A name for the worker, which the record of the lease shows. @default {""} */
  readonly holder?: string;
  /** Ends the run: `finished` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Takes warnings: `projection-interrupted` (a server or database that cannot be reached), `projection-parked` (an event
   * was set aside), `projection-stopped` (with the error of `finished` as its cause) and `projection-ended` (the store was
   * closed). @default {console.warn, once a kind and minute}
   */
  readonly onWarning?: (warning: Warning) => void;
}

/**
 * What a run is doing: waiting for another worker to end, reading history, following what comes, waiting for a store that
 * cannot be reached; stopped (with the error of `finished`) or closed.
 *
 * @category Projections
 */
export type RunState = "waiting" | "catching-up" | "live" | "unreachable" | "stopped" | "closed";

/**
 * A projection that runs.
 *
 * @category Projections
 */
export interface ProjectionRun extends AsyncDisposable {
  /** What it is doing. */
  readonly state: RunState;
  /**
   * Resolves after `close()`, of the run or of its store. Rejects with the error that the run ends with:
   * {@linkcode ProjectionStoppedError} (a handler has failed as often as its policy allows, or a closed handle, a deleted
   * bucket, refused credentials), a log that is damaged, truncated, replaced or newer than the program, or the reason of the
   * signal. A rejection without a listener is reported as a warning and does not end the process.
   */
  readonly finished: Promise<void>;
  /**
   * Waits until the event at a position has been handled, here or in another process: what is read from the read model
   * afterwards shows it, and the events of a reaction are stored.
   *
   * @throws {ProjectionBehindError} If it takes too long, or if the event was parked or waits behind one that was.
   * @throws {InvalidPositionError} If it is no position of this log.
   */
  waitFor(position: string, options?: WaitForOptions): Promise<void>;
  /** Finishes the event in hand, writes the checkpoint and hands over to another worker at once. */
  close(): Promise<void>;
}

const RUN_OPTIONS: OptionNames<RunOptions> = {
  leases: true,
  leaseTtl: true,
  holder: true,
  signal: true,
  onWarning: true,
};

/** Returns the options as they were read. */
export function checkRun({ ...options }: RunOptions): RunOptions {
  checkKnown<RunOptions>(options, RUN_OPTIONS);
  const { holder, leaseTtl, leases, signal, onWarning } = options;
  const fault = holder === undefined || holder === "" ? undefined : nameFault(holder, 256);
  if (fault) throw new InvalidArgumentError("options.holder", fault);
  if (leaseTtl !== undefined && !(typeof leaseTtl === "number" && leaseTtl >= 2000)) {
    throw new InvalidArgumentError(
      "options.leaseTtl",
      `must be at least 2000 ms, and is ${describe(leaseTtl)}`,
    );
  }
  checkLeases(leases, "acquire");
  checkSignal(signal);
  checkFunction("options.onWarning", onWarning);
  return options;
}
