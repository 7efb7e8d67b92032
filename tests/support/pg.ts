/**
 * `npm:pg`, with the part of its types that tests need: its package has none, and `@types/pg` brings those of Node.js, which
 * are not Deno's.
 *
 * @module
 */

import untyped from "pg";

/** A client of a pool. */
export interface PoolClient {
  /** Runs a statement. */
  query(
    sql: string,
    parameters?: unknown[],
  ): Promise<{ rows: Record<string, unknown>[]; rowCount: number | null }>;
  /** Gives it back. */
  release(error?: Error | boolean): void;
}

/** A pool of clients. */
export interface Pool {
  connect(): Promise<PoolClient>;
  connect(
    callback: (
      error: Error | undefined,
      client: PoolClient | undefined,
      // deno-lint-ignore no-explicit-any -- as @types/pg has it
      done: (release?: any) => void,
    ) => void,
  ): void;
  query(sql: string, parameters?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  on(event: "error", listener: (error: Error) => void): this;
  end(): Promise<void>;
}

/** Makes a pool. */
export const Pool: new (options: { readonly connectionString: string; readonly max?: number }) => Pool =
  untyped.Pool;
