/**
 * One nats-server process: its launch, its signals, its end, and when it is ready.
 *
 * @module
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import type { JetStreamReport, NatsServer } from "./nats_server.ts";

const RESTART_TIMEOUT_MS = 60_000;
const POLL_INTERVAL_MS = 20;

/** One answer of the monitoring port; a suspended server gives none. */
const MONITORING_TIMEOUT_MS = 2_000;

/** What the process is made of. */
export interface NatsServerProcessInit {
  /** The server's unique name. */
  readonly name: string;
  /** Its own folder, which holds `nats.conf`, its log and its storage. */
  readonly folder: string;
  /** The path of nats-server. */
  readonly binary: string;
  /** How many servers its cluster has; 1 is a server of its own. */
  readonly size: number;
  /** The port for clients. */
  readonly client: number;
  /** The port for monitoring. */
  readonly monitoring: number;
  /** The port for WebSocket clients, if the configuration has one. */
  readonly websocket: number;
}

/** A nats-server with its folder, running or not. */
export class NatsServerProcess implements NatsServer {
  readonly name: string;
  readonly port: number;
  readonly #init: NatsServerProcessInit;
  #child: Deno.ChildProcess | undefined;
  /** Settles with the server's early complaints once the process has ended. */
  #ended: Promise<string> = Promise.resolve("not started");
  #running = false;

  constructor(init: NatsServerProcessInit) {
    this.#init = init;
    this.name = init.name;
    this.port = init.client;
  }

