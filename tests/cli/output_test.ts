/** Tables on terminals of any width, and what is never printed. */

import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import widthOf from "string-width";
import { tableLines } from "../../src/cli/output.ts";
import { hider, shownTarget } from "../../src/cli/secrets.ts";
import type { Terminal } from "../../src/cli/terminal.ts";

const ESCAPE = "\u001b";
const COLUMNS = ["TIME", "ACTOR", "VERSION", "TYPE", "DATA"];
const WIDE = "\u65e5\u672c\u8a9e\u306e\u6ce8\u6587";
const ROWS = [
  ["2026-01-01T10:00:00.000Z", "order-1", "1", "OrderPlaced", '{"total":5}'],
  ["2026-01-01T10:00:00.000Z", WIDE.repeat(6), "1000000", "OrderPlaced", JSON.stringify({ note: WIDE })],
  ["2026-01-01T10:00:00.000Z", "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}", "2", "e\u0301", "x".repeat(500)],
];

const terminal = (columns: number | undefined, hasColours = false): Terminal => ({
  columns,
  hasColours,
  print: () => {},
  note: () => {},
  room: () => Promise.resolve(),
  flush: () => Promise.resolve(),
  write: () => Promise.resolve(),
});

Deno.test("a table fits a terminal of any width, also with wide characters", async () => {
  const table = { columns: COLUMNS, rows: ROWS };
  for (const width of [1, 2, 5, 10, 20, 40, 79, 80, 132]) {
    const lines = await tableLines(table, terminal(width));
    assert.equal(lines.length, 4);
    for (const line of lines) assert(widthOf(line) <= width, `${width}: ${widthOf(line)} ${line}`);
  }
  const narrow = await tableLines(table, terminal(60));
  assert.match(narrow[1]!, /order-1/, "what is short is kept whole");
});

Deno.test("a table is not cut without a terminal, and its columns are aligned", async () => {
  const lines = await tableLines({ columns: COLUMNS, rows: ROWS }, terminal(undefined));
  assert(lines[3]!.endsWith("x".repeat(500)));
  const starts = lines.map((line, index) =>
    widthOf(line.slice(0, line.indexOf(index === 0 ? "TYPE" : ROWS[index - 1]![3]!)))
  );
  assert.equal(new Set(starts).size, 1, starts.join());
});

Deno.test("a terminal with colours gets the same table, and what is wrong in red", async () => {
  const table = {
    columns: ["NAME", "STATE", "NOTE"],
    rows: [["totals", "stopped", WIDE.repeat(9)], ["stopped", "up to date", "\u001b[31mred"]],
    colourOf: (cell: string, column: string) =>
      column === "STATE" && cell === "stopped" ? "red" as const : undefined,
  };
  for (const width of [undefined, 80, 30, 12, 4]) {
    const plain = await tableLines(table, terminal(width));
    const bright = await tableLines(table, terminal(width, true));
    assert.deepEqual(bright.map(stripVTControlCharacters), plain, "colours take no room");
    for (const line of bright) {
      const codes = line.split(ESCAPE).slice(1).map((part) => part.startsWith("[0m"));
      assert.deepEqual(codes, codes.map((_, index) => index % 2 === 1), "each colour ends in its line");
    }
  }
  const [head, first, second] = await tableLines(table, terminal(80, true));
  assert(head!.startsWith(`${ESCAPE}[1mNAME${ESCAPE}[0m     ${ESCAPE}[1mSTATE`), head);
  assert(first!.startsWith(`totals   ${ESCAPE}[31mstopped${ESCAPE}[0m     `), first);
  assert(
    second!.startsWith("stopped  up to date  \\u001b[31mred"),
    "text of the log has no colours of its own",
  );
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
