/** Tables on terminals of any width, and what is never printed. */

import assert from "node:assert/strict";
import widthOf from "string-width";
import { tableLines } from "../../src/cli/output.ts";
import { hider, shownTarget } from "../../src/cli/secrets.ts";

const COLUMNS = ["TIME", "ACTOR", "VERSION", "TYPE", "DATA"];
const WIDE = "\u65e5\u672c\u8a9e\u306e\u6ce8\u6587";
const ROWS = [
  ["2026-01-01T10:00:00.000Z", "order-1", "1", "OrderPlaced", '{"total":5}'],
  ["2026-01-01T10:00:00.000Z", WIDE.repeat(6), "1000000", "OrderPlaced", JSON.stringify({ note: WIDE })],
  ["2026-01-01T10:00:00.000Z", "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}", "2", "e\u0301", "x".repeat(500)],
];

Deno.test("a table fits a terminal of any width, also with wide characters", async () => {
  const table = { columns: COLUMNS, rows: ROWS };
  for (const width of [1, 2, 5, 10, 20, 40, 79, 80, 132]) {
    const lines = await tableLines(table, width);
    assert.equal(lines.length, 4);
    for (const line of lines) assert(widthOf(line) <= width, `${width}: ${widthOf(line)} ${line}`);
  }
  const narrow = await tableLines(table, 60);
  assert.match(narrow[1]!, /order-1/, "what is short is kept whole");
});

Deno.test("a table is not cut without a terminal, and its columns are aligned", async () => {
  const lines = await tableLines({ columns: COLUMNS, rows: ROWS }, undefined);
  assert(lines[3]!.endsWith("x".repeat(500)));
  const starts = lines.map((line, index) =>
    widthOf(line.slice(0, line.indexOf(index === 0 ? "TYPE" : ROWS[index - 1]![3]!)))
  );
  assert.equal(new Set(starts).size, 1, starts.join());
});

Deno.test("no user, password or token of a URL is shown", () => {
  const cases = [
    ["nats://ada:secret@host:4222", "nats://host:4222"],
    ["nats://tokentoken@host", "nats://host"],
    ["nats://ada:se/cr@et@host", "nats://host"],
    ["nats://a:secret@one,nats://b:secret@two", "nats://two"],
    ["https://ada:secret@kv.example", "https://kv.example"],
    ["orders@2026.kv", "orders@2026.kv"],
  ] as const;
  for (const [target, shown] of cases) assert.equal(shownTarget(target), shown);
  const hide = hider(["log", "nats://ada:p%40ss/word@host", "orders.kv"]);
  assert.equal(hide("cannot reach nats://ada:p%40ss/word@host: no"), "cannot reach nats://host: no");
  assert.equal(hide("p@ss/word was refused"), "*** was refused");
  assert.equal(hide("see nats://bob:other@elsewhere"), "see nats://elsewhere");
});
