/** Runs many command lines in one process, and marks where each ends: with its code, on the output and on the notes. */

import { runCommandLine } from "../../../src/cli/mod.ts";

const encoder = new TextEncoder();

for (const args of JSON.parse(await Deno.readTextFile(Deno.args[0]!)) as string[][]) {
  // A tail has no other end.
  const code = await runCommandLine(args, args[0] === "tail" ? AbortSignal.timeout(1_000) : undefined);
  for (const stream of [Deno.stdout, Deno.stderr]) stream.writeSync(encoder.encode(`\n=== ${code}\n`));
}
