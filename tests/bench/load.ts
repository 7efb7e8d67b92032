/**
 * How long a module takes to load, over a program that loads nothing.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { medianTime } from "./harness.ts";

/** The median time that a program takes which imports a module and does nothing, in milliseconds. */
async function startTime(specifiers: readonly string[], runs: number): Promise<number> {
  const source = specifiers.map((specifier) => `import ${JSON.stringify(specifier)};`).join("\n");
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  try {
    await Deno.writeTextFile(file, source);
    const start = async (): Promise<void> => {
      const args = [
        "run",
        "--config",
        config,
        "--no-check",
        "--quiet",
        "--allow-env",
        "--allow-sys",
        "--allow-read",
        file,
      ];
      const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, stdout: "null" }).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
    };
    await start(); // the first one fills the cache of compiled code
    return await medianTime(runs, start);
  } finally {
    await Deno.remove(file);
  }
}

/** The time that a module adds to that of an empty program, in milliseconds. */
export async function loadTime(specifiers: readonly string[], runs = 11): Promise<number> {
  const empty = await startTime([], runs);
  return await startTime(specifiers, runs) - empty;
}
