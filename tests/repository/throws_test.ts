/** The `@throws` tags of the source: each names classes that exist, and goes on with the condition. */

import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);
/** Classes of the language that the source throws. */
const BUILT_IN = ["Error", "RangeError", "SyntaxError", "TypeError"];
const TAG = /@throws\s+(?:\{([^}]*)\}\s*)?(\S+)/g;

/** The TypeScript files below a folder, with their texts. */
function* sources(folder: URL): Generator<readonly [file: string, text: string]> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const url = new URL(isDirectory ? `${name}/` : name, folder);
    if (isDirectory) yield* sources(url);
    else if (name.endsWith(".ts")) yield [url.href.slice(ROOT.href.length), Deno.readTextFileSync(url)];
  }
}

/** What is wrong with the tags of a text, by a file's name. */
function faultsIn(file: string, text: string, classes: ReadonlySet<string>): string[] {
  return [...text.matchAll(TAG)].flatMap(([tag, names, next]) => {
    const unknown = (names ?? "").split("|").map((name) => name.trim()).filter((name) =>
      name !== "" && !classes.has(name)
    );
    const faults = unknown.map((name) => `${file}: no class is named "${name}": ${tag}`);
    if (names !== undefined && next !== "If") {
      faults.push(`${file}: write "@throws {${names}} If ...": ${tag}`);
    }
    return faults;
  });
}

Deno.test("a tag that names no class, or no condition, is found", () => {
  const classes = new Set(["OneError", "OtherError"]);
  assert.deepEqual(faultsIn("a.ts", "@throws {OneError | OtherError} If it ends.", classes), []);
  assert.deepEqual(faultsIn("a.ts", "@throws What the store throws.", classes), []);
  assert.match(faultsIn("a.ts", "@throws {OneError | GoneError} If it ends.", classes).join(), /"GoneError"/);
  assert.match(faultsIn("a.ts", "@throws {OneError} if it ends.", classes).join(), /If \.\.\./);
});

Deno.test("each @throws tag names classes that exist, and the condition", () => {
  const files = [...sources(new URL("src/", ROOT))];
  const classes = new Set(BUILT_IN);
  for (const [, text] of files) {
    for (const [, name] of text.matchAll(/\bclass (\w+)/g)) classes.add(name!);
  }
  assert(classes.size > 50 && files.some(([, text]) => text.includes("@throws {")));
  assert.deepEqual(files.flatMap(([file, text]) => faultsIn(file, text, classes)), []);
});
