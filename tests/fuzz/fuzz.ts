/**
 * The fuzzer: random histories of sound and hostile calls over a store, for as long as asked, held against the model.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { StoreUnderTest } from "@flowmade-one/aether/testing";
import { History } from "../../src/testing/cases/history.ts";
import type { Step } from "../../src/testing/cases/steps.ts";
import { CaseContext } from "../../src/testing/context.ts";
import { within } from "../../src/testing/support.ts";
import { playFault } from "./faults.ts";
import type { FuzzedBackend, FuzzHarness } from "./fault_steps.ts";
import { passThrough } from "./door_call.ts";
import { callWith } from "./hostile_call.ts";
import { counting, type Counts } from "./observed.ts";
import { play } from "./scenes.ts";
import { type FuzzStep, fuzzStep } from "./steps.ts";

/** What the fuzzer is to do. */
export interface FuzzOptions {
  /** How long, in milliseconds. */
  readonly duration: number;
  /** The seed of the first round; the next rounds have the next ones. */
  readonly seed: number;
  /** Which case of the first round to play alone, as a failure printed it. */
  readonly path?: string;
  /** How long a step may take, in milliseconds. @default {60_000} */
  readonly patience?: number;
  /** Told after each round. */
  readonly onRound?: (report: FuzzReport) => void;
}

/** What the fuzzer did and found. */
export interface FuzzReport {
  /** Rounds played to the end: as many seeds, from the first on. */
  readonly rounds: number;
  /** Histories. */
  readonly histories: number;
  /** Calls of the stores' methods. */
  readonly calls: number;
  /** Milliseconds. */
  readonly duration: number;
  /** The failure, if there was one. */
  readonly failure: FuzzFailure | undefined;
}

/** A history that went otherwise than the model says. */
export interface FuzzFailure {
  /** The seed of its round. */
  readonly seed: number;
  /** Where in the round it is; with the seed it names this very history. */
  readonly path: string;
  /** The history, shrunk. */
  readonly steps: string;
  /** What went wrong. */
  readonly message: string;
}

const HISTORIES_A_ROUND = 25;
const STEPS_A_HISTORY = 40;
/** How long a failure may be shrunk, in milliseconds. */
const SHRINKING = 60_000;

/** Plays histories until the time is over, or one fails. */
export async function fuzz(harness: FuzzHarness, options: FuzzOptions): Promise<FuzzReport> {
  const { duration, seed, path, patience = 60_000, onRound } = options;
  const begun = performance.now();
  const counts = { calls: 0, histories: 0 };
  const observed: FuzzHarness = {
    ...harness,
    async setUp(): Promise<FuzzedBackend> {
      const backend = await harness.setUp();
      return {
        ...backend,
        open: async (options) => counting(await backend.open(options), counts) as StoreUnderTest,
      };
    },
  };
  let shrinkUntil: number | undefined;
  const property = fc.asyncProperty(
    fc.array(fuzzStep, { minLength: 1, maxLength: STEPS_A_HISTORY, size: "max" }),
    async (steps) => {
      // Time is up: what is left of the round passes unplayed. So does shrinking that takes too long.
      if (path === undefined && performance.now() > (shrinkUntil ?? begun + duration)) return;
      counts.histories++;
      try {
        await playHistory(observed, steps, patience, counts);
      } catch (error) {
        shrinkUntil ??= performance.now() + SHRINKING;
        throw error;
      }
    },
  );
  const report = (rounds: number, failure?: FuzzFailure): FuzzReport => ({
    rounds,
    ...counts,
    duration: performance.now() - begun,
    failure,
  });
  for (let round = 0;; round++) {
    const details = await fc.check(property, {
      seed: seed + round,
      numRuns: path === undefined ? HISTORIES_A_ROUND : 1,
      ...(path === undefined ? {} : { path, endOnFailure: true }),
    });
    if (details.failed) {
      return report(round, {
        seed: details.seed,
        path: details.counterexamplePath ?? "",
        steps: fc.stringify(details.counterexample?.[0]),
        message: describeError(details.errorInstance),
      });
    }
    onRound?.(report(round + 1));
    if (path !== undefined || performance.now() - begun >= duration) return report(round + 1);
  }
}

/** Plays one history over a backend of its own. */
async function playHistory(
  harness: FuzzHarness,
  steps: readonly FuzzStep[],
  patience: number,
  counts: Counts,
): Promise<void> {
  using rejections = new Rejections();
  await using context = new CaseContext(harness, { patience, numRuns: 1, seed: undefined, load: 1 });
  const history = await History.begin(context);
  let number = 1_000_000;
  for (const step of steps) {
    number += 10;
    await within(context, fc.stringify(step), take(step, number));
  }
  await within(context, "the comparison", history.compare());
  rejections.assertNone();

  async function take(step: FuzzStep, number: number): Promise<void> {
    const { stores, reference } = history;
    switch (step.kind) {
      case "call":
        return await callWith(step.call, [stores[step.on]!, stores[1 - step.on]!], reference, number);
      case "door":
        counts.calls++;
        return await passThrough(step.pass);
      case "replaced":
      case "restored":
      case "damaged":
      case "flushed":
        return await playFault(step, harness);
      case "concurrent":
      case "mutated":
      case "left":
      case "aborted":
      case "large":
      case "positions":
      case "followed":
      case "copied":
      case "closed":
      case "opened":
        return await play(step, { stores, reference, number, open: context.open });
      default:
        return await history.take(step as Step);
    }
  }
}

/** Rejections that nobody handled, noticed instead of ending the process. */
class Rejections implements Disposable {
  readonly #reasons: unknown[] = [];
  readonly #notice = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    this.#reasons.push(event.reason);
  };

  constructor() {
    globalThis.addEventListener("unhandledrejection", this.#notice);
  }

  assertNone(): void {
    assert.deepEqual(this.#reasons.map(describeError), [], "rejections that nobody handled");
  }

  [Symbol.dispose](): void {
    globalThis.removeEventListener("unhandledrejection", this.#notice);
  }
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${describeError(error.cause)}`;
  return `${error.stack ?? error}${cause}`;
}
