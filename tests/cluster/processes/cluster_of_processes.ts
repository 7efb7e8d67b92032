/**
 * Processes with nodes, and an observer in this process that neither leads nor owns.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { Coordinator } from "../../../src/cluster/mod.ts";
import { until } from "../../support/until.ts";
import { assertExclusive, readLogs } from "./merged_log.ts";

const RECOVERY_BOUND_MS = 60_000;

export class ClusterOfProcesses implements AsyncDisposable {
  readonly #cluster: string;
  readonly #folder: string;
  readonly #observer: Coordinator;
  readonly #replicas: number;
  readonly #processes = new Map<string, Deno.ChildProcess>();
  #started = 0;

  private constructor(cluster: string, folder: string, observer: Coordinator, replicas: number) {
    this.#cluster = cluster;
    this.#folder = folder;
    this.#observer = observer;
    this.#replicas = replicas;
  }

  static async open(url: string, replicas = 1): Promise<ClusterOfProcesses> {
    const cluster = `processes-${crypto.randomUUID()}`;
    const observer = await Coordinator.join(url, {
      cluster,
      name: "observer",
      weight: 0,
      candidate: false,
      shardCount: 24,
      ttl: 2000,
      maxClockSkew: 200,
      replicas,
      onWarning: () => {},
    });
    return new ClusterOfProcesses(cluster, await Deno.makeTempDir(), observer, replicas);
  }

  /** Starts a process with one node, or with several. */
  start(name: string, url: string, nodes = 1): void {
    const log = `${this.#folder}/${name}-${this.#started++}.log`;
    const script = fileURLToPath(new URL("./node.ts", import.meta.url));
    const args = ["run", "-A", script, url, this.#cluster, name, String(nodes), log, String(this.#replicas)];
    this.#processes.set(name, new Deno.Command(Deno.execPath(), { args }).spawn());
  }

  signal(name: string, signal: Deno.Signal): void {
    this.#processes.get(name)?.kill(signal);
  }

  async end(name: string, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const process = this.#processes.get(name);
    this.#processes.delete(name);
    process?.kill(signal);
    await process?.status;
  }

  /** The stream behind the cluster's bucket. */
  get stream(): string {
    return `KV_aether_cluster_${this.#cluster}`;
  }

  get leader(): string | undefined {
    return this.#observer.leader?.name;
  }

  /** Waits until these nodes, and no others, own all shards. */
  async owned(...names: string[]): Promise<void> {
    const owners = (): string =>
      [
        ...new Set(Array.from({ length: 500 }, (_, i) => this.#observer.ownerOf(`actor-${i}`)?.name ?? "-")),
      ].sort().join();
    const wanted = names.toSorted().join();
    await until(`owned by ${wanted}`, () => owners() === wanted, RECOVERY_BOUND_MS);
  }

  /** Checks what all processes did. */
  async assertExclusive(atLeast: number): Promise<void> {
    const actions = await readLogs(this.#folder);
    assertExclusive(actions);
    assert(actions.length > atLeast, `only ${actions.length} actions were seen`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes.values()) {
      process.kill("SIGCONT");
      process.kill("SIGKILL");
      await process.status;
    }
    await this.#observer.leave();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
