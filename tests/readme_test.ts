/** The README shows the programs that are run elsewhere, word for word. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore, InMemoryEventStore } from "@flowmade-one/aether";
import { startNatsServer } from "./support/nats_server.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

const read = (path: string): Promise<string> => Deno.readTextFile(new URL(path, import.meta.url));

Deno.test("the README's quick start is examples/quick_start.ts, and its output is what that prints", async () => {
  const readme = await read("../README.md");
  const program = (await read("../examples/quick_start.ts")).replace(/^\/\*\*[^]*?\*\/\s*/, "");
  assert(readme.includes("```ts\n" + program + "```"));
  const path = fileURLToPath(new URL("../examples/quick_start.ts", import.meta.url));
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", path] }).output();
  assert(readme.includes("```text\n" + new TextDecoder().decode(stdout) + "```"));
});

/** `deno test --doc` runs the other blocks; these need files, a server, or a test runner. */
Deno.test("the README's programs that need a file or a NATS server run, one after the other", async () => {
  const readme = await read("../README.md");
  const programs = Array.from(readme.matchAll(/```ts ignore\n([^]*?)```/g), ([, program]) => program!);
  assert(programs.length > 2);
  await using server = await startNatsServer();
  const folder = await Deno.makeTempDir({ prefix: "aether readme " });
  try {
    for (const [index, program] of programs.entries()) {
      const path = join(folder, `program_${index}.ts`);
      await Deno.writeTextFile(path, program.replaceAll("nats://127.0.0.1:4222", server.url));
      const config = fileURLToPath(new URL("../deno.json", import.meta.url));
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          program.includes("testEventStore(") ? "test" : "run",
          "--quiet",
          "--config",
          config,
          "--allow-all",
          path,
        ],
        cwd: folder,
      }).output();
      assert.equal(code, 0, `${program}\n${new TextDecoder().decode(stderr)}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("every link of the README leads somewhere", async () => {
  const readme = await read("../README.md");
  const links = Array.from(readme.matchAll(/\]\((?!https?:)([^)#]+)/g), ([, link]) => link!);
  const folders = Array.from(readme.matchAll(/`((?:src|tests|examples)\/[\w./-]*)`/g), ([, path]) => path!);
  assert(links.length > 0 && folders.length > 0);
  for (const path of [...links, ...folders]) await Deno.stat(new URL(`../${path}`, import.meta.url));
});

Deno.test("the README's limits are those of the stores", async () => {
  const readme = await read("../README.md");
  await using memory = new InMemoryEventStore();
  await using kv = await DenoKvEventStore.open(":memory:");
  const shown = (bytes: number): string => bytes % MIB === 0 ? `${bytes / MIB} MiB` : `${bytes / KIB} KiB`;
  const cells = (row: string): string[] =>
    new RegExp(`^\\| ${row} +\\|(.*)\\|$`, "m").exec(readme)![1]!.split("|").map((cell) => cell.trim());
  for (const [index, { limits }] of [memory, kv].entries()) {
    const { actorsPerCommit, eventsPerCommit, bytesPerCommit, bytesPerEvent } = limits;
    const events = eventsPerCommit.toLocaleString("en-US");
    const commit = `${actorsPerCommit} actors, ${events} events, ${shown(bytesPerCommit)}`;
    assert.equal(cells("a commit, at the most")[index], commit);
    assert.equal(cells("an event, at the most")[index], shown(bytesPerEvent));
  }
});

Deno.test("every task has a description", async () => {
  const { tasks } = JSON.parse(await read("../deno.json")) as {
    tasks: Record<string, { description?: string }>;
  };
  for (const [name, { description }] of Object.entries(tasks)) assert(description, name);
});
