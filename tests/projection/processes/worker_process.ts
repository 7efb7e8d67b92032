/**
 * Worker processes, and several of them.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { RunState } from "../../../mod.ts";
import type { Job } from "./jobs.ts";
import { EXPECTED_END } from "./poison.ts";
import type { WorkerLine, WorkerOrder } from "./worker.ts";

/** A process that runs projections. */
export class WorkerProcess {
  readonly lines: WorkerLine[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #states = new Map<Job, RunState>();
  #hasEnded = false;

  constructor(order: WorkerOrder) {
    const program = fileURLToPath(new URL("./worker.ts", import.meta.url));
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", program, JSON.stringify(order)],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read();
    this.#process.status.then(() => this.#hasEnded = true);
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines.map((text) => JSON.parse(text) as WorkerLine)) {
        this.lines.push(line);
        if (line.say === "state") this.#states.set(line.job, line.state);
      }
    }
  }

  /** Whether the process has ended. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** How often it said this of an event. */
  count(say: "dwells" | "dwelt", position: string): number {
    return this.lines.filter((line) => line.say === say && line.position === position).length;
  }

  /** What its run of a projection was doing when it last said so. */
  stateOf(job: Job): RunState | undefined {
    return this.#states.get(job);
  }

  /** Whether it is the one that works on a projection, on any without a name. */
  works(job?: Job): boolean {
    const states = job === undefined ? [...this.#states.values()] : [this.stateOf(job)];
    return states.some((state) => state === "live" || state === "catching-up");
  }

  /** How it ends. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#process.status;
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    if (this.#hasEnded) return;
    try {
      this.#process.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended by itself at this moment
    }
  }

  /** Sends a signal that ends it, and waits until it has ended. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<Deno.CommandStatus> {
    this.signal(signal);
    if (signal === "SIGTERM") this.signal("SIGCONT");
    const status = await this.#process.status;
    await this.#reading;
    await this.#process.stdin.close().catch(() => {}); // it has nobody to read it any more
    return status;
  }
}

/** Workers that are killed when they are disposed of. */
export class Workers implements AsyncDisposable {
  readonly all: WorkerProcess[] = [];
  readonly #order: WorkerOrder;
  readonly #replacing: Promise<void>[] = [];
  #replaced = 0;

  constructor(order: WorkerOrder) {
    this.#order = order;
  }

  /** How many were started in the place of one that an event or its owner had ended. */
  get replaced(): number {
    return this.#replaced;
  }

  /** Starts one, and another one in its place when an event or its owner ends it. */
  start(): WorkerProcess {
    const worker = new WorkerProcess(this.#order);
    this.all.push(worker);
    this.#replacing.push(this.#replace(worker));
    return worker;
  }

  /** Ends one, and forgets it. */
  async end(worker: WorkerProcess, signal: "SIGKILL" | "SIGTERM"): Promise<Deno.CommandStatus> {
    this.#forget(worker);
    return await worker.end(signal);
  }

  async #replace(worker: WorkerProcess): Promise<void> {
    const { code } = await worker.status;
    if (code !== EXPECTED_END || !this.#forget(worker)) return;
    this.#replaced++;
    this.start();
    await worker.end("SIGKILL");
  }

  /** Returns whether it was one of them. */
  #forget(worker: WorkerProcess): boolean {
    const index = this.all.indexOf(worker);
    if (index >= 0) this.all.splice(index, 1);
    return index >= 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.splice(0).map((worker) => worker.end("SIGKILL")));
    await Promise.all(this.#replacing);
  }
}
