/** The documentation of the package: what JSR's score asks for, and that `mod.ts` leaves nothing out. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { denoOk, ROOT } from "./deno_program.ts";

/** As much of `deno doc --json` as is looked at here. */
interface Documentation {
  readonly nodes: Readonly<Record<string, ModuleDocumentation>>;
}
interface ModuleDocumentation {
  readonly module_doc?: Comment;
  readonly symbols: readonly { readonly name: string; readonly declarations: readonly Declaration[] }[];
}
interface Declaration {
  /** `reference` to what another entry declares; `class`, `interface`, `function` ... */
  readonly kind: string;
  readonly jsDoc?: Comment;
  readonly def: {
    readonly extends?: unknown;
    readonly methods?: readonly { readonly name: string; readonly jsDoc?: Comment }[];
  };
}
interface Comment {
  readonly doc?: string;
  readonly tags?: readonly { readonly kind: string; readonly doc?: string }[];
}

const { exports: EXPORTS } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`)) as {
  exports: Readonly<Record<string, string>>;
};
/** What mod.ts leaves out: errors that are only ever a cause, what a user's own bucket needs, what loads a package, and what needs a newer Deno. */
const ONLY_IN_ENTRIES = [
  "BucketLeaseStore",
  "JetStreamApiError",
  "NoAnswerError",
  "NotConnectedError",
  "PayloadTooLargeError",
  "RevisionConflictError",
  "StreamNotFoundError",
  "nextCron",
  "place",
  "runCommandLine",
  "studio",
];
/** What a user never writes comes from the other entries. */
const MAX_NAMES = 272;
/** Shows all that `./backend` offers. */
const OWN_STORE = await Deno.readTextFile(new URL("../../examples/own_store.ts", import.meta.url));
/** Contracts whose every method comes with an example: stores and buses of all kinds keep them. */
const CONTRACTS = ["EventStore", "SnapshotStore", "EventBus", "LeaseStore"];

/** What each export documents. */
async function documentation(): Promise<Map<string, ModuleDocumentation>> {
  const paths = Object.values(EXPORTS);
  const { nodes } = JSON.parse(await denoOk(["doc", "--json", ...paths])) as Documentation;
  return new Map(
    Object.entries(EXPORTS).map(([entry, path]) => {
      const module = nodes[new URL(`../../${path}`, import.meta.url).href];
      assert(module, `${entry} is not documented`);
      return [entry, module];
    }),
  );
}

Deno.test("every export documents what it is for, with an example", async () => {
  for (const [entry, { module_doc: comment }] of await documentation()) {
    assert(comment?.doc, `${entry} has no module documentation`);
    assert(hasExample(comment), `${entry} has no example`);
  }
});

Deno.test("every exported symbol is documented", async () => {
  for (const [entry, { symbols }] of await documentation()) {
    const least = entry === "./cli" ? 0 : entry === "./cron" ? 3 : 10;
    assert(symbols.length > least, `${entry} exports ${symbols.length} symbols`);
    for (const { name, declarations } of symbols) {
      const documented = declarations.some(({ kind, jsDoc }) => kind === "reference" || jsDoc?.doc);
      assert(documented, `${name} of ${entry} is not documented`);
    }
  }
});

Deno.test("every function, every class that is not an error, and every method of a contract has an example", async () => {
  const missing = new Set<string>();
  let functions = 0;
  for (const [entry, { symbols }] of await documentation()) {
    for (const { name, declarations } of symbols) {
      for (const { kind, jsDoc, def } of declarations) {
        const methods = (def.methods ?? []).filter((method) => !method.name.startsWith("["));
        if (kind === "function") functions++;
        if (kind === "function" || kind === "class" && !name.endsWith("Error")) {
          const isShown = entry === "./backend" && new RegExp(`\\b${name}\\b`).test(OWN_STORE);
          if (![jsDoc, ...methods.map((method) => method.jsDoc)].some(hasExample) && !isShown) {
            missing.add(name);
          }
        }
        if (!CONTRACTS.includes(name)) continue;
        for (const method of new Set(methods.map(({ name }) => name))) {
          const overloads = methods.filter((overload) => overload.name === method);
          if (method !== "close" && !overloads.some(({ jsDoc }) => hasExample(jsDoc))) {
            missing.add(`${name}.${method}`);
          }
        }
      }
    }
  }
  assert(functions > 0);
  assert.deepEqual([...missing], []);
});

Deno.test("mod.ts exports each class and function of the other entries, but the testing kit and ./backend", async () => {
  const main = new Set((await documentation()).get(".")!.symbols.map(({ name }) => name));
  const missing = new Set<string>();
  const elsewhere = new Set<string>();
  for (const [entry, { symbols }] of await documentation()) {
    if (entry === ".") continue;
    for (const { name, declarations } of symbols) {
      elsewhere.add(name);
      if (entry === "./testing" || entry === "./backend" || main.has(name)) continue;
      if (declarations.some(({ kind }) => kind === "class" || kind === "function")) missing.add(name);
    }
  }
  assert.deepEqual([...missing].sort(), ONLY_IN_ENTRIES);
  assert.deepEqual([...main.difference(elsewhere)], [], "only mod.ts exports these");
});

Deno.test("the entry of a backend has all parts of it", async () => {
  const parts = {
    "./memory": ["InMemoryEventStore", "InMemoryCheckpoints", "InMemoryLeases", "LocalEventBus"],
    "./deno-kv": ["DenoKvEventStore", "DenoKvCheckpoints", "DenoKvLeases"],
    "./jetstream": ["JetStreamEventStore", "JetStreamCheckpoints", "JetStreamLeases", "NatsEventBus"],
  };
  const entries = await documentation();
  for (const [entry, names] of Object.entries(parts)) {
    const exported = new Set(entries.get(entry)!.symbols.map(({ name }) => name));
    for (const name of [...names, "execute", "replay", "AetherError"]) {
      assert(exported.has(name), `${name} of ${entry}`);
    }
  }
});

Deno.test("mod.ts exports no more names than are allowed", async () => {
  assert((await documentation()).get(".")!.symbols.length <= MAX_NAMES);
});

Deno.test("every name of mod.ts is in a chapter of the documentation", async () => {
  const chapters = new Map<string, string>();
  const names = new Set<string>();
  for (const [entry, { symbols }] of await documentation()) {
    for (const { name, declarations } of symbols) {
      if (entry === ".") names.add(name);
      const tags = declarations.flatMap(({ jsDoc }) => jsDoc?.tags ?? []);
      const chapter = tags.find(({ kind }) => kind === "category")?.doc;
      if (chapter !== undefined) chapters.set(name, chapter);
    }
  }
  assert.deepEqual([...names].filter((name) => !chapters.has(name)), []);
  assert.deepEqual(
    [...new Set(chapters.values())].sort(),
    [
      "Actors",
      "Bus",
      "Cluster",
      "Command line",
      "Deciders",
      "Errors and warnings",
      "Events",
      "Evidence",
      "NATS",
      "Projections",
      "Stores",
      "Studio",
    ],
  );
});

Deno.test("deno doc --html builds for all exports", async () => {
  const folder = await Deno.makeTempDir({ prefix: "aether html " });
  try {
    await denoOk(["doc", "--html", "--name=aether", `--output=${folder}`, ...Object.values(EXPORTS)]);
    await Deno.stat(join(folder, "index.html"));
    const symbolsPage = await Deno.readTextFile(join(folder, "all_symbols.html"));
    for (const [, { symbols }] of await documentation()) {
      for (const { name } of symbols) {
        assert(symbolsPage.includes(name), `${name} is not on the page of all symbols`);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function hasExample(comment: Comment | undefined): boolean {
  return comment?.tags?.some(({ kind, doc }) => kind === "example" && doc?.includes("```ts")) ?? false;
}
