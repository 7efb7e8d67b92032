/**
 * A read model in PostgreSQL is written exactly once while workers are killed and suspended, the server crashes, and the answers to
 * commits get lost. `AETHER_CHAOS_ROUNDS=n` repeats the faults n times; `AETHER_CHAOS_SEED=n` draws them again as they were.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Pool } from "../support/pg.ts";
import postgres from "postgres";
import {
  DenoKvEventStore,
  type Event,
  InMemoryEventStore,
  PostgresCheckpoints,
  type PostgresDatabase,
  type Projection,
  runProjection,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { type PostgresServer, startPostgresServer } from "../support/postgres_server.ts";
import { Random } from "../support/random.ts";
import { MODEL, type PostgresOrder } from "./processes/postgres_worker.ts";
import { add, type Counted, until } from "./support.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
const SEED = Number(Deno.env.get("AETHER_CHAOS_SEED") ?? Date.now() % 1_000_000);

const WHAT = "exactly once in PostgreSQL under faults";

/** A worker process. */
class Process {
  readonly #child: Deno.ChildProcess;
  constructor(order: PostgresOrder) {
    const program = fileURLToPath(new URL("./processes/postgres_worker.ts", import.meta.url));
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", program, JSON.stringify(order)],
      stdout: "null",
      stderr: "inherit",
    }).spawn();
  }
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

Deno.test("PostgreSQL: each event is counted once while workers and the server are killed or suspended", async () => {
  await using server = await startPostgresServer(WHAT);
  if (!server) return;
  const { url } = server;
  const random = new Random(SEED);
  console.error(`AETHER_CHAOS_SEED=${SEED} AETHER_CHAOS_ROUNDS=${ROUNDS}`);
  await using folder = await kvFolder();
  await using store = await DenoKvEventStore.open<Counted>(folder.file, { pollInterval: 20 });
  const tables = postgres(url, { max: 1, onnotice: () => {} });
  await tables.unsafe("DROP TABLE IF EXISTS counted, sums, aether_projection; " + MODEL);
  await tables.end();
  const order = (driver: PostgresOrder["driver"]): PostgresOrder => ({ url, file: folder.file, driver });
  const workers = [new Process(order("pg")), new Process(order("postgres"))];
  let isOver = false;
  const appending = (async (): Promise<void> => {
    while (!isOver) {
      await add(store, 3, ["a", "b", "c", "d"]);
      await pause(5);
    }
  })();
  const faults: readonly (() => Promise<unknown>)[] = [
    async () => {
      const index = random.chance(0.5) ? 0 : 1;
      await workers[index]!.kill();
      workers[index] = new Process(order(random.chance(0.5) ? "pg" : "postgres"));
    },
    async () => {
      const worker = random.pick(workers);
      worker.signal("SIGSTOP");
      await pause(random.between(500, 2_500)); // with its transaction open, past its lease or not
      worker.signal("SIGCONT");
    },
    async () => await server.crash?.(),
  ];
  try {
    await pause(1_500);
    for (let round = 0; round < ROUNDS; round++) {
      for (const fault of [...faults, ...(ROUNDS > 1 ? [random.pick(faults)] : [])]) {
        await fault();
        await pause(random.between(50, 600));
      }
    }
    isOver = true;
    await appending;
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const expected: string[] = [];
    const totals = new Map<string, number>();
    for await (const { position, actorId, data } of store.readAll()) {
      expected.push(position);
      totals.set(actorId, (totals.get(actorId) ?? 0) + data.by);
    }
    try {
      await until("all events are counted", async () => {
        const [row] = await sql`SELECT count(*)::int AS n FROM counted`;
        return row!["n"] >= expected.length;
      });
      const counted = Array.from(
        await sql`SELECT position FROM counted ORDER BY position COLLATE "C"`,
        (row) => row["position"],
      );
      assert.deepEqual(counted, expected, "each event once");
      for (const { actor, total } of await sql`SELECT actor, total::int AS total FROM sums`) {
        assert.equal(total, totals.get(actor));
      }
      assert(expected.length > 100);
    } finally {
      await sql.end({ timeout: 5 });
    }
  } finally {
    isOver = true;
    await appending;
    await Promise.all(workers.map((worker) => worker.kill()));
  }
});

