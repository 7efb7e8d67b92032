/** Hostile text in a log, and hostile or foreign arguments: nothing steers the terminal, and each message is a sentence. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  type CheckpointStore,
  Coordinator,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type Event,
  type EventStore,
  generateSealKey,
  InMemoryEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
  type Projection,
  projectOnce,
  runTimers,
} from "../../mod.ts";
import { listTimers } from "../../src/actor/mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import { seats } from "./programs/order.ts";

const MANY = fileURLToPath(new URL("./programs/many.ts", import.meta.url));
const DECIDERS = fileURLToPath(new URL("./programs/order.ts", import.meta.url));

/** What clears a screen, sets its title, rings, goes back, and turns the direction of what follows. */
const HOSTILE = "\u001b[2J\u001b]0;title\u0007\u009b31m\b\r\u007f\u0085\u2028\u061c\u200f\u202e\u2066x";
/** What a terminal obeys, but for the ends of lines. */
// deno-lint-ignore no-control-regex -- these are what must not be printed
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs command lines one after another, in one process. */
async function runAll(folder: string, lines: readonly (readonly string[])[]): Promise<Outcome[]> {
  const { stdout, stderr } = await processOf(await listed(folder, lines)).output();
  const [out, err] = [stdout, stderr].map(partsOf);
  return lines.map((_, at) => ({ code: out![at]!.code, out: out![at]!.text, err: err?.[at]?.text ?? "" }));
}