  get pid(): number {
    if (!this.#child || !this.#running) throw new Error(`${this.name} is not running`);
    return this.#child.pid;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#init.client}`;
  }

  get websocketUrl(): string {
    if (!Deno.readTextFileSync(this.#configuration).includes("\nwebsocket: ")) {
      throw new Error(`${this.name} was started without websocket: true`);
    }
    return `ws://127.0.0.1:${this.#init.websocket}`;
  }

  get monitoringUrl(): string {
    return `http://127.0.0.1:${this.#init.monitoring}`;
  }

  get storageFolder(): string {
    return join(this.#init.folder, "jetstream");
  }

  get #configuration(): string {
    return join(this.#init.folder, "nats.conf");
  }

  async log(): Promise<string> {
    return await Deno.readTextFile(join(this.#init.folder, "nats.log")).catch(() => "");
  }

  async jetStream(query = ""): Promise<JetStreamReport> {
    return await this.#monitor(`/jsz?${query}`) as JetStreamReport;
  }

  /** Starts the process without waiting for it. */
  launch(): void {
    const child = new Deno.Command(this.#init.binary, {
      args: ["-c", this.#configuration],
      stdin: "null",
      stdout: "null",
      stderr: "piped", // complaints from before the log file is open
    }).spawn();
    const watchdog = watch(child.pid, this.#init.folder);
    this.#child = child;
    this.#running = true;
    this.#ended = (async (): Promise<string> => {
      const complaints = await new Response(child.stderr).text();
      await child.status;
      if (this.#child === child) this.#running = false;
      await watchdog.release();
      return complaints;
    })();
  }

  /** A new cluster is ready with all its servers; a restarted server also while others are down. */
  async ready(deadline = performance.now() + RESTART_TIMEOUT_MS, whole = false): Promise<void> {
    while (!await this.#isReady(whole)) {
      if (!this.#running) {
        throw new Error(`${this.name} ended: ${await this.#ended}${(await this.log()).slice(-2_000)}`);
      }
      if (performance.now() > deadline) {
        throw new Error(`${this.name} was not ready in time: ${(await this.log()).slice(-2_000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
    }
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async shutdown(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async suspend(): Promise<void> {
    const { pid } = this;
    Deno.kill(pid, "SIGSTOP");
    // The signal stops one thread after the other; one that still runs would answer.
    while (!await isStopped(pid)) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  resume(): void {
    Deno.kill(this.pid, "SIGCONT");
  }

  async reconfigure(from: string, to: string, how: "reload" | "restart" = "reload"): Promise<void> {
    const text = await Deno.readTextFile(this.#configuration);
    if (!text.includes(from)) throw new Error(`The configuration of ${this.name} does not have ${from}`);
    await Deno.writeTextFile(this.#configuration, text.replace(from, to));
    if (how === "restart") await this.restart();
    else Deno.kill(this.pid, "SIGHUP");
  }

  async restart(): Promise<void> {
    await this.kill();
    const deadline = performance.now() + RESTART_TIMEOUT_MS;
    while (true) {
      this.launch();
      try {
        return await this.ready(deadline);
      } catch (error) {
        // Another test may have looked at the port at this very moment; it is ours by configuration.
        const collision = error instanceof Error && error.message.includes("address already in use");
        if (!collision || performance.now() > deadline) throw error;
        await Deno.remove(join(this.#init.folder, "nats.log"));
      }
    }
  }

  async backUp(): Promise<void> {
    await this.shutdown();
    await copyFolder(this.storageFolder, this.storageFolder + "-backup");
    await this.restart();
  }

  async restore(): Promise<void> {
    await this.shutdown();
    await copyFolder(this.storageFolder + "-backup", this.storageFolder);
    await this.restart();
  }

  async stop(): Promise<void> {
    await this.kill();
    await Deno.remove(this.#init.folder, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(signal: Deno.Signal): Promise<void> {
    if (this.#running) {
      try {
        this.#child?.kill(signal);
      } catch (error) {
        if (this.#running && !(error instanceof TypeError)) throw error; // it ended by itself meanwhile
      }
    }
    await this.#ended;
  }

  async #isReady(whole: boolean): Promise<boolean> {
    try {
      const { server_name } = await this.#monitor("/varz") as { server_name: string };
      // A process that lost the race for its port must not take the winner's answer for its own.
      if (server_name !== this.name) return false;
      const { status } = await this.#monitor("/healthz") as { status: string };
      if (status !== "ok") return false;
      if (this.#init.size === 1) return true;
      const { meta_cluster: meta } = await this.jetStream();
      if (!meta?.leader || meta.cluster_size !== this.#init.size) return false;
      // Only the leader knows whether all followers are there.
      if (!whole || meta.leader !== this.name) return true;
      const present = meta.replicas?.filter((replica) => replica.current && !replica.offline).length ?? 0;
      return present === this.#init.size - 1;
    } catch {
      return false; // not listening yet, or suspended
    }
  }

  async #monitor(path: string): Promise<unknown> {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), MONITORING_TIMEOUT_MS);
    const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    try {
      return await (await fetch(this.monitoringUrl + path, { signal: controller.signal, client })).json();
    } finally {
      clearTimeout(timer);
      client.close();
    }
  }
}

/** Whether every thread of a process has stopped. */
async function isStopped(pid: number): Promise<boolean> {
  if (Deno.build.os !== "linux") {
    await new Promise((resolve) => setTimeout(resolve, 50)); // no such report there; far longer than it takes
    return true;
  }
  for await (const task of Deno.readDir(`/proc/${pid}/task`)) {
    const status = await Deno.readTextFile(`/proc/${pid}/task/${task.name}/stat`);
    // "pid (command) state ...": the command itself may hold parentheses
    if (!status.slice(status.lastIndexOf(")")).startsWith(") T")) return false;
  }
  return true;
}

/**
 * Kills the server and removes its folder when this process dies without having stopped it (a killed test run): a
 * shell that waits for the end of its standard input, which only this process holds.
 */
function watch(pid: number, folder: string): { release(): Promise<void> } {
  if (Deno.build.os === "windows") return { release: () => Promise.resolve() };
  const shell = new Deno.Command("sh", {
    args: [
      "-c",
      `trap '' INT TERM HUP; read -r line || { kill -9 "$0"; sleep 1; rm -rf "$1"; }`,
      String(pid),
      folder,
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
    detached: true, // or the runtime kills it when it exits, before it has removed the folder
  }).spawn();
  return {
    async release(): Promise<void> {
      const writer = shell.stdin.getWriter();
      await writer.write(new TextEncoder().encode("released\n"));
      await writer.close();
      await shell.status;
    },
  };
}

/** Copies a folder in place of another one, file times included. */
async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.remove(to, { recursive: true }).catch(() => {});
  await cp(from, to, { recursive: true, preserveTimestamps: true });
}
