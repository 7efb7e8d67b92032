/**
 * Processes that share the segments of a projection are killed, suspended, ended and started, while its segments are split and merged.
 * `AETHER_CHAOS_ROUNDS=n` repeats the faults n times; `AETHER_CHAOS_SEED=n` draws them again as they were.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import {
  changeSegments,
  type CheckpointStore,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type EventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
  PostgresCheckpoints,
  projectionStatuses,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { startPostgresServer } from "../support/postgres_server.ts";
import { Random } from "../support/random.ts";
import { HANDLED_TABLE, type SegmentOrder } from "./processes/segment_worker.ts";
import {
  handledInKv,
  judgeSegments,
  type Positions,
  positionsIn,
  type SegmentFaults,
} from "./segments_check.ts";
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

/** Where events, checkpoints and the read model are. */
interface Scene extends AsyncDisposable {
  readonly store: EventStore<Counted>;
  readonly checkpoints: CheckpointStore<unknown>;
  /** What its processes do. */
  readonly order: SegmentOrder;
  /** What they have handled: the positions of each actor, in order. */
  handled(): Promise<Positions>;
  /** Whether the read model commits together with the checkpoint, so that nothing is repeated. */
  readonly isExactlyOnce: boolean;
}

/** The scenes; nothing if there is no PostgreSQL. */
const SCENES: Readonly<Record<string, () => Promise<Scene | undefined>>> = {
  "Deno KV": async () => {
    await using resources = new AsyncDisposableStack();
    const { file } = resources.use(await kvFolder());
    const kv = resources.adopt(await Deno.openKv(file), (kv) => kv.close());
    const store = resources.use(await DenoKvEventStore.open<Counted>(file, { pollInterval: 20 }));
    const checkpoints = resources.use(await DenoKvCheckpoints.open(kv));
    const owned = resources.move();
    return {
      ...{ store, checkpoints, order: { file }, isExactlyOnce: true, handled: () => handledInKv(kv) },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
  "checkpoints in JetStream": async () => {
    await using resources = new AsyncDisposableStack();
    const { file } = resources.use(await kvFolder());
    const kv = resources.adopt(await Deno.openKv(file), (kv) => kv.close());
    const { url } = resources.use(await startNatsServer());
    const store = resources.use(await JetStreamEventStore.open<Counted>(url));
    const checkpoints = resources.use(await JetStreamCheckpoints.open(url));
    const owned = resources.move();
    return {
      ...{ store, checkpoints, order: { file, url }, isExactlyOnce: false, handled: () => handledInKv(kv) },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
  "checkpoints in PostgreSQL": async () => {
    await using resources = new AsyncDisposableStack();
    const server = await startPostgresServer("segments with checkpoints in PostgreSQL");
    if (!server) return undefined;
    resources.use(server);
    const { url } = resources.use(await startNatsServer());
    const sql = resources.adopt(
      postgres(server.url, { max: 2, onnotice: () => {} }),
      (sql) => sql.end({ timeout: 1 }),
    );
    await sql.unsafe(HANDLED_TABLE);
    const store = resources.use(await JetStreamEventStore.open<Counted>(url));
    const checkpoints = resources.use(await PostgresCheckpoints.open(sql));
    const handled = async (): Promise<Positions> => {
      const rows =
        await sql`SELECT actor, array_agg(position ORDER BY n) AS positions FROM handled GROUP BY actor`;
      return new Map(rows.map((row) => [row["actor"] as string, row["positions"] as string[]]));
    };
    const owned = resources.move();
    return {
      ...{ store, checkpoints, order: { file: "", url, postgres: server.url }, isExactlyOnce: true, handled },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};

/** What the records say, and in which state the processes are: it tells a lag from a segment that nobody works on. */
async function shown({ store, checkpoints }: Scene, processes: readonly Process[]): Promise<string> {
  const statuses = await projectionStatuses(store, checkpoints);
  const records = (await checkpoints.list()).map(({ id, value }) => {
    const { position, owner, closed, failing, layout, workers, savedAt } = JSON.parse(value);
    const name = id!.name.replaceAll("\u001f", " ");
    return JSON.stringify({ name, position, owner, closed, failing, layout, workers, savedAt });
  });
  const segments = statuses.flatMap(({ segments = [] }) => segments).map((
    { index, lag, handled, rate, problem },
  ) => JSON.stringify({ index, lag, handled, rate, problem: problem?.message }));
  return [
    `now: ${new Date().toISOString()}; the last position: ${await store.getLastPosition()}`,
    `processes: ${processes.map(({ state }) => state).join(", ")}`,
    ...records,
    ...segments,
  ].join("\n");
}

/** Processes work on a scene while faults happen to them; returns what is wrong at the end. */
async function underFaults(
  scene: Scene,
  seed: number,
): Promise<{ readonly faults: SegmentFaults; readonly count: number; readonly state: string }> {
  const random = new Random(seed);
  const { store, checkpoints } = scene;
  let segments = 4;
  let count = 0;
  const start = (): Process => new Process({ ...scene.order, segments });
  let processes = [start(), start()];
  let isOver = false;
  const adding = (async (): Promise<void> => {
    while (!isOver) {
      await add(store, 4, [random.pick(ACTORS), random.pick(ACTORS)]);
      await pause(20);
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
      60_000,
    );
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, fault] of Object.entries(faults)) {
        await fault();
        if (name === "kill" || name === "suspend") count++;
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
    const log = await positionsIn(store);
    const judged = async (): Promise<SegmentFaults> => {
      const handled = await scene.handled();
      if (scene.isExactlyOnce) return judgeSegments(log, handled);
      // What a process had handled and not committed is handled again by its successor: the first time counts.
      const first = Array.from(handled, ([actor, positions]) => [actor, [...new Set(positions)]] as const);
      return judgeSegments(log, new Map(first));
    };
    let missing = Infinity;
    // As long as it gets less: the machine may be slow, and there may be many.
    for (let lost; (lost = (await judged()).lost.length) > 0 && lost < missing; missing = lost) {
      const before = lost;
      await until("less is missing", async () => (await judged()).lost.length < before, 60_000)
        .catch(() => {});
    }
    const found = await judged();
    const isSound = Object.values(found).every((list) => list.length === 0);
    return { faults: found, count, state: isSound ? "" : await shown(scene, processes) };
  } finally {
    isOver = true;
    await adding;
    await Promise.all(processes.map((process) => process.end("SIGKILL")));
    processes = [];
  }
}

for (const [name, open] of Object.entries(SCENES)) {
  Deno.test(`segments, ${name}: nothing is lost, repeated or out of order while processes are killed, suspended, ended and started and segments change`, async () => {
    await using scene = await open();
    if (!scene) return;
    const { faults, count, state } = await underFaults(scene, SEED);
    console.error(
      `AETHER_CHAOS_SEED=${SEED} AETHER_CHAOS_ROUNDS=${ROUNDS}: ${count} kills and suspensions\n${state}`,
    );
    assert.deepEqual(faults, { lost: [], repeated: [], disordered: [] });
  });
}

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
