/**
 * Real nats-servers for tests: one, or a cluster, with JetStream on file storage in a temporary folder, that can be
 * killed, suspended and restarted, and that leave neither process nor folder behind.
 *
 * @module
 */
import { join } from "node:path";
import { NatsServerProcess } from "./nats_server_process.ts";
import { natsServerBinary } from "./nats_server_binary.ts";
import { NatsRoutes } from "./nats_routes.ts";
import { freePort } from "./ports.ts";

/** How long a server may take until JetStream answers; a cluster's first election takes a few seconds of it. */
const READY_TIMEOUT_MS = 60_000;

/** What a server is started with. */
export interface NatsServerOptions {
  /** Listens for WebSocket connections too, see {@linkcode NatsServer.websocketUrl}. @default {false} */
  readonly websocket?: boolean;
  /** The server's `sync_interval`, such as `always` or `10s`. @default {the server's: 2m} */
  readonly syncInterval?: string;
  /** The largest message, headers included, in bytes. @default {the server's: 1 MiB} */
  readonly maxPayload?: number;
  /** Further fields of the `jetstream` block, such as `max_file_store`. */
  readonly jetstream?: Readonly<Record<string, unknown>>;
  /** Further top-level fields as plain values: `accounts`, `authorization`, `ping_interval` ... */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Text in NATS's configuration language, put at the end of the configuration file. */
  readonly configText?: string;
  /** The server's program. @default {the one that is found or obtained} */
  readonly binary?: string;
  /** Puts proxies between the servers of a cluster, for {@linkcode NatsCluster.isolate}. @default {false} */
  readonly isolable?: boolean;
}

/** What `/jsz` of the server's monitoring port tells, as far as tests need it. */
export interface JetStreamReport {
  /** The cluster's meta group; absent on a single server. */
  readonly meta_cluster?: {
    readonly leader?: string;
    readonly cluster_size: number;
    readonly replicas?: readonly {
      readonly name: string;
      readonly current: boolean;
      readonly offline?: boolean;
    }[];
  };
  /** One entry an account, if asked for with `accounts=true`. */
  readonly account_details?: readonly {
    readonly name: string;
    readonly stream_detail?: readonly {
      readonly name: string;
      readonly cluster?: { readonly leader?: string };
    }[];
  }[];
}

/** A running nats-server. Disposing of it stops it. */
export interface NatsServer extends AsyncDisposable {
  /** The server's unique name. */
  readonly name: string;
  /** The process id of the running server; it changes with a restart. */
  readonly pid: number;
  /** The client port on the loopback address; it survives a restart. */
  readonly port: number;
  /** Where clients connect: `nats://127.0.0.1:<port>`. */
  readonly url: string;
  /** Where WebSocket clients connect. @throws {Error} if the server was started without `websocket` */
  readonly websocketUrl: string;
  /** Where the server's monitoring answers: `http://127.0.0.1:<port>`. */
  readonly monitoringUrl: string;
  /** The folder in which JetStream keeps its streams. */
  readonly storageFolder: string;
  /** The server's log so far. */
  log(): Promise<string>;
  /** Asks the monitoring port for `/jsz` with a query such as `accounts=true&streams=true`. */
  jetStream(query?: string): Promise<JetStreamReport>;
  /** Ends the process with SIGKILL. Storage and ports are kept for `restart()`. */
  kill(): Promise<void>;
  /** Ends the process with SIGTERM, so that it shuts down in order. */
  shutdown(): Promise<void>;
  /** Freezes the process (SIGSTOP) and resolves when it stands still: its connections stay open and silent. */
  suspend(): Promise<void>;
  /** Wakes the process up again (SIGCONT). */
  resume(): void;
  /**
   * Replaces a text of the configuration, such as a password or a permission. The running server reads it again, or is
   * restarted for what it reads at its start only.
   */
  reconfigure(from: string, to: string, how?: "reload" | "restart"): Promise<void>;
  /** Starts the server again on the same ports and storage (killing it first if it runs) and waits until it is ready. */
  restart(): Promise<void>;
  /** Shuts the server down in order, copies what JetStream has stored, and starts it again. */
  backUp(): Promise<void>;
  /** Shuts the server down, puts back what `backUp()` has copied, and starts it again. */
  restore(): Promise<void>;
  /** Waits until JetStream answers; in a cluster until the meta leader is known and this server has caught up. */
  ready(): Promise<void>;
  /** Kills the process and removes its folder. */
  stop(): Promise<void>;
}

/** A cluster of servers with one JetStream domain. Disposing of it stops all of them. */
export interface NatsCluster extends AsyncDisposable {
  /** The servers, in the order of their names. */
  readonly servers: readonly NatsServer[];
  /** The URLs of all servers. */
  readonly urls: string[];
  /** The URLs of all servers, separated by commas. */
  readonly url: string;
  /** The server that leads JetStream's meta group now; undefined during an election. */
  metaLeader(): Promise<NatsServer | undefined>;
  /** The server that leads the stream now, in any account; undefined during an election. */
  streamLeader(stream: string): Promise<NatsServer | undefined>;
  /**
   * Cuts a server off from the others; its clients still reach it.
   *
   * @throws {Error} if the cluster was started without `isolable`
   */
  isolate(server: NatsServer): Promise<void>;
  /** Ends what {@linkcode NatsCluster.isolate} began. */
  rejoin(server: NatsServer): void;
  /** Stops all servers and removes their folders. */
  stop(): Promise<void>;
}

