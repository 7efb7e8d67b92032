/**
 * The ways between the servers of a cluster, each through a proxy of its own, so that one server can be cut off from the
 * others while its clients still reach it.
 *
 * @module
 */
import { type Proxy, startProxy } from "./proxy.ts";

/** Routes between servers. Disposing of them closes all. */
export class NatsRoutes implements AsyncDisposable {
  readonly #ports: readonly number[];
  readonly #proxies: readonly (readonly (Proxy | undefined)[])[];

  /** @param ports The cluster ports of the servers. */
  constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.#proxies = ports.map((_, from) =>
      ports.map((port, to) =>
        from === to ? undefined : startProxy(`nats://127.0.0.1:${port}`, { natsProtocol: false })
      )
    );
  }

  /** What a server's configuration must name as its routes. */
  of(server: number): string[] {
    return this.#proxies[server]!.map((proxy, to) => proxy?.url ?? `nats://127.0.0.1:${this.#ports[to]}`);
  }

  /** Cuts a server off from all others. */
  async cut(server: number): Promise<void> {
    await Promise.all(this.#around(server).map((proxy) => proxy.cut()));
  }

  /** Ends the cut. */
  resume(server: number): void {
    for (const proxy of this.#around(server)) proxy.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#proxies.flat().map((proxy) => proxy?.close()));
  }

  #around(server: number): Proxy[] {
    const from = this.#proxies[server]!;
    const to = this.#proxies.map((row) => row[server]);
    return [...from, ...to].filter((proxy) => proxy !== undefined);
  }
}
