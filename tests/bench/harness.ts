/**
 * Benchmarks as ratios: ours beside a named baseline, in one run, in interleaved rounds.
 *
 * @module
 */

import process from "node:process";

/** What a ratio is to be. */
export interface Goal {
  /** Whether the ratio is to be at least, or at most, the value. */
  readonly op: ">=" | "<=";
  /** The bound. */
  readonly value: number;
}

/** A row of figures. */
export interface Row {
  /** What is measured. */
  readonly name: string;
  /** The unit of both figures. */
  readonly unit: string;
  /** What the ratio of ours to the baseline's is to be. A row without one only informs. */
  readonly goal?: Goal;
  /** What the figures are of, where the name does not say. */
  readonly baseline: string;
  /** What is missing on this machine, if the row cannot be measured. Asked once, before anything else. */
  readonly findMissing?: () => Promise<string | undefined>;
  /** Run once before the row is measured: it fills what the row reads, unless an earlier row has. */
  readonly prepare?: () => Promise<void>;
  /** Takes one measurement of ours. It verifies what it measured. */
  readonly measureOurs: () => Promise<number>;
  /** Takes one measurement of the baseline. */
  readonly measureBaseline: () => Promise<number>;
  /** Whether both are measured once before it counts, so that the code is compiled. @default {true} */
  readonly warmUp?: boolean;
  /** How many rounds. @default {5} */
  readonly rounds?: number;
}

/** A group of rows, and what has to be torn down behind them. */
export interface Group extends AsyncDisposable {
  /** Its rows, in the order they are to run. */
  readonly rows: readonly Row[];
}

/** What a group is to keep in mind. */
export interface GroupOptions {
  /** Whether to keep below 45 seconds. */
  readonly quick: boolean;
}

/** Something that is done at its first call, and never again. */
export function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => done ??= work();
}

/** The median of figures. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A figure, in few digits. */
function shown(value: number): string {
  if (value >= 10_000) return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(3);
}

/** The machine that the rows are taken on. Each row says it, because a ratio holds for such a machine alone. */
export const MACHINE = `${Deno.build.os} ${Deno.build.arch}, ${navigator.hardwareConcurrency} cores, ` +
  `${Math.round(Deno.systemMemoryInfo().total / 2 ** 30)} GiB, Deno ${Deno.version.deno}`;

/** Measures a row and says how it went. */
export async function run(group: string, row: Row, { quick }: GroupOptions): Promise<string> {
  const rounds = quick ? Math.min(3, row.rounds ?? 5) : row.rounds ?? 5;
  const ours: number[] = [];
  const baseline: number[] = [];
  const missing = await row.findMissing?.();
  if (missing !== undefined) return `${group}/${row.name} NOT MEASURED: ${missing}`;
  await row.prepare?.();
  if (row.warmUp !== false) {
    await row.measureOurs();
    await row.measureBaseline();
  }
  for (let round = 0; round < rounds; round++) {
    // Whoever goes first in a round may find the machine in another state: they take turns.
    if (round % 2 === 0) baseline.push(await row.measureBaseline());
    ours.push(await row.measureOurs());
    if (round % 2 === 1) baseline.push(await row.measureBaseline());
  }
  const ratios = ours.map((value, round) => value / baseline[round]!);
  const ratio = median(ratios);
  const { goal } = row;
  const met = !goal || (goal.op === ">=" ? ratio >= goal.value : ratio <= goal.value);
  const verdict = goal ? ` goal${goal.op}${goal.value} ${met ? "ok" : "MISSED"}` : "";
  return `${group}/${row.name} ours=${shown(median(ours))} baseline=${shown(median(baseline))} ${row.unit} ` +
    `ratio=${ratio.toFixed(2)}${verdict} ` +
    `(baseline: ${row.baseline}; ${rounds} rounds, ratios ${Math.min(...ratios).toFixed(2)} to ${
      Math.max(...ratios).toFixed(2)
    }; ${MACHINE}${quick ? ", quick" : ""})`;
}

/** Does something `count` times, so many at once. */
export async function concurrently(
  count: number,
  inFlight: number,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < count) await work(next++);
  }));
}

/** Runs something many times and returns how often a second it ran. */
export async function rate(count: number, work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return count / (performance.now() - begun) * 1_000;
}

/** How often a second of this process's processor time something is done: a machine that is busy counts less. */
export async function perProcessorSecond(count: number, work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return count / (user + system) * 1_000_000;
}

/** Runs something many times, one after the other, and returns the median time it took, in milliseconds. */
export async function medianTime(count: number, work: (index: number) => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const begun = performance.now();
    await work(index);
    times.push(performance.now() - begun);
  }
  return median(times);
}
