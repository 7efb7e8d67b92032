/** Links lead somewhere: those of doc comments to a name that an entry point exports, those of guides to a file and a heading. */

import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);

/** The names that a module exports, by its source: `export { a, type B as C } from`, `export *` and declarations. */
function exportsOf(module: URL, seen = new Set<string>()): Set<string> {
  const names = new Set<string>();
  if (seen.has(module.href)) return names;
  seen.add(module.href);
  const text = Deno.readTextFileSync(module);
  for (const [, list] of text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)) {
    for (const item of list!.replaceAll(/\/\/.*/g, "").split(",")) {
      const name = item.trim().replace(/^type /, "").replace(/^.* as /, "");
      if (name) names.add(name);
    }
  }
  for (const [, from] of text.matchAll(/^export \* from "([^"]+)"/gm)) {
    for (const name of exportsOf(new URL(from!, module), seen)) names.add(name);
  }
  const declared =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:const|class|interface|type|function\*?|enum) (\w+)/gm;
  for (const [, name] of text.matchAll(declared)) names.add(name!);
  return names;
}

function* filesIn(folder: URL, extension: string): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (name === "node_modules" || name === ".git") continue;
    if (isDirectory) yield* filesIn(new URL(`${name}/`, folder), extension);
    else if (name.endsWith(extension)) yield new URL(name, folder);
  }
}

const shown = (file: URL, text: string, at: number): string =>
  `${file.href.slice(ROOT.href.length)}:${text.slice(0, at).split("\n").length}`;

/** The anchor that a heading gets on a page. */
const anchorOf = (heading: string): string =>
  heading.trim().toLowerCase().replaceAll(/[^\p{Letter}\p{Number}\s_-]/gu, "").replaceAll(/\s/g, "-");

Deno.test("a link of a doc comment names what its file declares or imports, or an entry point exports", () => {
  const exported = new Set<string>();
  for (const entry of Object.values(config.exports)) {
    for (const name of exportsOf(new URL(entry, ROOT))) exported.add(name);
  }
  const dead: string[] = [];
  for (const file of [new URL("mod.ts", ROOT), ...filesIn(new URL("src/", ROOT), ".ts")]) {
    const text = Deno.readTextFileSync(file);
    const own = text.replaceAll(/\/\*\*[\s\S]*?\*\//g, "");
    for (const match of text.matchAll(/\{@link(?:code|plain)?\s+(?:\*\s+)?([^}|\s]+)/g)) {
      const target = match[1]!;
      if (/^https?:/.test(target)) continue;
      const name = target.split(/[.#(]/)[0]!;
      if (exported.has(name) || new RegExp(`\\b${name}\\b`).test(own)) continue;
      dead.push(`${shown(file, text, match.index)} ${target}`);
    }
  }
  assert.deepEqual(dead, []);
});

Deno.test("a relative link of a guide leads to a file, and to a heading of it", () => {
  const dead: string[] = [];
  for (const file of filesIn(ROOT, ".md")) {
    const text = Deno.readTextFileSync(file);
    for (const match of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      const link = match[1]!;
      if (/^[a-z]+:/i.test(link)) continue;
      const target = new URL(link, file);
      const path = new URL(target.pathname, file);
      try {
        const isFile = Deno.statSync(path).isFile;
        if (target.hash && isFile) {
          const headings = Deno.readTextFileSync(path).matchAll(/^#+ (.*)$/gm);
          if ([...headings].some(([, heading]) => `#${anchorOf(heading!)}` === target.hash)) continue;
          dead.push(`${shown(file, text, match.index)} ${link}`);
        }
      } catch {
        dead.push(`${shown(file, text, match.index)} ${link}`);
      }
    }
  }
  assert.deepEqual(dead, []);
});