/** Starts one server on free loopback ports and waits until JetStream answers. */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const { servers: [server] } = await start(1, options);
  if (!server) throw new Error("unreachable: one server was asked for");
  return server;
}

/** Starts a cluster on free loopback ports and waits until all its servers see one another and one meta leader. */
export async function startNatsCluster(size = 3, options: NatsServerOptions = {}): Promise<NatsCluster> {
  const { servers, routes } = await start(size, options);
  return new Cluster(servers, routes);
}

class Cluster implements NatsCluster {
  readonly servers: readonly NatsServer[];
  readonly #routes: NatsRoutes | undefined;

  constructor(servers: readonly NatsServer[], routes: NatsRoutes | undefined) {
    this.servers = servers;
    this.#routes = routes;
  }

  get urls(): string[] {
    return this.servers.map((server) => server.url);
  }

  get url(): string {
    return this.urls.join(",");
  }

  async metaLeader(): Promise<NatsServer | undefined> {
    return await this.#agreed((report) => report.meta_cluster?.leader, "");
  }

  async streamLeader(stream: string): Promise<NatsServer | undefined> {
    return await this.#agreed((report) => {
      const streams = report.account_details?.flatMap((account) => account.stream_detail ?? []) ?? [];
      return streams.find((detail) => detail.name === stream)?.cluster?.leader;
    }, "accounts=true&streams=true");
  }

  async isolate(server: NatsServer): Promise<void> {
    await this.#isolable.cut(this.servers.indexOf(server));
  }

  rejoin(server: NatsServer): void {
    this.#isolable.resume(this.servers.indexOf(server));
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
    await this.#routes?.[Symbol.asyncDispose]();
  }

  get #isolable(): NatsRoutes {
    if (!this.#routes) throw new Error("the cluster was started without isolable: true");
    return this.#routes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** A leader counts once it says so itself: the others may still name the one that died. */
  async #agreed(
    leaderOf: (report: JetStreamReport) => string | undefined,
    query: string,
  ): Promise<NatsServer | undefined> {
    const claims = await Promise.all(this.servers.map(async (server) => {
      const report = await server.jetStream(query).catch(() => undefined);
      return report && leaderOf(report) === server.name;
    }));
    return this.servers.find((_, index) => claims[index]);
  }
}

async function start(
  size: number,
  options: NatsServerOptions,
): Promise<{ servers: NatsServer[]; routes: NatsRoutes | undefined }> {
  const binary = options.binary ?? await binaryOnce();
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (true) {
    const id = crypto.randomUUID().slice(0, 8);
    const ports = Array.from({ length: size }, () => new Ports());
    const isolable = size > 1 && options.isolable === true;
    const proxied = isolable ? new NatsRoutes(ports.map((own) => own.cluster)) : undefined;
    const direct = ports.map((own) => `nats://127.0.0.1:${own.cluster}`);
    const servers = await Promise.all(ports.map(async (own, index) => {
      const folder = await Deno.makeTempDir({ prefix: "aether-nats-" });
      const name = `n${index + 1}-${id}`;
      const urls = proxied?.of(index) ?? direct;
      const routes = size > 1 ? { cluster: `c-${id}`, urls, isolable } : undefined;
      await Deno.writeTextFile(join(folder, "nats.conf"), configuration(name, folder, own, routes, options));
      return new NatsServerProcess({ name, folder, binary, size, ...own });
    }));
    try {
      await Promise.all(servers.map((server) => server.launch()));
      await Promise.all(servers.map((server) => server.ready(deadline, true)));
      return { servers, routes: proxied };
    } catch (error) {
      await Promise.all(servers.map((server) => server.stop()));
      await proxied?.[Symbol.asyncDispose]();
      // Another process took a port between our look and the server's bind: once more, with other ports.
      const collision = error instanceof Error && error.message.includes("address already in use");
      if (!collision || performance.now() > deadline) throw error;
    }
  }
}

let binary: Promise<string> | undefined;

function binaryOnce(): Promise<string> {
  return binary ??= natsServerBinary();
}

/** The ports of one server, free a moment ago. */
class Ports {
  readonly client = freePort();
  readonly monitoring = freePort();
  readonly cluster = freePort();
  readonly websocket = freePort();
}

/** The configuration file: NATS's language takes JSON for values. */
function configuration(
  name: string,
  folder: string,
  ports: Ports,
  routes: { cluster: string; urls: string[]; isolable: boolean } | undefined,
  options: NatsServerOptions,
): string {
  const fields: Record<string, unknown> = {
    server_name: name,
    listen: `127.0.0.1:${ports.client}`,
    http: `127.0.0.1:${ports.monitoring}`,
    log_file: join(folder, "nats.log"),
    jetstream: {
      store_dir: folder,
      ...(options.syncInterval === undefined ? {} : { sync_interval: options.syncInterval }),
      ...options.jetstream,
    },
    ...(options.maxPayload === undefined ? {} : { max_payload: options.maxPayload }),
    ...(options.websocket ? { websocket: { listen: `127.0.0.1:${ports.websocket}`, no_tls: true } } : {}),
    ...(routes
      ? {
        cluster: {
          name: routes.cluster,
          listen: `127.0.0.1:${ports.cluster}`,
          routes: routes.urls,
          no_advertise: true, // a client behind a proxy must not learn the way around it
          // Nor must a server that hears of another one from a third: where it is sent nobody listens.
          ...(routes.isolable ? { advertise: "127.0.0.1:1" } : {}),
        },
      }
      : {}),
    ...options.config,
  };
  const lines = Object.entries(fields).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return `${lines.join("\n")}\n${options.configText ?? ""}\n`;
}
