/** Real processes that share a projection on Deno KV, killed, suspended and woken up. */

import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { waitFor } from "../../mod.ts";
import { add, kvPlace, sumsIn, sumsOf, until } from "./support.ts";

/** How many times a worker is killed: a handful, and hundreds in `deno task test:chaos`. */
const KILLS = 3 * Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);

/** A process that runs the projection. */
class WorkerProcess {
  readonly lines: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;

  constructor(file: string) {
    const program = fileURLToPath(new URL("../support/programs/projection_worker.ts", import.meta.url));
    const args = ["run", "--allow-all", "--no-check", program, file];
    this.#process = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "inherit" }).spawn();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.lines.push(...lines);
    }
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Sends a signal that ends it, and waits until it has ended. */
  async end(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    this.#process.kill(signal);
    const status = await this.#process.status;
    await this.#reading;
    return status;
  }

  /** Whether it has begun to handle an event. */
  get works(): boolean {
    return this.lines.some((line) => line.startsWith("dwells"));
  }
}

Deno.test("Deno KV: workers killed at random moments leave every event counted once", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv, file } = place;
  const workers = [new WorkerProcess(file), new WorkerProcess(file)];
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      await add(store, 10);
      await until("one of them works", () => workers.some(({ works }) => works));
      const working = workers.findIndex(({ works }) => works);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
      await workers[working]!.end("SIGKILL");
      workers[working] = new WorkerProcess(file);
    }
    await add(store, 10);
    const last = (await store.getLastPosition())!;
    await waitFor(store, { name: "sums", checkpoints }, last, { timeout: 60_000 });
    assert.deepEqual(await sumsIn(kv), await sumsOf(store));
  } finally {
    await Promise.all(workers.map((worker) => worker.end("SIGKILL")));
  }
});

Deno.test("Deno KV: one works; the other takes over at once after a clean stop, and within the lease after a suspension; woken up, the first writes nothing", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv, file } = place;
  const workers: WorkerProcess[] = [];
  const start = async (): Promise<WorkerProcess> => {
    const worker = new WorkerProcess(file);
    workers.push(worker);
    await until("it has started", () => worker.lines.includes("started"));
    return worker;
  };
  const projection = { name: "sums", checkpoints };
  const caughtUp = async (): Promise<void> => {
    await waitFor(store, projection, (await store.getLastPosition())!, { timeout: 60_000 });
  };
  try {
    const first = await start();
    await add(store, 5);
    await caughtUp();
    const second = await start();
    await add(store, 5);
    await caughtUp();
    assert.deepEqual([first.works, second.works], [true, false]);

    // Suspended in the middle of a handler, whose writes wait for their commit.
    const removed = (await add(store, 5)).at(-1)!;
    await until("it is in the middle", () => first.lines.includes(`dwells ${removed.position}`));
    first.signal("SIGSTOP");
    await caughtUp();
    assert.ok(second.lines.includes(`dwelt ${removed.position}`), "the other one has done it");
    const third = await start();
    first.signal("SIGCONT");
    await until("the first one has gone on", () => first.lines.includes(`dwelt ${removed.position}`));
    await add(store, 10);
    await caughtUp();
    assert.deepEqual(await sumsIn(kv), await sumsOf(store));

    const stopping = performance.now();
    const { code } = await second.end("SIGTERM");
    assert.equal(code, 0);
    await add(store, 5);
    await caughtUp();
    assert.ok(performance.now() - stopping < 20_000);
    assert.ok(first.lines.length > 0 && third.lines.length > 0);
    assert.deepEqual(await sumsIn(kv), await sumsOf(store));
  } finally {
    await Promise.all(workers.map((worker) => worker.end("SIGKILL").catch(() => {})));
  }
});
