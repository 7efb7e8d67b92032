/**
 * The command line on a file of a million events: how long a look at an actor takes from the start of the process, next to
 * an empty program, and how much memory it takes to page through all of them. It is started as its guide installs it.
 *
 * Where the time of a look goes, of about 55 ms of the processor above an empty program (27 ms): 35 modules of the reader
 * and the command 20 ms, opening the database 10 ms, inflating and decoding the commits, and what of the runtime is loaded
 * when it is first used, the rest. Without the flag for lazy imports it is 85 ms: Deno looks at each module that any
 * command may import.
 *
 * What memory the pages take depends on how many commits their events are in, and not on who reads the output: about 12 MiB
 * are in use at any time, and an empty program has 60. Of commits of 20 events, and of single events, V8 moves more of what is
 * soon not used any more to its old generation, and collects that at 75 MiB: 181 and 192 MiB, and 115 of commits of 1,000. With
 * the flag for size, which the guide installs it with, 94 and 101.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore } from "../../mod.ts";
import { logPageRows } from "./cli_log_page.ts";
import { pageRows } from "./cli_page.ts";
import { concurrently, type Group, type GroupOptions, once } from "./harness.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/mod.ts", import.meta.url));
/** The flags of its installation. */
const FLAGS = ["--unstable-lazy-dynamic-imports", "--v8-flags=--optimize-for-size"];
const ACTORS = 1_000;
const PER_COMMIT = 20;
const IN_FLIGHT = 256;
/** How many rows a page has: the most that the command line prints. */
const PAGE = 100_000;
const BYTES_PER_MIB = 1_048_576;
/** What the pages may take, in MiB. */
const MEMORY = 150;
/** How often the memory of a process is looked at, in milliseconds. */
const LOOK_INTERVAL = 20;

/** The rows of the command line. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const total = quick ? 100_000 : 1_000_000;
  const folder = await Deno.makeTempDir({ prefix: "aether-cli-" });
  const file = `${folder}/events.kv`;
  // Next to the package's configuration, which Deno reads for both.
  const empty = fileURLToPath(new URL("./empty_program.ts", import.meta.url));
  const prepare = once(() => fill(file, total));
  const logPages = logPageRows(file, total / ACTORS, prepare);
  const pages = pageRows();
  return {
    rows: [
      {
        name: "show-cold",
        unit: "ms",
        goal: { op: "<=", value: 2.5 },
        baseline: "an empty program in the same folder, with the same flags",
        rounds: 15,
        prepare,
        measureOurs: () => timeOf([PROGRAM, "show", file, "order-7", "--limit", "5"], "OrderPlaced"),
        measureBaseline: () => timeOf([empty], ""),
      },
      {
        name: "log-pages-memory",
        unit: "MiB",
        goal: { op: "<=", value: 1 },
        baseline: "the bound, by pages of 100,000 rows",
        rounds: 1,
        warmUp: false,
        prepare,
        measureOurs: () => memoryOfPages(file, total),
        measureBaseline: () => Promise.resolve(MEMORY),
      },
      ...logPages.rows,
      ...pages.rows,
    ],
    async [Symbol.asyncDispose](): Promise<void> {
      await pages[Symbol.asyncDispose]();
      await logPages[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function fill(file: string, total: number): Promise<void> {
  await using store = await DenoKvEventStore.open(file);
  const events = Array.from({ length: PER_COMMIT }, (_, index) => ({
    eventType: "OrderPlaced",
    data: { customer: `customer-${index}`, items: [{ sku: "A-1", count: index }], note: "x".repeat(100) },
  }));
  await concurrently(
    total / PER_COMMIT,
    IN_FLIGHT,
    (commit) => store.append(`order-${commit % ACTORS}`, events, { expectedVersion: "any" }),
  );
}

function run(args: readonly string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "--unstable-kv", ...FLAGS, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
}

/** How long a process takes from its start to its end, in milliseconds. */
async function timeOf(args: readonly string[], expected: string): Promise<number> {
  const begun = performance.now();
  const { success, stdout } = await run(args).output();
  const time = performance.now() - begun;
  assert(success && new TextDecoder().decode(stdout).includes(expected));
  return time;
}

/** The most memory that the process of a page has, in MiB. */
async function memoryOfPages(file: string, total: number): Promise<number> {
  let most = 0;
  let rows = 0;
  for (let after = "start"; rows < total;) {
    await using page = run([PROGRAM, "log", file, "--after", after, "--limit", String(PAGE), "--json"])
      .spawn();
    const timer = setInterval(() => most = Math.max(most, residentOf(page.pid)), LOOK_INTERVAL);
    let rest = "";
    try {
      for await (const text of page.stdout.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        rows += lines.length;
        if (lines.length > 0) after = JSON.parse(lines.at(-1)!).position;
      }
    } finally {
      clearInterval(timer);
    }
    assert((await page.status).success);
  }
  assert.equal(rows, total);
  return most / BYTES_PER_MIB;
}

function residentOf(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1_024;
  } catch {
    return 0; // it has ended
  }
}
