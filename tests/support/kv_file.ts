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
  /** Copies the database files, which no process has open. */
  backUp(): Promise<void>;
  /** Puts the database files back to what was copied. No process has them open. */
  restore(): Promise<void>;
}

/** Makes a folder for database files. */
export async function kvFolder(): Promise<KvFolder> {
  const path = await Deno.makeTempDir({ prefix: "aether-kv-" });
  const file = `${path}/events.kv`;
  const copyFiles = async (from: string, to: string): Promise<void> => {
    for (const suffix of ["", "-wal", "-shm"]) {
      await Deno.remove(to + suffix).catch(() => {});
      await Deno.copyFile(from + suffix, to + suffix).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    }
  };
  return {
    path,
    file,
    backUp: () => copyFiles(file, `${path}/backup.kv`),
    restore: () => copyFiles(`${path}/backup.kv`, file),
    async [Symbol.asyncDispose](): Promise<void> {
      await Deno.remove(path, { recursive: true });
    },
  };
}
