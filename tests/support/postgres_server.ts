/**
 * A real PostgreSQL server: from the binaries of this machine, in a temporary folder on a free port; or the one that DATABASE_URL names,
 * with a schema of its own.
 *
 * @module
 */

import postgres from "postgres";
import { freePort } from "./ports.ts";

/** A server that runs. */
export interface PostgresServer extends AsyncDisposable {
  /** The URL of its database, with a schema of this test's own. */
  readonly url: string;
  /** The port, on 127.0.0.1. */
  readonly port: number;
  /** Ends the server as a crash does, and starts it again. Only one that was started here has it. */
  crash?(): Promise<void>;
  /** Ends the server as a crash does. */
  kill?(): Promise<void>;
  /** Starts it again. */
  start?(): Promise<void>;
}

const PLACES = ["/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql"];

const BINARIES = ["initdb", "postgres", "pg_isready"];

/** The folder of PostgreSQL's programs; nothing where PostgreSQL is not installed. */
async function findBinaries(): Promise<string | undefined> {
  const folders: string[] = [];
  for (const place of PLACES) {
    folders.push(`${place}/bin`);
    try {
      const versions = Array.from(Deno.readDirSync(place), ({ name }) => Number(name)).filter((n) => n >= 12);
      folders.push(...versions.sort((a, b) => b - a).map((version) => `${place}/${version}/bin`));
    } catch {
      // not there
    }
  }
  folders.push(...(Deno.env.get("PATH") ?? "").split(":"));
  const exists = (path: string): Promise<boolean> => Deno.stat(path).then(() => true, () => false);
  for (const folder of folders) {
    const found = await Promise.all(BINARIES.map((name) => exists(`${folder}/${name}`)));
    if (found.every(Boolean)) return folder;
  }
  return undefined;
}

/** PostgreSQL refuses to run as root: then it runs as the user "nobody". */
const NOBODY = 65534;

/**
 * Starts a server. Where there is none to start, and DATABASE_URL names none, it says so, and returns nothing.
 *
 * @param what The test, for the line that says so.
 */
export async function startPostgresServer(what: string): Promise<PostgresServer | undefined> {
  const given = Deno.env.get("DATABASE_URL");
  if (given) return await schemaOf(given);
  const binaries = await findBinaries();
  if (binaries) return await LocalServer.create(binaries);
  console.warn(
    `NOT TESTED: PostgreSQL: ${what}. Install PostgreSQL 12 or later (apt-get install postgresql), or set DATABASE_URL.`,
  );
  return undefined;
}

const START_TIMEOUT_MS = 60_000;

/** A server of this test's own. */
class LocalServer implements PostgresServer {
  readonly port = freePort();
  readonly url = `postgres://aether@127.0.0.1:${this.port}/postgres`;
  readonly #binaries: string;
  readonly #folder: string;
  readonly #user = Deno.uid() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  #process: Deno.ChildProcess | undefined;
  #watchdog: Deno.ChildProcess | undefined;

  private constructor(binaries: string, folder: string) {
    this.#binaries = binaries;
    this.#folder = folder;
  }

  static async create(binaries: string): Promise<LocalServer> {
    const folder = await Deno.makeTempDir({ prefix: "aether-postgres-" });
    const server = new LocalServer(binaries, folder);
    await server.#initialize();
    await server.start();
    return server;
  }

  async #initialize(): Promise<void> {
    if (Deno.uid() === 0) await Deno.chown(this.#folder, NOBODY, NOBODY);
    const { success, stderr } = await new Deno.Command(`${this.#binaries}/initdb`, {
      args: ["-D", this.#data, "-U", "aether", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      cwd: this.#folder,
      ...this.#user,
    }).output();
    if (!success) throw new Error(`initdb: ${new TextDecoder().decode(stderr)}`);
  }

  get #data(): string {
    return `${this.#folder}/data`;
  }

  async start(): Promise<void> {
    const settings = [
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
      "fsync=off", // the machine does not crash
      "max_connections=60",
      "logging_collector=on",
      "log_directory=../log",
    ];
    this.#process = new Deno.Command(`${this.#binaries}/postgres`, {
      args: ["-D", this.#data, "-p", String(this.port), ...settings.flatMap((setting) => ["-c", setting])],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      cwd: this.#folder,
      ...this.#user,
    }).spawn();
    this.#watchdog = watch(this.#process.pid, this.#folder);
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!await this.#isReady()) {
      if (performance.now() > deadline) throw new Error(`PostgreSQL was not ready in ${START_TIMEOUT_MS} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #isReady(): Promise<boolean> {
    const { success } = await new Deno.Command(`${this.#binaries}/pg_isready`, {
      args: ["-h", "127.0.0.1", "-p", String(this.port), "-q"],
    }).output();
    return success;
  }

  async kill(): Promise<void> {
    if (!this.#process) return;
    this.#process.kill("SIGQUIT"); // as pg_ctl stop -m immediate
    await this.#process.status;
    this.#process = undefined;
    const writer = this.#watchdog!.stdin.getWriter();
    await writer.write(new TextEncoder().encode("released\n"));
    await writer.close();
    await this.#watchdog!.status;
  }

  async crash(): Promise<void> {
    await this.kill();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Ends the server and removes its folder if this process ends without having done so. */
function watch(pid: number, folder: string): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: [
      "-c",
      `trap '' INT TERM HUP; read -r line || { kill -QUIT "$0"; sleep 2; rm -rf "$1"; }`,
      String(pid),
      folder,
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
    detached: true, // or the runtime kills it when it exits, before it has removed the folder
  }).spawn();
}

/** A schema of its own on a server that others use too. */
async function schemaOf(url: string): Promise<PostgresServer> {
  const name = `aether_${crypto.randomUUID().replaceAll("-", "")}`;
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`CREATE SCHEMA ${name}`);
  const own = new URL(url);
  own.searchParams.set("options", `-c search_path=${name}`);
  return {
    url: own.href,
    port: Number(own.port || 5432),
    async [Symbol.asyncDispose](): Promise<void> {
      await sql.unsafe(`DROP SCHEMA ${name} CASCADE`);
      await sql.end({ timeout: 5 });
    },
  };
}
