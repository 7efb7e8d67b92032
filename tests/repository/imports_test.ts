/** Imports of the package's files: no circle, types included, and one direction between folders. */

import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);

/** Files by path, and the files that each imports, also for a type alone. */
type Imports = ReadonlyMap<string, ReadonlySet<string>>;

/** The folders that each folder may import besides itself and the general files of `src`, which every folder may. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "src": [],
  "src/event": [],
  "src/nats": [],
  "src/nats/jetstream": ["src/nats"],
  "src/store": ["src/event"],
  "src/store/memory": ["src/event", "src/store"],
  "src/store/deno_kv": ["src/event", "src/store"],
  "src/store/jetstream": ["src/event", "src/store", "src/nats", "src/nats/jetstream"],
  "src/bus": ["src/event", "src/nats"],
  "src/cluster": ["src/nats", "src/nats/jetstream", "src/cluster/jetstream"],
  "src/cluster/jetstream": ["src/nats", "src/nats/jetstream", "src/cluster"],
  "src/projection": ["src/event", "src/store", "src/nats", "src/cluster"],
  "src/entries": [
    "src/store/memory",
    "src/store/deno_kv",
    "src/store/jetstream",
    "src/bus",
    "src/cluster",
    "src/cluster/jetstream",
    "src/projection",
  ],
  "src/actor": [
    "src/event",
    "src/store",
    "src/nats",
    "src/nats/jetstream",
    "src/cluster",
    "src/cluster/jetstream",
  ],
  "src/evidence": [
    "src/event",
    "src/store",
    "src/nats",
    "src/nats/jetstream",
    "src/cluster",
    "src/projection",
  ],
  "src/cli": [
    "src/event",
    "src/store",
    "src/store/deno_kv",
    "src/store/jetstream",
    "src/nats",
    "src/nats/jetstream",
    "src/cluster",
    "src/cluster/jetstream",
    "src/projection",
    "src/actor",
    "src/evidence",
    "src/studio",
  ],
  "src/studio": [
    "src/event",
    "src/store",
    "src/cluster",
    "src/projection",
    "src/evidence",
    "src/studio/client",
  ],
  "src/studio/client": [],
  "src/testing": ["src/event", "src/store", "src/store/memory", "src/bus", "src/evidence", "src/actor"],
};

/** Imports that the table does not allow, by importer and imported file, and why they are allowed. */
const EXCEPTIONS: readonly (readonly [importer: string, imported: string, reason: string])[] = [
  ["src/evidence/mod.ts", "src/cluster/jetstream/open.ts", "the options of a bucket are public"],
  ["src/evidence/seal_bucket.ts", "src/cluster/jetstream/open.ts", "a bucket with leases in it"],
  ["src/evidence/vault.ts", "src/cluster/jetstream/open.ts", "the options of a bucket are public"],
  ["src/evidence/vault_place.ts", "src/cluster/jetstream/open.ts", "a bucket with the keys of persons in it"],
  ["src/projection/mod.ts", "src/cluster/jetstream/open.ts", "the options of a bucket are public"],
  ["src/projection/jetstream_checkpoints.ts", "src/cluster/jetstream/open.ts", "a bucket with leases in it"],
  ["src/store/copy_checkpoints.ts", "src/projection/checkpoints.ts", "a copy takes checkpoints along"],
  ["src/store/copy_checkpoints.ts", "src/projection/errors.ts", "a copy takes checkpoints along"],
  ["src/store/copy_checkpoints.ts", "src/projection/record.ts", "a copy takes checkpoints along"],
  ["src/studio/actor_routes.ts", "src/cli/history.ts", "the command line makes the same of a history"],
  ["src/studio/projection_routes.ts", "src/cli/projections.ts", "the command line discards in the same way"],
  ["src/testing/specification.ts", "src/projection/errors.ts", "specifications of projections"],
  ["src/testing/specification.ts", "src/projection/once.ts", "specifications of projections"],
  ["src/testing/specification.ts", "src/projection/projection.ts", "specifications of projections"],
];

