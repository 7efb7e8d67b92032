/**
 * Sealing a log, once or for as long as the process lives.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { Lease } from "../cluster/lease.ts";
import { ClosedError, InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import { readOptions } from "../options.ts";
import { backoff, sleep } from "../sleep.ts";
import {
  DamagedHistoryError,
  HistoryTruncatedError,
  LogReplacedError,
  StoreClosedError,
} from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";
import { type Warn, warner } from "../warning.ts";
import { SealError } from "./errors.ts";
import type { SealPlace } from "./place.ts";
import {
  checkPlace,
  checkSeal,
  checkSealLog,
  openSettings,
  type SealLogOptions,
  type SealOptions,
  type SealSettings,
} from "./seal_options.ts";
import { Sealer, type SealReport } from "./sealer.ts";

const DEFAULT_INTERVAL = 1_000;
/** The bounds of the wait before a further try, in milliseconds. */
const FIRST_WAIT = 100;
const LONGEST_WAIT = 10_000;

/**
 * A log that is being sealed.
 *
 * @category Evidence
 */
export interface SealRun extends AsyncDisposable {
  /** What this run sealed or found last; `undefined` before that. */
  readonly report: SealReport | undefined;
  /**
   * Resolves after `close()`, of the run or of the store. Rejects with the error that the run ends with, such as a
   * {@linkcode SealError}, or with the reason of the signal. A rejection without a listener ends no process.
   */
  readonly finished: Promise<void>;
  /** Finishes what is being written, and ends. */
  close(): Promise<void>;
}

/**
 * Seals what a log has by now, and returns. It can be called from a timer or at the end of a batch. It takes no lease: of calls
 * that overlap, each writes the same files, and the first to write the checkpoint goes on.
 *
 * @param store The store whose log is sealed.
 * @param place Where the seal is kept: empty, or with the seal of this log.
 * @param options The key, and the name of the log.
 * @throws {SealError} If the place holds something else, or the log is not the one that was sealed. Nothing was written.
 * @throws {InvalidArgumentError} If the key cannot be read, or an option is out of range.
 * @throws {DamagedHistoryError | HistoryTruncatedError} If a part of the log is damaged or gone.
 *
 * @example Seal every night
 * ```ts
 * import { generateSealKey, SealFolder, sealOnce } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 *
 * const { privateKey } = generateSealKey("example.com/orders"); // made once, and kept in a file: { file: "seal.key" }
 * const folder = new SealFolder(await Deno.makeTempDir());
 * const { size, checkpoint } = await sealOnce(store, folder, { signer: { key: privateKey } });
 * assert.equal(size, 1);
 * console.log(checkpoint); // mail it to the auditor
 * ```
 *
 * @category Evidence
 */
export async function sealOnce<E extends Event>(
  store: EventStore<E>,
  place: SealPlace,
  options: SealOptions,
): Promise<SealReport> {
  const checked = readOptions(options, checkSeal);
  const settings = await openSettings(checked, checkPlace(place));
  settings.signal?.throwIfAborted();
  return await new Sealer(store, place, settings).seal(settings.signal);
}

/**
 * Seals a log while it grows, away from the path of saves. Several processes may do so: if the place has leases one of them works, and
 * in every case they make one tree.
 *
 * @param store The store whose log is sealed.
 * @param place Where the seal is kept: empty, or with the seal of this log.
 * @param options The key, the name of the log, and how often it is sealed.
 * @throws {InvalidArgumentError} If an option is out of range.
 *
 * @example Seal in the background
 * ```ts
 * import { generateSealKey, SealFolder, sealLog } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 *
 * await using store = new InMemoryEventStore();
 * const { privateKey } = generateSealKey("example.com/orders");
 * const folder = new SealFolder(await Deno.makeTempDir());
 * await using run = sealLog(store, folder, { signer: { key: privateKey }, interval: 5_000 });
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * console.log(run.report?.size); // after at most 5 seconds: 1
 * ```
 *
 * @category Evidence
 */
export function sealLog<E extends Event>(
  store: EventStore<E>,
  place: SealPlace,
  options: SealLogOptions,
): SealRun {
  return new Run(store, checkPlace(place), readOptions(options, checkSealLog));
}

class Run implements SealRun {
  readonly #store: EventStore;
  readonly #place: SealPlace;
  readonly #options: SealLogOptions;
  readonly #warn: Warn;
  readonly #closing = new AbortController();
  readonly #signal: AbortSignal;
  report: SealReport | undefined;
  readonly finished: Promise<void>;

  constructor(store: EventStore, place: SealPlace, options: SealLogOptions) {
    this.#store = store;
    this.#place = place;
    this.#options = options;
    this.#warn = warner(options.onWarning);
    const { signal } = options;
    this.#signal = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
    this.finished = this.#run();
    this.finished.catch(() => {});
  }

  async #run(): Promise<void> {
    try {
      const settings = await openSettings(this.#options, this.#place);
      for (let attempt = 0;;) {
        try {
          await this.#work(settings, () => attempt = 0);
        } catch (cause) {
          this.#signal.throwIfAborted();
          if (isFinal(cause)) throw cause;
          const message =
            "The log is not sealed at the moment: the store or the place of the seal has failed. It is tried again.";
          this.#warn({ code: "seal-interrupted", message, cause });
          await sleep(backoff(++attempt, FIRST_WAIT, LONGEST_WAIT), this.#signal);
        }
      }
    } catch (error) {
      const isClosed = this.#closing.signal.aborted && error === this.#closing.signal.reason;
      if (!isClosed && !(error instanceof StoreClosedError)) throw error;
    }
  }

  /** Seals again and again, under a lease if there are leases; returns if it is lost. */
  async #work(settings: SealSettings, onSealed: () => void): Promise<void> {
    const signal = this.#signal;
    const sealer = new Sealer(this.#store, this.#place, settings);
    await using lease = await acquireLease(settings, signal);
    while (isFree(lease)) {
      const ending = lease ? AbortSignal.any([signal, lease.signal]) : signal;
      try {
        this.report = await sealer.seal(ending, () => isFree(lease) || ending.throwIfAborted());
        onSealed();
        await sleep(this.#options.interval ?? DEFAULT_INTERVAL, ending);
      } catch (error) {
        if (isFree(lease) || signal.aborted) throw error;
      }
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("store"));
    await this.finished.catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The lease of a sealer, if there are leases. After an abort it is not waited for, and released when it comes. */
async function acquireLease(
  { leases, origin }: SealSettings,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  const acquiring = leases?.acquire(`seal ${origin}`, { signal });
  try {
    return acquiring && await abortable(acquiring, signal);
  } catch (error) {
    acquiring?.then((lease) => lease.release()).catch(() => {});
    throw error;
  }
}

/** Whether no other sealer may work. The lease reads the clocks for it. */
function isFree(lease: Lease | undefined): boolean {
  return lease?.isHeld ?? true;
}

/** Whether it cannot be better at the next try. */
function isFinal(error: unknown): boolean {
  if (error instanceof SealError) {
    return error.reason !== "place" || error.cause instanceof ClosedError;
  }
  return error instanceof ClosedError || error instanceof InvalidArgumentError ||
    error instanceof DamagedHistoryError || error instanceof HistoryTruncatedError ||
    error instanceof LogReplacedError;
}
