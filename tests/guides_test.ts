/** The README and the guides: their programs run, their links work, their tables are those of the code. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore, InMemoryEventStore } from "@flowmade-one/aether";
import { startNatsServer } from "./support/nats_server.ts";
import { startPostgresServer } from "./support/postgres_server.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const KIB = 1024;
const MIB = 1024 * KIB;
/** The README is for the first ten minutes; everything else is in the guides. */
const MAX_README_LINES = 180;

const read = (path: string): Promise<string> => Deno.readTextFile(join(ROOT, path));

async function filesBelow(folder: string, ending: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
    const path = join(folder, name);
    if (isDirectory) files.push(...await filesBelow(path, ending));
    else if (name.endsWith(ending)) files.push(path);
  }
  return files.sort();
}

async function guides(): Promise<string[]> {
  const below = await Promise.all(["src", "examples", ".github"].map((folder) => filesBelow(folder, ".md")));
  return ["README.md", "tests/README.md", ...below.flat()];
}

function blocks(markdown: string, language: string): string[] {
  return Array.from(
    markdown.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, "g")),
    ([, code]) => code!,
  );
}

async function run(args: string[], cwd: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("the README is short, and its quick start is examples/quick_start.ts with its output", async () => {
  const readme = await read("README.md");
  assert(readme.split("\n").length <= MAX_README_LINES);
  const program = (await read("examples/quick_start.ts")).replace(/^\/\*\*[^]*?\*\/\s*/, "");
  assert(readme.includes("```ts\n" + program + "```"));
  const { stdout } = await run(["run", "examples/quick_start.ts"], ROOT);
  assert(readme.includes("```text\n" + stdout + "```"));
});

Deno.test("each figure of the README names a row of the benchmarks, and the machine is named", async () => {
  const [, section = ""] = (await read("README.md")).split("## Speed\n");
  const [text = ""] = section.split("\n## ");
  assert.match(text, /\d cores/);
  const rows = Array.from(text.matchAll(/\| `([^`]+)` +\|/g), ([, row]) => row!);
  assert(rows.length >= 8);
  const files = await filesBelow("tests/bench", ".ts");
  const sources = (await Promise.all(files.map(read))).join("\n");
  const names = Array.from(
    sources.matchAll(/\bname: ["`]([^"`]+)["`]/g),
    ([, name]) => new RegExp(`^${name!.replaceAll(/\$\{[^}]+\}/g, ".+")}$`),
  );
  for (const row of rows) {
    const [group, name = ""] = row.split("/");
    assert(files.some((file) => file.endsWith(`/${group}.ts`)), row);
    assert(names.some((pattern) => pattern.test(name)), row);
  }
});

Deno.test("the first program in the guide for users of Aether for Go prints what the guide shows", async () => {
  const guide = await read("src/coming_from_go.md");
  const folder = await Deno.makeTempDir({ prefix: "aether guide " });
  try {
    await Deno.writeTextFile(join(folder, "main.ts"), blocks(guide, "ts")[0]!);
    const { stdout } = await run(
      ["run", "--config", join(ROOT, "deno.json"), join(folder, "main.ts")],
      folder,
    );
    assert.equal(stdout, blocks(guide, "text")[0]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** `deno test --doc` runs the other blocks; these need files, a server, or a test runner. */
Deno.test("the programs of the guides that need a file or a server run", async (t) => {
  await using server = await startNatsServer();
  await using database = await startPostgresServer("the programs of the guides that need it");
  for (const guide of await guides()) {
    const programs = blocks(await read(guide), "ts ignore");
    if (programs.length === 0) continue;
    await t.step(guide, async () => {
      const folder = await Deno.makeTempDir({ prefix: "aether guide " });
      try {
        for (const [index, program] of programs.entries()) {
          if (program.includes(POSTGRES_URL) && !database) continue;
          const located = program.replaceAll("nats://127.0.0.1:4222", server.url)
            .replaceAll(POSTGRES_URL, database?.url ?? "");
          await runProgram(folder, index, located);
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
});

const POSTGRES_URL = "postgres://postgres@127.0.0.1/postgres";

async function runProgram(folder: string, index: number, program: string): Promise<void> {
  const path = join(folder, `program_${index}.ts`);
  // A server or a run goes on until it is stopped; here it is stopped at once.
  const isEndless = /Deno\.serve\(|run\.finished/.test(program);
  const end = isEndless ? "\nsetTimeout(() => Deno.exit(0), 300);\n" : "";
  await Deno.writeTextFile(path, program + end);
  const verb = program.includes("testEventStore(") ? "test" : "run";
  const { code, stderr } = await run(
    [verb, "--quiet", "--config", join(ROOT, "deno.json"), "--allow-all", path],
    folder,
  );
  assert.equal(code, 0, `${program}\n${stderr}`);
}

Deno.test("every link and every path in the guides leads to a file", async () => {
  const broken: string[] = [];
  for (const guide of await guides()) {
    const text = await read(guide);
    const links = Array.from(
      text.matchAll(/\]\((?!https?:)([^)#]+)(#[^)]*)?\)/g),
      ([, link]) => join(dirname(guide), link!),
    );
    const paths = Array.from(text.matchAll(/`((?:src|tests|examples)\/[\w./-]*)`/g), ([, path]) => path!);
    for (const path of [...links, ...paths]) {
      if (!await exists(path)) broken.push(`${guide}: ${path}`);
    }
  }
  assert.deepEqual(broken, []);
});

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(join(ROOT, path));
    return true;
  } catch {
    return false;
  }
}

Deno.test("the limits in the guide are those of the stores", async () => {
  const guide = await read("src/store/README.md");
  await using memory = new InMemoryEventStore();
  await using kv = await DenoKvEventStore.open(":memory:");
  const shown = (bytes: number): string => bytes % MIB === 0 ? `${bytes / MIB} MiB` : `${bytes / KIB} KiB`;
  const cells = (row: string): string[] =>
    new RegExp(`^\\| ${row} +\\|(.*)\\|$`, "m").exec(guide)![1]!.split("|").map((cell) => cell.trim());
  for (const [index, { limits }] of [memory, kv].entries()) {
    const { actorsPerCommit, eventsPerCommit, bytesPerCommit, bytesPerEvent } = limits;
    const events = eventsPerCommit.toLocaleString("en-US");
    const commit = `${actorsPerCommit} actors, ${events} events, ${shown(bytesPerCommit)}`;
    assert.equal(cells("a commit, at most")[index], commit);
    assert.equal(cells("an event, at most")[index], shown(bytesPerEvent));
  }
});

Deno.test("src/errors.md lists every code of a warning or a finding, and no other", async () => {
  const used = new Set(["bus-interrupted", "bus-overflow", "bus-undecodable"]); // made from the reasons of a loss
  for (const path of await filesBelow("src", ".ts")) {
    if (path.startsWith("src/testing/")) continue;
    for (const [line] of (await read(path)).matchAll(/^.*(\bcode: |#report\().*$/gm)) {
      for (const [, code] of line.matchAll(/"([a-z]+(?:-[a-z]+)+|retention)"/g)) used.add(code!);
    }
  }
  const listed = Array.from(
    (await read("src/errors.md")).matchAll(/^\| `([a-z-]+)` /gm),
    ([, code]) => code!,
  );
  assert.deepEqual(listed.sort(), [...used].sort());
});

Deno.test("every task has a description", async () => {
  const { tasks } = JSON.parse(await read("deno.json")) as {
    tasks: Record<string, { description?: string }>;
  };
  for (const [name, { description }] of Object.entries(tasks)) assert(description, name);
});
