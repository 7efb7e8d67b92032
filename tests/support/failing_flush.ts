/**
 * A library that makes flushes to the disk fail, for processes that are started with it.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";

/**
 * Compiles it into a folder.
 *
 * @returns Its path, for `LD_PRELOAD`; `undefined` without a C compiler. Flushes fail while the file that `FAIL_FSYNC`
 * names exists.
 */
export async function compileFailingFlush(folder: string): Promise<string | undefined> {
  const library = `${folder}/fail_fsync.so`;
  const source = fileURLToPath(new URL("./fail_fsync.c", import.meta.url));
  try {
    const { success, stderr } = await new Deno.Command("cc", {
      args: ["-shared", "-fPIC", "-o", library, source, "-ldl"],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return library;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.warn("NOT TESTED: a disk that fails to flush. Put a C compiler (cc) on the PATH");
    return undefined;
  }
}
