/**
 * Deno KV files that are gone after the test.
 *
 * @module
 */

/** A folder for database files. */
export interface KvFolder extends AsyncDisposable {
  /** The folder. */
  readonly path: string;
  /** A path for a database file. */
  readonly file: string;
}

/** Makes a folder for database files. */
export async function kvFolder(): Promise<KvFolder> {
  const path = await Deno.makeTempDir({ prefix: "aether-kv-" });
  return {
    path,
    file: `${path}/events.kv`,
    async [Symbol.asyncDispose](): Promise<void> {
      await Deno.remove(path, { recursive: true });
    },
  };
}