const SPECIFIER = /\b(?:from|import)\s*\(?\s*"(\.[^"]+)"/g;
/** Lines of doc comments, whose examples import too. */
const COMMENT_LINE = /^ *\*.*$/gm;

function importsOf(source: string, path: string): Set<string> {
  const imported = new Set<string>();
  for (const [, specifier] of source.replace(COMMENT_LINE, "").matchAll(SPECIFIER)) {
    imported.add(new URL(specifier!, `file:///${path}`).pathname.slice(1));
  }
  return imported;
}

async function readImports(folder: string, imports = new Map<string, Set<string>>()): Promise<Imports> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(`${folder}/`, ROOT))) {
    const path = `${folder}/${name}`;
    if (isDirectory) await readImports(path, imports);
    else if (name.endsWith(".ts")) {
      imports.set(path, importsOf(await Deno.readTextFile(new URL(path, ROOT)), path));
    }
  }
  return imports;
}

/** Groups of files that import each other, by Tarjan's algorithm. */
function circlesOf(imports: Imports): string[] {
  const found: string[] = [];
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): void => {
    const number = order.size;
    order.set(file, number);
    lowest.set(file, number);
    stack.push(file);
    for (const imported of imports.get(file) ?? []) {
      if (!imports.has(imported)) continue;
      if (!order.has(imported)) {
        visit(imported);
        lowest.set(file, Math.min(lowest.get(file)!, lowest.get(imported)!));
      } else if (stack.includes(imported)) {
        lowest.set(file, Math.min(lowest.get(file)!, order.get(imported)!));
      }
    }
    if (lowest.get(file) !== number) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1 || imports.get(file)!.has(file)) found.push(group.sort().join(", "));
  };
  for (const file of imports.keys()) if (!order.has(file)) visit(file);
  return found.sort();
}

/** The folder of {@linkcode ALLOWED} that a file is in: the longest that its path begins with. */
function folderOf(path: string): string {
  let folder = path;
  do folder = folder.slice(0, folder.lastIndexOf("/")); while (folder !== "" && !(folder in ALLOWED));
  return folder;
}

function isAllowed(importer: string, imported: string): boolean {
  const [from, to] = [folderOf(importer), folderOf(imported)];
  return from === to || to === "src" || (ALLOWED[from]?.includes(to) ?? false);
}

Deno.test("no files of src import each other in a circle, types included", async () => {
  assert.deepEqual(circlesOf(await readImports("src")), []);
});

Deno.test("folders of src import each other in one direction", async () => {
  const imports = await readImports("src");
  assert.ok(imports.size > 200);
  const forbidden = [...imports].flatMap(([importer, files]) => {
    return [...files].filter((imported) => !isAllowed(importer, imported)).map((to) =>
      `${importer} -> ${to}`
    );
  });
  assert.deepEqual(
    forbidden.sort(),
    EXCEPTIONS.map(([importer, imported]) => `${importer} -> ${imported}`).sort(),
  );
});

Deno.test("the check finds a circle of types, and an import against the direction", () => {
  const sources = {
    "src/event/a.ts": 'import type { B } from "./b.ts";',
    "src/event/b.ts": 'export { c } from "./c.ts";\n * import { a } from "./a.ts";',
    "src/event/c.ts": 'const { a } = await import("./a.ts");',
    "src/event/d.ts": 'import "./a.ts";',
  };
  const imports = new Map(Object.entries(sources).map(([path, source]) => [path, importsOf(source, path)]));
  assert.deepEqual(circlesOf(imports), ["src/event/a.ts, src/event/b.ts, src/event/c.ts"]);
  assert.equal(isAllowed("src/nats/jetstream/bucket.ts", "src/store/errors.ts"), false);
  assert.equal(isAllowed("src/store/jetstream/read/log.ts", "src/store/deno_kv/open.ts"), false);
  assert.equal(isAllowed("src/store/jetstream/read/log.ts", "src/text.ts"), true);
  assert.equal(isAllowed("src/cluster/lease.ts", "src/event/types.ts"), false);
});
