/** The README shows the programs that are run elsewhere, word for word. */

import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";

const read = (path: string): Promise<string> => Deno.readTextFile(new URL(path, import.meta.url));

Deno.test("the README's quick start is examples/quick_start.ts, and its output is what that prints", async () => {
  const readme = await read("../README.md");
  const program = (await read("../examples/quick_start.ts")).replace(/^\/\*\*[^]*?\*\/\s*/, "");
  assert(readme.includes("```ts\n" + program + "```"));
  const path = fileURLToPath(new URL("../examples/quick_start.ts", import.meta.url));
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", path] }).output();
  assert(readme.includes("```text\n" + new TextDecoder().decode(stdout) + "```"));
});

Deno.test("every task has a description", async () => {
  const { tasks } = JSON.parse(await read("../deno.json")) as {
    tasks: Record<string, { description?: string }>;
  };
  for (const [name, { description }] of Object.entries(tasks)) assert(description, name);
});
