/**
 * Processes that share the segments of a projection are killed, suspended, ended and started, while its segments are split and merged.
 * `AETHER_CHAOS_ROUNDS=n` repeats the faults n times; `AETHER_CHAOS_SEED=n` draws them again as they were.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { changeSegments, DenoKvCheckpoints, DenoKvEventStore } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { Random } from "../support/random.ts";
import type { HandledEntry, SegmentOrder } from "./processes/segment_worker.ts";
import { judgeSegments } from "./segments_check.ts";
import { add, type Counted, until } from "./support.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
const SEED = Number(Deno.env.get("AETHER_CHAOS_SEED") ?? Date.now() % 1_000_000);
const ACTORS = Array.from({ length: 12 }, (_, index) => `actor-${index}`);
const TTL = 2_000;

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

class Process {
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  state = "";

  constructor(order: SegmentOrder) {
    const program = fileURLToPath(new URL("./processes/segment_worker.ts", import.meta.url));
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", program, JSON.stringify(order)],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.state = text.trim().split("\n").at(-1)!;
    }
  }

  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it had ended: its number of segments was an old one
    }
  }

  async end(signal: Deno.Signal): Promise<void> {
    this.signal(signal);
    await this.#child.status;
    await this.#reading;
  }
}

Deno.test("segments: 0 lost, 0 twice, in order, while processes are killed, suspended, ended and started and segments change", async () => {
  const random = new Random(SEED);
  console.error(`AETHER_CHAOS_SEED=${SEED} AETHER_CHAOS_ROUNDS=${ROUNDS}`);
  await using folder = await kvFolder();
  const { file } = folder;
  await using store = await DenoKvEventStore.open<Counted>(file, { pollInterval: 20 });
  using kv = await Deno.openKv(file);
  await using checkpoints = await DenoKvCheckpoints.open(kv);
  let segments = 4;
  const start = (): Process => new Process({ file, segments });
  let processes = [start(), start()];
  let isOver = false;
  const adding = (async (): Promise<void> => {
    while (!isOver) {
      await add(store, 4, [random.pick(ACTORS), random.pick(ACTORS)]);
      await pause(4);
    }
  })();
  const change = async (next: number): Promise<void> => {
    await changeSegments({ name: "handled", checkpoints }, next);
    segments = next;
  };
  const faults: Readonly<Record<string, () => Promise<void>>> = {
    split: () => segments < 32 ? change(segments * 2) : change(segments / 4),
    kill: async () => {
      const [process] = processes.splice(Math.floor(random.next() * processes.length), 1);
      await process!.end("SIGKILL");
      processes.push(start());
    },
    suspend: async () => {
      const process = random.pick(processes);
      process.signal("SIGSTOP");
      await pause(random.between(200, TTL + 800));
      process.signal("SIGCONT");
    },
    merge: () => segments > 1 ? change(segments / 2) : change(segments * 4),
    leave: async () => {
      processes.push(start());
      await pause(random.between(100, 600));
      await processes.shift()!.end("SIGTERM");
    },
  };
  try {
    await until(
      "they work",
      () => processes.every(({ state }) => state === "live" || state === "catching-up"),
    );
    for (let round = 0; round < ROUNDS; round++) {
      for (const fault of Object.values(faults)) {
        await fault();
        await pause(random.between(20, 300));
        if (random.chance(0.5)) await (random.chance(0.5) ? faults["split"]! : faults["merge"]!)();
      }
      if (round === ROUNDS - 1) break;
      // A process that was started with the number before a change has ended.
      processes.push(start());
      while (processes.length > 3) await processes.shift()!.end("SIGTERM");
    }
    processes.push(start()); // the others may have ended
    isOver = true;
    await adding;
    const log = new Map<string, string[]>();
    for await (const { actorId, position } of store.readAll()) {
      log.set(actorId, [...log.get(actorId) ?? [], position]);
    }
    const handled = async (): Promise<Map<string, readonly string[]>> => {
      const model = new Map<string, readonly string[]>();
      for await (const { key, value } of kv.list<HandledEntry>({ prefix: ["handled"] })) {
        model.set(key[1] as string, value.positions);
      }
      return model;
    };
    await until("nothing is missing", async () => judgeSegments(log, await handled()).lost.length === 0);
    assert.deepEqual(judgeSegments(log, await handled()), { lost: [], repeated: [], disordered: [] });
  } finally {
    isOver = true;
    await adding;
    await Promise.all(processes.map((process) => process.end("SIGKILL")));
    processes = [];
  }
});

Deno.test("segments: a process that was killed is replaced within its time to live and a second", async () => {
  await using folder = await kvFolder();
  const { file } = folder;
  await using store = await DenoKvEventStore.open<Counted>(file, { pollInterval: 20 });
  using kv = await Deno.openKv(file);
  await using checkpoints = await DenoKvCheckpoints.open(kv);
  const owners = async (): Promise<Set<string>> => {
    const records = (await checkpoints.list()).map(({ value }) => JSON.parse(value));
    return new Set(records.flatMap(({ owner, layout }) => layout || !owner ? [] : [owner.id]));
  };
  const first = new Process({ file, segments: 4 });
  const second = new Process({ file, segments: 4 });
  try {
    await add(store, 24, ACTORS);
    await until("both work", async () => (await owners()).size === 2);
    await first.end("SIGKILL");
    const killed = performance.now();
    await until("one has all", async () => (await owners()).size === 1);
    const took = performance.now() - killed;
    console.error(`replaced after ${Math.round(took)} ms, of ${TTL + 1_000} that are promised`);
    assert(took < 10 * (TTL + 1_000));
  } finally {
    await Promise.all([first, second].map((process) => process.end("SIGKILL")));
  }
});

Deno.test("segments: the check finds an event that was skipped at a split, a stolen segment that writes, and order lost at a merge", () => {
  const log = new Map([["a", ["1", "3", "5"]], ["b", ["2", "4"]]]);
  const judge = (a: readonly string[], b: readonly string[] = ["2", "4"]): unknown =>
    judgeSegments(log, new Map([["a", a], ["b", b]]));
  const sound = { lost: [], repeated: [], disordered: [] };
  assert.deepEqual(judge(["1", "3", "5"]), sound);
  assert.deepEqual(judge(["1", "5"]), { ...sound, lost: ["3"] });
  assert.deepEqual(judge(["1", "3", "3", "5"]), { ...sound, repeated: ["3"] });
  assert.deepEqual(judge(["3", "1", "5"]), { ...sound, disordered: ["a"] });
  assert.deepEqual(judge(["1", "3", "5"], []), { ...sound, lost: ["2", "4"] });
});