/** The same on a terminal, of which only the output is shown. */
async function runOnTerminal(folder: string, lines: readonly (readonly string[])[]): Promise<Outcome[]> {
  const { args } = wordsOf(await listed(folder, lines));
  const words = [Deno.execPath(), ...args].map((word) => `'${word}'`).join(" ");
  const command = `stty cols 120; ${words} 2>${folder}/notes`;
  const { stdout } = await new Deno.Command("script", {
    args: ["--quiet", "--return", "--command", command, "/dev/null"],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const parts = partsOf(new TextEncoder().encode(new TextDecoder().decode(stdout).replaceAll("\r\n", "\n")));
  return lines.map((_, at) => ({ code: parts[at]!.code, out: parts[at]!.text, err: "" }));
}

async function listed(folder: string, lines: readonly (readonly string[])[]): Promise<string> {
  const file = `${folder}/lines.json`;
  await Deno.writeTextFile(file, JSON.stringify(lines));
  return file;
}

function wordsOf(file: string): { readonly args: string[] } {
  return { args: ["run", "--quiet", "--no-prompt", "--no-check", "--unstable-kv", "-A", MANY, file] };
}

function processOf(file: string): Deno.Command {
  return new Deno.Command(Deno.execPath(), { ...wordsOf(file), env: { NO_COLOR: "1" }, stdin: "null" });
}

function partsOf(bytes: Uint8Array): { readonly code: number; readonly text: string }[] {
  const text = new TextDecoder().decode(bytes);
  return [...text.matchAll(/([^]*?)\n=== (\d+)\n/g)].map(([, text = "", code]) => ({
    code: Number(code),
    text,
  }));
}

type Checkpoints = CheckpointStore<undefined>;

/** Events, a parked event, a stopped projection and timers whose texts are all hostile. */
async function makeHostile(store: EventStore, checkpoints: Checkpoints): Promise<void> {
  const data = { [HOSTILE]: HOSTILE, dueAt: Date.now() - 3_600_000 };
  const event = { eventType: `Reserved ${HOSTILE}`, data, metadata: { userId: HOSTILE } };
  await store.append(`order-${HOSTILE}`, [event], { expectedVersion: 0 });
  await store.append(`seat-${HOSTILE}`, [{ eventType: "Reserved", data }], { expectedVersion: 0 });
  const handle = (): void => {
    throw new RangeError(HOSTILE);
  };
  const parking: Projection = { name: "totals", checkpoints, handle, failure: { retries: 0, then: "park" } };
  const stopping: Projection = {
    name: `stop ${HOSTILE}`,
    checkpoints,
    handle,
    failure: { retries: 0, then: "stop" },
  };
  await projectOnce(store, parking, { onWarning: () => {} });
  await projectOnce(store, stopping, { onWarning: () => {} }).catch(() => {});
  const timed = store as unknown as EventStore<Event<"Reserved", { dueAt: number }>>;
  await using _run = runTimers(timed, [seats], { now: () => new Date(Date.now() - 7_200_000) });
  await until("the index", async () => (await listTimers(store)).timers.length === 1);
}

/** Every command that prints what a log has. */
function looks(target: string): string[][] {
  return [
    ["show", target, `order-${HOSTILE}`],
    ["show", target, `seat-${HOSTILE}`, "--diff", "1..1"],
    ["show", target, `order-${HOSTILE}`, "--given"],
    ["show", target, `seat-${HOSTILE}`, "--decider", `${DECIDERS}#order`],
    ["show", target, `seat-${HOSTILE}`, "--decider", `${DECIDERS}#order`, "--diff", "0..1"],
    ["log", target],
    ["tail", target],
    ["actors", target],
    ["projections", target],
    ["parked", "list", target, "totals"],
    ["timers", target],
    ["timers", target, "--actors", `${DECIDERS}#seats`],
    ["verify", target],
    ["diagnose", target],
  ];
}

/** Commands that must explain something: the codes that they may end with. */
function refusals(target: string, positions: readonly string[]): (readonly [string[], readonly number[]])[] {
  const seal = ["--seal", `${HOSTILE}/none`, "--public-key", generateSealKey("example.com/o").publicKey];
  return [
    ...positions.flatMap((position): [string[], number[]][] => [
      [["log", target, `--after=${position}`], [1, 2]],
      [["tail", target, `--after=${position}`], [1, 2]],
      [["verify", target, `--expected-position=${position}`], [1, 2, 3]],
      [["parked", "retry", target, "--projection", `${DECIDERS}#totals`, "--yes", "--", position], [1, 2]],
      [["parked", "discard", target, "totals", "--yes", "--", position], [1, 2]],
    ]),
    ...[HOSTILE, "-1", "1.5", "1e3", "99999999999999999999", "NaN", "2026-99-99", "__proto__"].flatMap(
      (at): [string[], number[]][] => [
        [["show", target, `order-${HOSTILE}`, `--at=${at}`], [2, 3]],
        [["show", target, `order-${HOSTILE}`, `--diff=${at}..1`], [2, 3]],
        [["timers", target, `--until=${at}`], [2]],
      ],
    ),
    [["show", target, `none ${HOSTILE}`], [3]],
    [["parked", "retry", target, "--projection", `${DECIDERS}#nothing`, "--yes", "1"], [2]],
    [["show", target, `seat-${HOSTILE}`, "--decider", `${DECIDERS}#nothing`], [1]],
    [["show", target, "order", HOSTILE], [2]],
    [["show", target, "order", `--decider=${HOSTILE}`], [1, 2, 3]],
    [["log", target, `--limit=${HOSTILE}`], [2]],
    [["log", target, `--${HOSTILE}`], [2]],
    [[HOSTILE], [2]],
    [["log", `${target}${HOSTILE}`], [1, 2, 3]],
    [["log", target, `--namespace=${HOSTILE}`], [1, 2, 3]],
    [["parked", "list", target, `none ${HOSTILE}`], [3]],
    [["verify", target, ...seal], [1, 3]],
    [["seal", target, `${HOSTILE}/none`, `--key=${HOSTILE}`], [1, 2]],
    [["import", target, `${HOSTILE}.ndjson`, "--yes"], [1]],
    [["cluster", target, `--cluster=${HOSTILE}`], [2, 3]],
  ];
}

/** Positions that are none of the log's. */
async function foreignPositions(target: EventStore): Promise<string[]> {
  await using other = new InMemoryEventStore();
  const events = Array.from({ length: 3 }, () => ({ eventType: "T", data: null }));
  const foreign = (await other.append("a", events, { expectedVersion: 0 })).at(-1)!.position;
  const last = (await target.getLastPosition())!;
  const ahead = last.slice(0, 13) + "f".repeat(last.length - 13);
  return [
    foreign,
    ahead,
    last.slice(0, -1),
    `${last}0`,
    HOSTILE,
    "-1",
    "0",
    "x".repeat(10_000),
    "__proto__",
    "",
  ];
}

async function check(
  target: string,
  store: EventStore,
  folder: string,
  more: string[][] = [],
): Promise<void> {
  const lines = [...looks(target), ...more];
  for (const [run, where] of [[runAll, "a pipe"], [runOnTerminal, "a terminal"]] as const) {
    for (const [at, { out, code, err }] of (await run(folder, lines)).entries()) {
      const [hint] = [`${where}: ${lines[at]!.slice(0, 2).join(" ")}: ${code} ${JSON.stringify(out + err)}`];
      assert([0, 3].includes(code), hint);
      assert(!OBEYED.test(out + err), hint);
    }
  }
  const refused = refusals(target, await foreignPositions(store));
  const outcomes = await runAll(folder, refused.map(([args]) => args));
  for (const [at, [args, codes]] of refused.entries()) {
    const { code, out, err } = outcomes[at]!;
    const hint = JSON.stringify([args, code, out.slice(0, 2_000), err.slice(0, 2_000)]);
    assert(codes.includes(code), hint);
    assert(!OBEYED.test(out + err), hint);
    assert.doesNotMatch(err, /\n\s+at |fault of the program|TypeError: Cannot/, hint);
    assert.notEqual((out + err).trim(), "", hint);
  }
}

Deno.test("hostile text in a file of Deno KV, and hostile arguments, do not steer the terminal", async () => {
  await using folder = await kvFolder();
  await using store = await DenoKvEventStore.open(folder.file);
  await using checkpoints = await DenoKvCheckpoints.open(folder.file);
  await makeHostile(store, checkpoints as CheckpointStore<unknown> as CheckpointStore<undefined>);
  await check(folder.file, store, folder.path);
});

Deno.test("hostile text on a NATS server, and hostile arguments, do not steer the terminal", async () => {
  await using server = await startNatsServer();
  await using folder = await kvFolder();
  await using store = await JetStreamEventStore.open(server.url);
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  await makeHostile(store, checkpoints as CheckpointStore<unknown> as CheckpointStore<undefined>);
  await using _node = await Coordinator.join(server.url, {
    ...{ name: "a", address: HOSTILE, metadata: { note: HOSTILE }, shardCount: 16 },
  });
  await check(server.url, store, folder.path, [["cluster", server.url], ["cluster", server.url, "--json"]]);
});
