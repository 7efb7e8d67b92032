/** What `deno publish` uploads: just the package, and nothing that needs this repository. */

import assert from "node:assert/strict";
import { deno, publishedRegistry, ROOT } from "./deno_program.ts";

interface PackageConfig {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
  readonly publish: { readonly include: readonly string[] };
}

const CONFIG = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`)) as PackageConfig;
/** What `import ... from`, `export ... from` and `import()` name. */
const SPECIFIER = /^(?:import|export|\})[^"\n]*? from "([^"]+)"|\bimport\("([^"]+)"\)/gm;

Deno.test("deno publish uploads what it announces, and what deno.json includes", async () => {
  await using registry = await publishedRegistry();
  const { name, version, files } = registry.publication;
  assert.deepEqual([name, version], [CONFIG.name, CONFIG.version]);
  const uploaded = [...files.keys()].sort();
  assert.deepEqual(uploaded, await filesOf(CONFIG.publish.include));
  assert.deepEqual(uploaded, await announcedFiles());
  assert(uploaded.includes("README.md") && uploaded.includes("LICENSE"));
  assert.equal(CONFIG.license, "MIT");
});

Deno.test("what is published imports its own files, the runtime, and packages at a version range", async () => {
  await using registry = await publishedRegistry();
  const { exports, files } = registry.publication;
  for (const entry of Object.values(exports)) assert(files.has(entry.slice("./".length)), entry);
  const imported = new Set<string>();
  for (const [file, source] of sources(files)) {
    for (const specifier of specifiersOf(source)) {
      if (specifier.startsWith(".")) {
        const { pathname } = new URL(specifier, `file:///${file}`);
        assert(files.has(pathname.slice(1)), `${file} imports ${specifier}`);
      } else if (!specifier.startsWith("node:")) imported.add(specifier.replace("npm:/", "npm:"));
    }
  }
  // Those of tests and examples (emmett, uuid, csv-parse ...) are not among them.
  assert.deepEqual([...imported].sort(), [
    CONFIG.imports["@nats-io/nats-core"],
    CONFIG.imports["@nats-io/transport-node"],
    CONFIG.imports["@opentelemetry/api"],
    CONFIG.imports["@optique/core"],
    CONFIG.imports["cli-progress"],
    CONFIG.imports["croner"],
    CONFIG.imports["fast-check"],
    `${CONFIG.imports["htm"]}/preact/standalone`,
    CONFIG.imports["microdiff"],
    CONFIG.imports["string-width"],
  ]);
  for (const specifier of imported) {
    assert.match(specifier, /^npm:(@[\w-]+\/)?[\w-]+@[\^~]\d+\.\d+\.\d+(\/preact\/standalone)?$/);
  }
});

Deno.test("deno.json names no package that nothing imports, and no file that does not exist", async () => {
  const imported = new Set<string>();
  for (const file of await filesOf(["src/", "tests/", "examples/"])) {
    if (!file.endsWith(".ts")) continue;
    for (const specifier of specifiersOf(await Deno.readTextFile(`${ROOT}${file}`))) imported.add(specifier);
  }
  for (const name of Object.keys(CONFIG.imports)) {
    assert(
      [...imported].some((specifier) => specifier === name || specifier.startsWith(`${name}/`)),
      `nothing imports ${name}`,
    );
  }
  for (const path of CONFIG.publish.include) await Deno.stat(`${ROOT}${path}`);
});

Deno.test("a clean checkout can be published without any flag", async () => {
  const folder = await Deno.makeTempDir({ prefix: "aether clean " });
  try {
    await run("git", ["clone", "--quiet", "--local", ROOT, folder]);
    const { code, stderr } = await deno(["publish", "--dry-run", "--no-check"], { cwd: folder });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Dry run complete/);
    assert.doesNotMatch(stderr, /^warning/im);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** What `deno publish --dry-run` says that it would upload. */
async function announcedFiles(): Promise<string[]> {
  const { code, stderr } = await deno(["publish", "--dry-run", "--allow-dirty", "--no-check"]);
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /^warning/im);
  const root = new URL("../../", import.meta.url).href;
  const files: string[] = [];
  for (const [, url] of stderr.matchAll(/^\s+(file:.*) \(\S+\)$/gm)) {
    assert(url!.startsWith(root), url);
    files.push(url!.slice(root.length));
  }
  return files.sort();
}

/** The files that paths of `publish.include` stand for. */
async function filesOf(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    if (!path.endsWith("/")) {
      files.push(path);
      continue;
    }
    for await (const { name, isDirectory } of Deno.readDir(`${ROOT}${path}`)) {
      if (isDirectory) files.push(...await filesOf([`${path}${name}/`]));
      else files.push(`${path}${name}`);
    }
  }
  return files.sort();
}

function specifiersOf(source: string): string[] {
  return Array.from(source.matchAll(SPECIFIER), ([, from, dynamic]) => from ?? dynamic ?? "");
}

function* sources(
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): Iterable<[file: string, source: string]> {
  const decoder = new TextDecoder();
  for (const [file, bytes] of files) {
    if (file.endsWith(".ts")) yield [file, decoder.decode(bytes)];
  }
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  assert(success, new TextDecoder().decode(stderr));
}
