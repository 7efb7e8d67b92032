/**
 * The benchmarks of two checkouts side by side: what a change costs or gains.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { median } from "./harness.ts";

/** How often each checkout is run, one after the other: the first one in a round changes with each round. */
const ROUNDS = 3;

/** A row of the output of `main.ts`: its name and its ratio. */
const ROW = /^(\S+\/.*?) ours=.* ratio=([\d.]+)/;

/** A row's ratios by checkout. */
interface Compared {
  readonly here: number[];
  readonly there: number[];
}

/**
 * Runs the same benchmarks in this checkout and in another one, and prints a line for each row that both have: the median
 * ratio of both, the change, and the spread of the other checkout's own ratios.
 *
 * @param other The folder of the other checkout.
 * @param args What `main.ts` is given: groups, `--quick` and `--only=...`.
 * @throws {Error} If a run fails.
 */
export async function compare(other: string, args: readonly string[]): Promise<void> {
  const rows = new Map<string, Compared>();
  const here = fileURLToPath(new URL("../../", import.meta.url));
  for (let round = 0; round < ROUNDS; round++) {
    const order = round % 2 === 0 ? ["there", "here"] as const : ["here", "there"] as const;
    for (const side of order) {
      for (const [name, ratio] of await runIn(side === "here" ? here : other, args)) {
        const row = rows.get(name) ?? { here: [], there: [] };
        row[side].push(ratio);
        rows.set(name, row);
      }
    }
  }
  for (const [name, { here, there }] of rows) {
    if (here.length === 0 || there.length === 0) continue;
    const [now, before] = [median(here), median(there)];
    const spread = Math.max(...there) / Math.min(...there) - 1;
    console.log(
      `${name} ratio=${now.toFixed(2)} before=${before.toFixed(2)} change=${percent(now / before - 1)} ` +
        `(spread before ${percent(spread)})`,
    );
  }
}

async function runIn(folder: string, args: readonly string[]): Promise<[name: string, ratio: number][]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "tests/bench/main.ts", ...args],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  if (code !== 0) throw new Error(`The benchmarks in ${folder} failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).split("\n").flatMap((line) => {
    const [, name, ratio] = ROW.exec(line) ?? [];
    return name === undefined ? [] : [[name, Number(ratio)]];
  });
}

const percent = (part: number): string => `${part >= 0 ? "+" : ""}${(part * 100).toFixed(0)} %`;
