/** Three NATS servers and three hosts, which can be killed, suspended, cut off and restarted. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type NatsCluster, startNatsCluster } from "../../support/nats_server.ts";
import { type Proxy, startProxy } from "../../support/proxy.ts";

const PROGRAM = fileURLToPath(new URL("host.ts", import.meta.url));

/** Everything that runs. */
export class World implements AsyncDisposable {
  /** The NATS servers. */
  readonly nats: NatsCluster;
  readonly #proxies: ReadonlyMap<string, Proxy>;
  readonly #processes = new Map<string, Deno.ChildProcess>();

  private constructor(nats: NatsCluster, proxies: ReadonlyMap<string, Proxy>) {
    this.nats = nats;
    this.#proxies = proxies;
  }

  /** Starts the servers. */
  static async open(names: readonly string[]): Promise<World> {
    const nats = await startNatsCluster();
    const proxyOf = (index: number): Proxy => startProxy(nats.servers[index % nats.servers.length]!.url);
    return new World(nats, new Map(names.map((name, index) => [name, proxyOf(index)])));
  }

  /** Starts a host, and waits until it owns something. */
  async start(name: string): Promise<void> {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", PROGRAM, this.#proxies.get(name)!.url, "3", name],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#processes.set(name, process);
    const reader = process.stdout.getReader();
    const { value } = await reader.read();
    assert.match(new TextDecoder().decode(value), /ready/, `${name} has ended`);
    await reader.cancel();
  }

  /** Sends a signal to a host. */
  signal(name: string, signal: Deno.Signal): void {
    this.#processes.get(name)!.kill(signal);
  }

  /** Ends a host: at once, or in order. */
  async end(name: string, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const process = this.#processes.get(name)!;
    this.#processes.delete(name);
    process.kill(signal);
    await process.status;
  }

  /** Cuts a host off for a time, in milliseconds. */
  async cut(name: string, duration: number): Promise<void> {
    const proxy = this.#proxies.get(name)!;
    await proxy.cut();
    await new Promise((resolve) => setTimeout(resolve, duration));
    proxy.resume();
  }

  /** Ends all. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes.values()) {
      process.kill("SIGCONT");
      process.kill("SIGKILL");
      await process.status;
    }
    for (const proxy of this.#proxies.values()) await proxy.close();
    await this.nats.stop();
  }
}
