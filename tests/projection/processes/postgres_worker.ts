/**
 * A process that counts events in PostgreSQL: `deno run ... postgres_worker.ts ORDER`.
 *
 * @module
 */

import { Pool } from "../../support/pg.ts";
import postgres from "postgres";
import {
  BackendError,
  DenoKvEventStore,
  DenoKvLeases,
  PostgresCheckpoints,
  type PostgresDatabase,
  runProjection,
} from "../../../mod.ts";
import type { Counted } from "../support.ts";

/** What it does. */
export interface PostgresOrder {
  readonly url: string;
  readonly file: string;
  readonly driver: "pg" | "postgres";
}

/** The tables of the read model: a row for each time that an event was counted, and a sum that every handler changes. */
export const MODEL = "CREATE TABLE counted (position TEXT, actor TEXT, version INT); " +
  "CREATE TABLE sums (actor TEXT PRIMARY KEY, total BIGINT)";

if (import.meta.main) {
  const order = JSON.parse(Deno.args[0]!) as PostgresOrder;
  const pool = new Pool({ connectionString: order.url, max: 4 });
  pool.on("error", () => {}); // idle clients of a server that ended
  // deno-lint-ignore no-explicit-any -- the transaction of either driver
  const database: PostgresDatabase<any> = order.driver === "pg"
    ? pool
    : postgres(order.url, { max: 4, onnotice: () => {} });
  const store = await DenoKvEventStore.open<Counted>(order.file, { pollInterval: 20 });
  const leases = await DenoKvLeases.open(order.file);
  let checkpoints = await PostgresCheckpoints.open(database).catch(unlessDown);
  while (!checkpoints) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    checkpoints = await PostgresCheckpoints.open(database).catch(unlessDown);
  }
  const run = runProjection(store, {
    name: "counted",
    checkpoints,
    checkpointInterval: 50,
    handle: async ({ position, actorId, version, data }, { transaction }) => {
      const execute = (sql: string, parameters: unknown[]): Promise<unknown> =>
        "query" in transaction ? transaction.query(sql, parameters) : transaction.unsafe(sql, parameters);
      await execute("INSERT INTO counted VALUES ($1, $2, $3::text::int)", [
        position,
        actorId,
        String(version),
      ]);
      await execute(
        "INSERT INTO sums VALUES ($1, $2::text::bigint) " +
          "ON CONFLICT (actor) DO UPDATE SET total = sums.total + excluded.total",
        [actorId, String(data.by)],
      );
    },
  }, { leases, leaseTtl: 2_000, onWarning: () => {} });
  await run.finished;
}

/** The process may be started while the server is down. */
function unlessDown(error: unknown): undefined {
  if (!(error instanceof BackendError)) throw error;
}
