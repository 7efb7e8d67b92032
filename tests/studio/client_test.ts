/** The studio's page, as far as it is functions: text, addresses, long lists, folded time; and the files that are sent. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { EventRow, HistoryPage, LogPage } from "../../src/studio/api/mod.ts";
import { linePoints } from "../../src/studio/client/chart.js";
import { bundle } from "../../src/studio/client/bundle.ts";
import { CLIENT_FILES, PAGE } from "../../src/studio/client/files.ts";
import { foldTimes } from "../../src/studio/client/fold.js";
import {
  clock,
  colourOf,
  count,
  day,
  duration,
  plural,
  preview,
  short,
  visible,
} from "../../src/studio/client/format.js";
import { jsonLines, pathText } from "../../src/studio/client/json.js";
import * as logRows from "../../src/studio/client/log_rows.js";
import { hrefOf, parseRoute } from "../../src/studio/client/route.js";
import { Versions } from "../../src/studio/client/versions.js";
import { listHeight, rowsInView, scrollTo } from "../../src/studio/client/window.js";

Deno.test("numbers and durations are short, and never show more than two units", () => {
  assert.deepEqual([count(1_234_567), plural(1, "event"), plural(2_000, "event")], [
    "1,234,567",
    "1 event",
    "2,000 events",
  ]);
  const numbers = [0, 0.25, 9.96, 950, 9_999, 12_345, 999_499, 999_500, 4_560_000, 7e9];
  assert.deepEqual(numbers.map(short), [
    ...["0", "0.3", "10.0", "950", "9,999", "12.3 k", "999 k", "1.00 M", "4.56 M", "7.00 G"],
  ]);
  const durations = [
    -5,
    0,
    999.4,
    1_000,
    9_999,
    10_000,
    59_999,
    60_000,
    61_000,
    3_599_999,
    3_600_000,
    90_061_000,
  ];
  assert.deepEqual(durations.map(duration), [
    ...["0 ms", "0 ms", "999 ms", "1.0 s", "9.9 s", "10 s", "59 s", "1 min", "1 min 1 s", "59 min 59 s"],
    ...["1 h", "1 d 1 h"],
  ]);
});

Deno.test("times are shown in UTC, and what is no time as it is", () => {
  assert.deepEqual([clock("2026-01-31T23:30:00.5+01:00"), day("2026-01-31T23:30:00.5-01:00")], [
    "22:30:00.500",
    "2026-02-01",
  ]);
  assert.deepEqual([clock("yesterday\u202e"), day("yesterday")], ["yesterday\\u202e", ""]);
});

Deno.test("visible() shows each character that hides itself, or turns the direction of text", () => {
  assert.equal(visible("a\u0000b\nc\u202ed\u2066e\ufefff"), "a\\u0000b\\u000ac\\u202ed\\u2066e\\ufefff");
  assert.equal(visible("half \ud800 and \u{1f600} whole"), "half \\ud800 and \u{1f600} whole");
  assert.equal(visible("\u00e4 \u4e2d \u0627"), "\u00e4 \u4e2d \u0627");
});

Deno.test("preview() is bounded for data of any size and depth", () => {
  let deep: unknown = 1;
  for (let depth = 0; depth < 100_000; depth++) deep = depth % 2 === 0 ? [deep] : { a: deep };
  for (const value of [deep, "x".repeat(1e6), { text: "x".repeat(1e6) }, new Array(1e5).fill(null)]) {
    assert(preview(value, 100).length <= 101);
  }
  assert.equal(preview({ a: 1, b: ["x", null, true, {}] }), `{a: 1, b: ["x", null, true, {}]}`);
});

Deno.test("colourOf() gives a name one of eight colours, always the same", () => {
  fc.assert(fc.property(fc.string(), (name) => {
    const colour = colourOf(name);
    assert(Number.isInteger(colour) && colour >= 0 && colour < 8);
    assert.equal(colourOf(name), colour);
  }));
});

Deno.test("parseRoute() reads what hrefOf() writes, for any actor id", () => {
  const id = fc.oneof(
    fc.string({ minLength: 1, maxLength: 12 }),
    fc.constantFrom("a/b", "..", "%", "?x=1#y", "<b>", "\u4e2d\u{1f600}\n"),
  );
  const text = fc.string({ minLength: 1, maxLength: 8 });
  const query = fc.dictionary(text.filter((name) => name !== "__proto__"), text, { maxKeys: 3 });
  fc.assert(fc.property(id, query, (id, query) => {
    const route = parseRoute(hrefOf("actor", id, query));
    assert.deepEqual([route.page, route.id], ["actor", id]);
    assert.deepEqual({ ...route.query }, { ...query });
  }));
  assert.deepEqual(parseRoute(""), { page: "log", id: "", query: {} });
  assert.equal(parseRoute("#/actor/%zz").id, "%zz");
  assert.equal(hrefOf("actor", "\ud800"), "#/actor/%EF%BF%BD");
  assert.equal(hrefOf("log", "", { type: "", position: undefined }), "#/log");
});

Deno.test("jsonLines() writes what JSON.stringify() writes, in lines", () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
    const { lines, isCut } = jsonLines(value, Infinity);
    const text = lines.map(({ key, text }) => key + text).join("");
    // Negative zero is "0" in JSON; characters that hide themselves are escaped, which JSON reads back.
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
    assert(!isCut);
  }));
  assert.deepEqual(jsonLines({ a: [1] }, 10).lines.map(({ depth, key, text }) => `${depth} ${key}${text}`), [
    ...["0 {", `1 "a": [`, "2 1", "1 ]", "0 }"],
  ]);
});

Deno.test("jsonLines() is bounded for data of any size and depth, and finds fields by their path", () => {
  let deep: unknown = 1;
  for (let depth = 0; depth < 100_000; depth++) deep = [deep];
  const { lines, isCut } = jsonLines(deep, 50);
  assert.deepEqual([lines.length, isCut], [50, true]);
  assert(jsonLines("x".repeat(1e6), 1).lines[0]!.text.endsWith("(998,000 more characters)"));
  const value = { "a/b": [{ "0": "x" }] };
  const found = jsonLines(value, 10).lines.find(({ path }) => path === pathText(["a/b", 0, "0"]));
  assert.equal(found?.text, `"x"`);
});

Deno.test("foldTimes() keeps events in order between 0 and 1, and folds what is long", () => {
  fc.assert(fc.property(fc.array(fc.nat(1e9), { maxLength: 60 }), (gaps) => {
    let time = 0;
    const times = gaps.map((gap) => time += gap);
    const { places, folds } = foldTimes(times);
    assert.equal(places.length, times.length);
    places.forEach((place, index) =>
      assert(place >= 0 && place <= 1 && place >= (places[index - 1] ?? 0) - 1e-9)
    );
    for (const { x, gap } of folds) assert(x >= 0 && x <= 1 && gap > 1_000);
  }));
  const { places, folds } = foldTimes([0, 1_000, 2_000, 3_000, 90_003_000, 90_004_000]);
  assert.deepEqual(folds.map(({ index, gap }) => [index, gap]), [[4, 90_000_000]]);
  assert(places[3]! > 0.6, "a day without an event takes a twentieth of the line");
  assert.deepEqual(foldTimes([5, 5, 5]).places, [0, 0.5, 1]);
  assert.deepEqual([foldTimes([]).places, foldTimes([7]).places], [[], [0]]);
});

Deno.test("of any list only what is on the screen is in the page, and each row can be reached", () => {
  for (const rows of [0, 1, 20, 1_000, 100_000, 10_000_000]) {
    const size = { rows, rowHeight: 32, viewHeight: 500 };
    assert(listHeight(size) <= 8_000_000);
    for (const share of [0, 0.001, 0.5, 1]) {
      const row = Math.max(0, Math.ceil(rows * share) - 1);
      const scrollTop = scrollTo(size, 0, row);
      assert(
        scrollTop >= 0 && scrollTop <= Math.max(0, listHeight(size) - size.viewHeight) + 1,
        `${rows}: ${scrollTop}`,
      );
      const { first, end, top } = rowsInView(size, scrollTop);
      assert(end - first <= 17);
      if (rows > 0) assert(row >= first && row < end, `${rows}: row ${row} in ${first} to ${end}`);
      assert(top >= 0 && top + (end - first) * 32 <= listHeight(size) + 1, `${rows}: ${top}`);
    }
  }
  const size = { rows: 1_000, rowHeight: 32, viewHeight: 320 };
  assert.equal(scrollTo(size, 640, 25), 640, "a row on the screen is not moved");
});

Deno.test("linePoints() fits values of any size into its picture", () => {
  assert.equal(linePoints([0, 5, 10], 100, 20), "0,20 50,10 100,0");
  assert.equal(linePoints([0, 0], 100, 20), "0,20 100,20");
  assert.equal(linePoints([], 100, 20), "");
});

const event = (position: number, fields: Partial<EventRow> = {}): EventRow => ({
  ...{ id: `id-${position}`, eventType: "A", actorId: "a", version: position, data: null },
  ...{ position: String(position).padStart(6, "0"), timestamp: "2026-01-31T00:00:00Z" },
  ...fields,
});
const page = (from: number, until: number, fields: Partial<LogPage> = {}): LogPage => ({
  ...{ events: Array.from({ length: until - from }, (_, index) => event(from + index)), damage: [] },
  ...{ earlier: null, later: null, last: null },
  ...fields,
});

Deno.test("the part of the log on the page is bounded, and can go on at both ends", () => {
  let window = logRows.windowOf(page(1_000, 1_100, { earlier: "e" }));
  assert.equal(logRows.latestPosition(window), "001099");
  for (let from = 900; from >= 400; from -= 100) {
    window = logRows.withEarlier(window, page(from, from + 100, { earlier: String(from) }));
  }
  assert.equal(window.rows.length, logRows.MAX_ROWS);
  assert.deepEqual([window.rows.at(-1)!.key, window.rows[0]!.key], ["000400", "000899"]);
  assert.deepEqual([window.earlier, window.later], ["400", "000899"]);

  window = logRows.withLater(window, logRows.rowsOf(page(890, 1_000).events), null);
  assert.equal(new Set(window.rows.map(({ key }) => key)).size, logRows.MAX_ROWS, "no row twice");
  assert.deepEqual([window.rows[0]!.key, window.later], ["000999", null]);
  assert.equal(window.earlier, window.rows.at(-1)!.key);
});

Deno.test("a damaged place is shown in its order in the log", () => {
  const rows = logRows.rowsOf([event(1), event(3)], [{ message: "damaged", position: "000002" }]);
  assert.deepEqual(rows.map(({ kind, key }) => [kind, key]), [
    ["event", "000003"],
    ["damage", "000002"],
    ["event", "000001"],
  ]);
});

Deno.test("Versions reads a block once, also one that comes in pages, and knows what has no event", async () => {
  const asked: number[][] = [];
  const read = (from: number, to: number): Promise<HistoryPage> => {
    asked.push([from, to]);
    const versions = Array.from({ length: 40 }, (_, index) => from + index).filter((v) =>
      v <= 130 && v !== 7
    );
    const next = from + 40 > Math.min(to, 130) ? null : from + 40;
    return Promise.resolve({
      ...{ actorId: "a", latestVersion: 130, next, damage: [] },
      events: versions.filter((version) => version <= to).map((version) => event(version)),
    });
  };
  let changes = 0;
  const versions = new Versions(read, () => changes++);
  assert.equal(versions.at(7), undefined);
  await Promise.all([versions.load(1, 60), versions.load(50, 130)]);
  assert.deepEqual(asked, [[1, 100], [101, 200], [41, 100], [81, 100]]);
  assert.equal(versions.at(7), "none");
  assert.equal((versions.at(130) as EventRow).version, 130);
  assert.equal(versions.at(131), undefined, "it may come yet");
  await versions.load(1, 130);
  assert.equal(asked.length, 4);

  versions.add([event(131), event(133)]);
  assert.deepEqual([(versions.at(131) as EventRow).version, versions.at(132)], [131, "none"]);
  assert.equal(changes, 3);
});

Deno.test("Versions keeps a bounded part of a long history", async () => {
  const read = (from: number, to: number): Promise<HistoryPage> =>
    Promise.resolve({
      ...{ actorId: "a", latestVersion: 100_000, next: null, damage: [] },
      events: Array.from({ length: to - from + 1 }, (_, index) => event(from + index)),
    });
  const versions = new Versions(read, () => {});
  for (let from = 1; from < 100_000; from += 100) await versions.load(from, from + 99);
  let kept = 0;
  for (let version = 1; version <= 100_000; version++) if (versions.at(version) !== undefined) kept++;
  assert.equal(kept, 3_000);
});

Deno.test("the page has one script and one style, which are not cut off, and names its files", () => {
  const named = new Set(Array.from(PAGE.text.matchAll(/client\/([\w.]+)/g), ([, name]) => name!));
  assert.deepEqual([...named], [...CLIENT_FILES.keys()]);
  for (const part of [PAGE.script, PAGE.style]) {
    assert(part.length > 10_000 && PAGE.text.includes(`>${part}</`));
    assert.doesNotMatch(part, /<\/?(script|style)|<!--/i);
  }
  assert.equal(PAGE.text.match(/<script|<style/g)!.length, 2);
  assert.doesNotMatch(PAGE.script, /^(import|export)\b/m);
});

Deno.test("nothing in the page is an attribute that runs, or parses text as HTML or as a program", () => {
  assert.doesNotMatch(
    PAGE.text.replace(PAGE.script, "").replace(PAGE.style, ""),
    /\bon\w+=|\bstyle=|https?:/,
  );
  const own = PAGE.script.replace(/^const \$preact_js = .*?^\}\)\(\);$/ms, "");
  assert(own.length > 50_000 && own.length < PAGE.script.length - 10_000);
  assert.doesNotMatch(
    own,
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?:\/\//,
  );
});

Deno.test("bundle() makes one script of modules that import each other", async () => {
  const script = bundle({
    "main.js":
      `/** Starts. */\nimport { add, ONE as one } from "./sums.js";\nimport * as sums from "./sums.js";\n` +
      `globalThis.bundled = [add(one, 2), sums.Sum.name, sums.later()];\n`,
    "sums.js": `import { two } from "./package.js";\nexport const ONE = 1;\nexport class Sum {}\n` +
      `export function add(a, b) {\n  return a + b;\n}\nexport async function later() {\n  return await two;\n}\n`,
    "package.js": `var e=2,x=e;export{e as one,x as two};`,
  }, "main.js");
  assert.doesNotMatch(script, /Starts/);
  await import(`data:text/javascript,${encodeURIComponent(script)}`);
  const { bundled } = globalThis as unknown as { readonly bundled: readonly unknown[] };
  assert.deepEqual(await Promise.all(bundled), [3, "Sum", 2]);
  assert.throws(() => bundle({ "main.js": 'import { a } from "./b.js";\n' }, "main.js"), /no module b\.js/);
});

Deno.test("everything that the page loads has at most 60 KB, compressed", async () => {
  let size = 0;
  for (const { text } of [PAGE, ...CLIENT_FILES.values()]) {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    size += (await new Response(stream).bytes()).length;
  }
  assert(size <= 60_000, `${size} bytes`);
});
