/**
 * The processes of the whole-system test: three NATS servers and three services, which can be killed, suspended and
 * restarted.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type KvFolder, kvFolder } from "../support/kv_file.ts";
import { type NatsCluster, startNatsCluster } from "../support/nats_server.ts";

/** How long a service may take until it is ready, in milliseconds. */
const READY = 120_000;

/** A service that runs. */
interface Service {
  readonly process: Deno.ChildProcess;
  readonly address: string;
}

/** Everything that runs. */
export class World implements AsyncDisposable {
  /** The NATS servers. */
  readonly nats: NatsCluster;
  readonly #folder: KvFolder;
  readonly #cluster = `system-${crypto.randomUUID()}`;
  readonly #processes = new Set<Deno.ChildProcess>();
  readonly #services = new Map<string, Service>();

  private constructor(nats: NatsCluster, folder: KvFolder) {
    this.nats = nats;
    this.#folder = folder;
  }

  /** Starts the NATS servers. */
  static async open(): Promise<World> {
    return new World(await startNatsCluster(), await kvFolder());
  }

  /** The folder of the services' logs. */
  get folder(): string {
    return this.#folder.path;
  }

  /** The database of the read models. */
  get database(): string {
    return this.#folder.file;
  }

  /** Where the services listen. */
  get addresses(): readonly string[] {
    return [...this.#services.values()].map(({ address }) => address);
  }

  /** Starts a service, and waits until it is ready. */
  async start(name: string): Promise<void> {
    const script = fileURLToPath(new URL("./service.ts", import.meta.url));
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, this.nats.url, this.#cluster, name, this.folder, this.database],
      stdout: "piped",
    }).spawn();
    this.#processes.add(process);
    const late = setTimeout(() => process.kill("SIGKILL"), READY);
    const address = await firstLine(process.stdout);
    clearTimeout(late);
    if (address === undefined) {
      const { code } = await process.status;
      assert.fail(`${name} has ended with code ${code} before it was ready`);
    }
    this.#services.set(name, { process, address });
  }

  /** Sends a signal to a service. */
  signal(name: string, signal: Deno.Signal): void {
    this.#services.get(name)?.process.kill(signal);
  }

  /** Ends a service, and waits until it has ended. */
  async end(name: string, signal: "SIGKILL" | "SIGTERM"): Promise<Deno.CommandStatus> {
    const service = this.#services.get(name);
    assert(service, `${name} does not run`);
    this.#services.delete(name);
    service.process.kill(signal);
    const status = await service.process.status;
    this.#processes.delete(service.process);
    return status;
  }

  /** Ends all, and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) {
      try {
        process.kill("SIGKILL");
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // it has ended by itself
      }
      await process.status;
    }
    await this.nats.stop();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** The first line that a process says; nothing if it ends before. */
async function firstLine(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string | undefined> {
  let text = "";
  for await (const chunk of output.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("\n")) return text.split("\n")[0];
  }
  return undefined;
}
