/**
 * Tests of checkpoints in PostgreSQL over both drivers, on one server for all tests of a file.
 *
 * @module
 */

import { Pool, type PoolClient } from "../support/pg.ts";
import postgres, { type TransactionSql } from "postgres";
import { PostgresCheckpoints, type PostgresDatabase } from "../../mod.ts";
import { type PostgresServer, startPostgresServer } from "../support/postgres_server.ts";

/** What a handler of these tests writes with: each driver's own transaction behind one function. */
export type Run = (sql: string, ...parameters: unknown[]) => Promise<Record<string, unknown>[]>;
/** The transaction of either driver. */
// deno-lint-ignore no-explicit-any -- as both are used
export type Transaction = any;

/** A database that was opened. */
export interface Opened {
  readonly database: PostgresDatabase<Transaction>;
  end(): Promise<void>;
}

/** A driver of PostgreSQL. */
export interface PostgresDriver {
  open(url: string): Opened;
  run(transaction: Transaction): Run;
}

const DRIVERS: Readonly<Record<string, PostgresDriver>> = {
  "npm:pg": {
    open(url): Opened {
      const pool = new Pool({ connectionString: url, max: 4 });
      pool.on("error", () => {}); // idle clients of a server that ended
      return { database: pool, end: () => pool.end() };
    },
    run: (client: PoolClient) => async (sql, ...parameters) => (await client.query(sql, parameters)).rows,
  },
  "npm:postgres": {
    open(url): Opened {
      const sql = postgres(url, { max: 4, onnotice: () => {} });
      // Without a bound it waits forever, now and then, for a connection that the server has ended.
      return { database: sql, end: () => sql.end({ timeout: 5 }) };
    },
    run: (sql: TransactionSql) => async (text, ...parameters) =>
      await sql.unsafe(text, parameters as string[]),
  },
};

/** Tables, checkpoints and names of one test. */
export interface PostgresPlace extends AsyncDisposable {
  readonly checkpoints: PostgresCheckpoints<Transaction>;
  readonly database: PostgresDatabase<Transaction>;
  readonly url: string;
  readonly run: (transaction: Transaction) => Run;
  /** Rows, as another connection sees them. */
  rows(sql: string): Promise<Record<string, unknown>[]>;
  /** The record, as another connection sees it. */
  record(name: string): Promise<CountedRecord>;
}

/** What a record shows. */
export interface CountedRecord {
  readonly position?: string;
  readonly handled: number;
  readonly parked: readonly unknown[];
}

/** Makes tables, checkpoints and names for one test. */
export type MakePlace = (driver: PostgresDriver, schema: string) => Promise<PostgresPlace>;

/** Registers a test of each driver. */
export type DriverTest = (
  what: string,
  scenario: (driver: PostgresDriver, place: MakePlace) => Promise<void>,
) => void;

/**
 * Starts a server for the tests of a file.
 *
 * @param tested What is not tested if there is no server.
 */
export function postgresTests(tested: string): { readonly test: DriverTest } {
  let server: PostgresServer | undefined;
  let admin: postgres.Sql | undefined;
  Deno.test.beforeAll(async () => {
    server = await startPostgresServer(tested);
    if (!server) return;
    admin = postgres(server.url, {
      max: 1,
      max_lifetime: null,
      onnotice: () => {},
      connection: { application_name: "admin" },
    });
    await admin`SELECT 1`;
  });
  Deno.test.afterAll(async () => {
    await admin?.end();
    await server?.[Symbol.asyncDispose]();
  });
  return {
    test(what, scenario): void {
      for (const [name, driver] of Object.entries(DRIVERS)) {
        Deno.test(`PostgreSQL, ${name}: ${what}`, async () => {
          if (server && admin) await scenario(driver, (of, schema) => place(server!, admin!, of, schema));
        });
      }
    },
  };
}

let schemas = 0;

async function place(
  server: PostgresServer,
  admin: postgres.Sql,
  driver: PostgresDriver,
  schema: string,
): Promise<PostgresPlace> {
  const name = `test_${++schemas}_${Deno.pid}`;
  await admin.unsafe(`CREATE SCHEMA ${name}`);
  const url = new URL(server.url);
  url.searchParams.set("options", `-c search_path=${name}`);
  const { database, end } = driver.open(url.href);
  const checkpoints = await PostgresCheckpoints.open(database);
  const rows = async (sql: string): Promise<Record<string, unknown>[]> =>
    await admin.begin(async (sql_) => {
      await sql_.unsafe(`SET LOCAL search_path = ${name}`);
      return Array.from(await sql_.unsafe(sql), (row) => ({ ...row }));
    });
  await rows(schema);
  return {
    checkpoints,
    database,
    url: url.href,
    run: driver.run,
    rows,
    async record(projection): Promise<CountedRecord> {
      const [row] = await rows(`SELECT value FROM aether_projection WHERE name = '${projection}'`);
      return JSON.parse(row!["value"] as string);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await end();
      await admin.unsafe(`DROP SCHEMA ${name} CASCADE`);
    },
  };
}
