/**
 * Plain English in the source, the guides, the examples and the names of tests, because a reader's first language may
 * be any. Turns of phrase that are only in books have a plain word beside them in the table.
 */

import assert from "node:assert/strict";

/** What is not written, and what is written instead. Spaces also match the end of a line. */
const TURNS: readonly (readonly [RegExp, string])[] = [
  [/anew|afresh|once more/, "again"],
  [/mend(?:s|ed|ing)?/, "fix, correct"],
  [/beside/, "next to, with"],
  [/for ever|for good(?! \w)|without end/, "forever"],
  [/at the most/, "at most"],
  [/at hand/, "available, known"],
  [/in mind/, "remembered, known"],
  [/le(?:t|ts|tting) (?:\w+ )?go of|let it go/, "release"],
  [/whoever|whomever/, "any process that, callers that"],
  [/somebody|someone|anybody|anyone/, "another process, a user"],
  [/nobody|no one(?! of)|everybody/, "no process, no reader, all users"],
  [/whatever|whichever/, "any, each, all that"],
  [/wherever/, "in every place that, if"],
  [/those who|he who|the one who/, "callers that, users that"],
  [/in office/, "confirmed leader"],
  [/delusions?/, "stale period"],
  [/doors?/, "entry point, constructor, open function"],
  [/rooms|a room(?! (?:for|to|left))/, "module, file"],
  [
    /tak(?:e|es|ing) turns|in (?:its|their) turn|(?:a|(?<!for )(?:its|their)|the|one|one's|each) turn/,
    "call, in order",
  ],
  [/lie|lies|lain|lying/, "is stored, is, are in"],
  [/stand(?:s|ing)?(?! (?:for|out|in for|by|still)\b)|stood/, "is stored, is, are in"],
  [/says|said/, "reports, throws, returns, names, means"],
  [/tells|told(?! apart)/, "reports, throws, returns, is given"],
  [/(?:is|are|was|were|be|been) (?:\w+ )?away/, "unavailable, disconnected"],
  [
    /(?:is|are|was|were)(?: not| already| still| no longer| also)? there(?! (?:is|are|was|a|an|any|no)\b)/,
    "exists, is stored",
  ],
  [/where (?:it|they|one|none|he|no \w+) (?:is|are)/, "if, if it exists, if given"],
  [/where there (?:is|are|was|were)/, "if there is"],
  [/(?:nothing|none|`?undefined`?) where/, "`undefined` if, no ... if"],
  [/(?:nothing|none|anything|everything|all) but/, "only, all except"],
  [/in vain|to no avail/, "without effect"],
  [/fares?|faring/, "how ... runs, the state of"],
  [/heed(?:s|ed|ing)?/, "respect, notice"],
  [/shall|ought|must needs/, "must, should, is to"],
  [/upon|amidst|amongst|whilst|lest|albeit|ere/, "on, among, while, so that ... not, although"],
  [
    /whence|hence(?:forth)?|thence|thereof|thereby|therein|thereupon|hither(?:to)?|heretofore|forthwith/,
    "therefore, from",
  ],
  [/naught|nought|aught/, "nothing"],
  [/dwell(?:s|ing)?|befall(?:s|en)?|perish(?:es|ed)?|betray(?:s|ed)?/, "a plain verb"],
];

/** The names of tests: the first argument of a call such as `Deno.test`, `t.step` or a function that registers one. */
const TEST_NAME = /\b(?:test\w*|step)\(\s*(?:\{\s*name:\s*)?("(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)/g;

const turns = new RegExp(
  TURNS.map(([turn]) => `(\\b(?:${turn.source.replaceAll(" ", "\\s+(?:(?:\\*|//|>|-)\\s+)?")})(?!\\w))`).join(
    "|",
  ),
  "dgi",
);

interface Hit {
  readonly file: string;
  readonly line: number;
  readonly turn: string;
  readonly instead: string;
}

/** The turns of phrase in a text. */
function hitsIn(text: string): { readonly at: number; readonly turn: string; readonly instead: string }[] {
  return [...text.matchAll(turns)].map((match) => ({
    at: match.index,
    turn: match[0].replaceAll(/\s+/g, " "),
    instead: TURNS[match.slice(1).findIndex((group) => group !== undefined)]![1],
  }));
}

/** The text of a file with only the names of its tests, on the lines where they are. */
function testNames(text: string): string {
  let names = "";
  for (const match of text.matchAll(TEST_NAME)) {
    const start = match.index + match[0].length - match[1]!.length;
    names += text.slice(names.length, start).replaceAll(/[^\n]/g, " ") + match[1];
  }
  return names;
}

function* filesIn(folder: URL): Generator<URL> {
  for (const entry of Deno.readDirSync(folder)) {
    const url = new URL(`${entry.name}${entry.isDirectory ? "/" : ""}`, folder);
    if (entry.isDirectory) yield* filesIn(url);
    else if (/\.(?:ts|md)$/.test(entry.name)) yield url;
  }
}

function findHits(): Hit[] {
  const root = new URL("../../", import.meta.url);
  const files = ["src/", "examples/", "tests/", ".github/"].flatMap((
    folder,
  ) => [...filesIn(new URL(folder, root))]);
  const hits: Hit[] = [];
  for (const url of [new URL("README.md", root), new URL("mod.ts", root), ...files]) {
    const file = url.href.slice(root.href.length);
    if (file === "tests/repository/plain_english_test.ts") continue;
    const whole = Deno.readTextFileSync(url);
    const text = file.startsWith("tests/") && file.endsWith(".ts") ? testNames(whole) : whole;
    for (const { at, ...hit } of hitsIn(text)) {
      hits.push({ file, line: text.slice(0, at).split("\n").length, ...hit });
    }
  }
  return hits;
}

const show = ({ file, line, turn, instead }: Hit): string => `${file}:${line} "${turn}": write ${instead}`;

Deno.test("a text with a turn of phrase is found across lines, and in the names of tests only", () => {
  assert.deepEqual(hitsIn(" * It is stored for\n * ever.").map(({ turn }) => turn), ["for * ever"]);
  assert.deepEqual(hitsIn("This stands for a class; ask whether there is one.").length, 0);
  const test = 'const nobody = 1;\nDeno.test("nobody reads", () => {});';
  assert.equal(testNames(test).split("\n")[1]?.trim(), '"nobody reads"');
  assert.equal(hitsIn(testNames(test)).length, 1);
});

Deno.test("source, guides, examples and names of tests are in plain English", () => {
  assert.deepEqual(findHits().map(show), []);
});
