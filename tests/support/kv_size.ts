/**
 * How many bytes a Deno KV file takes for what is in it.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";

/** The bytes of the pages that hold keys and values, in a file that no process has open. */
export function kvBytes(file: string): number {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const row = database.prepare("select sum(pgsize) as bytes from dbstat where name like 'kv%'").get();
    return Number(row!["bytes"]);
  } finally {
    database.close();
  }
}