/** A proxy that cuts a connection when a commit goes by. */
class Cutter implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #port: number;
  readonly #accepting: Promise<void>;
  readonly #links = new Set<Deno.TcpConn>();
  /** What the next commit meets: it reaches the server and its answer is lost, or it is lost itself. */
  next: "lose the answer" | "lose the commit" | undefined;
  cuts = 0;

  constructor(port: number) {
    this.#port = port;
    this.#accepting = this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      const target = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
      this.#links.add(client).add(target);
      void this.#link(client, target);
    }
  }

  async #link(client: Deno.TcpConn, target: Deno.TcpConn): Promise<void> {
    let isCut = false;
    const close = (): void => {
      for (const connection of [client, target]) {
        if (this.#links.delete(connection)) connection.close();
      }
    };
    const forward = async (): Promise<void> => {
      for await (const chunk of chunksOf(client)) {
        const isCommit = new TextDecoder("latin1").decode(chunk).includes("COMMIT");
        const how = isCommit ? this.next : undefined;
        if (how) {
          this.next = undefined;
          this.cuts++;
          isCut = true;
        }
        if (how !== "lose the commit") await writeAll(target, chunk);
        if (how === "lose the answer") await pause(30); // the server has committed
        if (how) return;
      }
    };
    const answer = async (): Promise<void> => {
      for await (const chunk of chunksOf(target)) {
        if (!isCut) await writeAll(client, chunk);
      }
    };
    await Promise.race([forward(), answer()].map((way) => way.catch(() => {})));
    close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting.catch(() => {});
    for (const connection of this.#links) connection.close();
    this.#links.clear();
  }
}

async function* chunksOf(connection: Deno.TcpConn): AsyncIterable<Uint8Array> {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const size = await connection.read(buffer);
    if (size === null) return;
    yield buffer.subarray(0, size);
  }
}

async function writeAll(connection: Deno.TcpConn, chunk: Uint8Array): Promise<void> {
  for (let sent = 0; sent < chunk.length;) sent += await connection.write(chunk.subarray(sent));
}

Deno.test("PostgreSQL: a commit whose answer is lost is found by the record, and is not doubled", async () => {
  await using server = await startPostgresServer(WHAT);
  if (server) { for (const driver of ["npm:pg", "npm:postgres"] as const) await loseAnswers(server, driver); }
});

async function loseAnswers(server: PostgresServer, driver: "npm:pg" | "npm:postgres"): Promise<void> {
  await using cutter = new Cutter(server.port);
  const url = new URL(server.url);
  url.port = String(cutter.port);
  const admin = postgres(server.url, { max: 1, onnotice: () => {} });
  await admin.unsafe("DROP TABLE IF EXISTS seen, aether_projection; CREATE TABLE seen (actor TEXT)");
  const pool = new Pool({ connectionString: url.href, max: 4 });
  pool.on("error", () => {});
  const sql = postgres(url.href, { max: 4, onnotice: () => {} });
  // deno-lint-ignore no-explicit-any -- the transaction of either driver
  const database: PostgresDatabase<any> = driver === "npm:pg" ? pool : sql;
  await using store = new InMemoryEventStore();
  // deno-lint-ignore no-explicit-any -- as above
  const projection: Projection<Event, any> = {
    name: "seen",
    checkpoints: await PostgresCheckpoints.open(database),
    failure: { retries: 0 },
    handle: async ({ actorId }, { transaction }) => {
      const text = "INSERT INTO seen VALUES ($1)";
      await ("query" in transaction
        ? transaction.query(text, [actorId])
        : transaction.unsafe(text, [actorId]));
    },
  };
  {
    await using run = runProjection(store, projection, { onWarning: () => {} });
    for (
      const [index, how] of ([undefined, "lose the answer", "lose the commit", "lose the answer"] as const)
        .entries()
    ) {
      cutter.next = how;
      const [event] = await store.append(`a${index}`, [{ eventType: "Seen", data: null }], {
        expectedVersion: 0,
      });
      await run.waitFor(event!.position, { timeout: 30_000 });
    }
  }
  assert.equal(cutter.cuts, 3);
  const rows = Array.from(await admin`SELECT actor FROM seen ORDER BY actor`, ({ actor }) => actor);
  assert.deepEqual(rows, ["a0", "a1", "a2", "a3"]);
  await Promise.all([pool.end(), sql.end({ timeout: 1 }), admin.end()]);
}
