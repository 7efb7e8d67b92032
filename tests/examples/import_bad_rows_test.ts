import assert from "node:assert/strict";
import { expectedEvents, generateLog, toCsv } from "../support/event_log.ts";
import { Workplace } from "./start_program.ts";

const HEADER = "case:concept:name,concept:name,time:timestamp,note\r\n";
const GOOD = "c-1,Begun,2026-01-01 10:00:00+01:00,fine\r\n";

/** A broken row, and what is said of it: it stands on line 3, behind the header and a good row. */
const BROKEN_CSV: Record<string, [row: string | Uint8Array<ArrayBuffer>, complaint: string]> = {
  "an empty case": [",Begun,2026-01-01 10:00:00Z,x", 'line 3, column 1 "case:concept:name": it is empty'],
  "an empty activity": ["c-2,,2026-01-01 10:00:00Z,x", 'line 3, column 2 "concept:name": it is empty'],
  "an empty timestamp": ["c-2,Begun,,x", 'line 3, column 3 "time:timestamp": it is empty'],
  "a timestamp without an offset": [
    "c-2,Begun,2026-01-01 10:00:00,x",
    'line 3, column 3 "time:timestamp": must be a valid Date or RFC 3339 text',
  ],
  "an impossible day": ["c-2,Begun,2026-02-30 10:00:00Z,x", 'line 3, column 3 "time:timestamp": must be'],
  "too few columns": [
    "c-2,Begun,2026-01-01 10:00:00Z",
    "line 3, column 4: the row has 3 columns, and the header 4",
  ],
  "too many columns": [
    "c-2,Begun,2026-01-01 10:00:00Z,a,b",
    "line 3, column 5: the row has 5 columns, and the header 4",
  ],
  "a case that is too long": [
    `${"c".repeat(513)},Begun,2026-01-01 10:00:00Z,x`,
    'line 3, column 1 "case:concept:name": must be at most 512 bytes',
  ],
  "text behind a closing quote": [
    'c-2,"Beg"un,2026-01-01 10:00:00Z,x',
    "line 3: a quoted field goes on behind",
  ],
  "a quote in an unquoted field": [
    'c-2,Be"gun,2026-01-01 10:00:00Z,x',
    "line 3: a quote is inside a field",
  ],
  "a quote that is never closed": [
    'c-2,Begun,2026-01-01 10:00:00Z,"x',
    "line 3: a quote is opened and never closed",
  ],
  "Latin-1": [
    Uint8Array.from("c-2,Pr\u00fcfung,2026-01-01 10:00:00Z,x", (character) => character.charCodeAt(0)),
    "line 3: line 3 is not UTF-8 text",
  ],
};

for (const [fault, [row, complaint]] of Object.entries(BROKEN_CSV)) {
  Deno.test(`start import names line and column of ${fault}, imports nothing, and goes on with --skip-bad`, async () => {
    await using place = await Workplace.make();
    const encoder = new TextEncoder();
    const bytes = typeof row === "string" ? encoder.encode(row) : row;
    const before = encoder.encode(HEADER + GOOD);
    const after = encoder.encode("\r\n" + GOOD.replace("c-1", "c-3") + GOOD.replace("c-1", "c-4"));
    await place.write("log.csv", new Uint8Array([...before, ...bytes, ...after]));

    const refusal = await place.fail(1, "import", "log.csv");
    assert(refusal.includes(complaint), refusal);
    assert.match(refusal, /1 bad row of .*log\.csv/);
    assert.match(refusal, /Nothing was imported.*--skip-bad/);
    assert.deepEqual(await place.readAll(), []);

    const { code, stdout, stderr } = await place.run("import", "log.csv", "--skip-bad");
    assert.equal(code, 0, stderr);
    assert(stderr.includes(complaint), stderr);
    assert.match(stdout, /Skipped +1 bad row\n/);
    assert.deepEqual((await place.readAll()).map(({ actorId }) => actorId), ["c-1", "c-3", "c-4"]);
  });
}

Deno.test("start import refuses rows that the store would find too large, and stores those just below", async () => {
  await using place = await Workplace.make();
  const row = (actorId: string, note: string): string => GOOD.replace("c-1", actorId).replace("fine", note);
  const large = "x".repeat(261_800);
  await place.write(
    "log.csv",
    HEADER + row("over", "x".repeat(262_144)) + row("far-over", "x".repeat(1_000_000)) + row("a", large) +
      row("b", large) + row("escaped", "\\".repeat(130_900)) + row("escaped-over", "\\".repeat(131_072)),
  );
  const { code, stderr } = await place.run("import", "log.csv", "--skip-bad");
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /3 bad rows of .*\n(?: {2}line [237]: the event has \d+ bytes or more as JSON, and the store takes 262144\n){3}$/,
  );
  assert.deepEqual((await place.readAll()).map(({ actorId }) => actorId), ["a", "b", "escaped"]);
});

Deno.test("start import counts lines through quoted newlines and blank lines", async () => {
  await using place = await Workplace.make();
  const quoted = GOOD.replace("fine", '"two\r\nlines\r\n\r\nor four"');
  await place.write(
    "log.csv",
    `${HEADER}${quoted}\r\n${GOOD}bad\r\n${quoted}\r\n"bad" quote\r\n${GOOD}bad,\r\n`,
  );
  assert.match(
    await place.fail(1, "import", "log.csv"),
    /3 bad rows of .*\n {2}line 8, column 2: .*\n {2}line 14: a quoted field .*\n {2}line 16, column 3: /,
  );
});

Deno.test("start import lists bad lines of NDJSON with their columns", async () => {
  await using place = await Workplace.make();
  const good =
    `{"case:concept:name": "c-1", "concept:name": "Begun", "time:timestamp": "2026-01-01T10:00:00Z"}`;
  await place.write(
    "log.ndjson",
    [
      good,
      good.replace('"Begun",', '"Begun"'),
      good.slice(0, 50),
      "[1, 2]",
      good.replace('"Begun"', "7"),
      good.replace("Begun", "Ended").replace('"c-1"', "null"),
      good.replace("Begun", "Ended"),
    ].join("\n"),
  );
  const complaint = await place.fail(1, "import", "log.ndjson");
  const lines = complaint.split("\n").map((line) => line.trim());
  assert.match(lines[0]!, /5 bad rows/);
  assert.match(lines[1]!, /^line 2, column \d+: it is not JSON: Expected ',' or '}'/);
  assert.match(lines[2]!, /^line 3, column 51: it is not JSON: /);
  assert.equal(
    lines[3],
    "line 4, column 1: it is not a JSON object: each line holds one, a member for each column",
  );
  assert.match(lines[4]!, /^line 5, column "concept:name": must be a string, and is 7/);
  assert.match(lines[5]!, /^line 6, column "case:concept:name": it is missing or empty/);
  assert.equal((await place.run("import", "log.ndjson", "--skip-bad")).code, 0);
  assert.deepEqual((await place.readAll()).map(({ eventType }) => eventType), ["Begun", "Ended"]);
});

Deno.test("start import --skip-bad leaves the good rows as they are, and can be run again", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(20, 60);
  const [header, ...lines] = toCsv(rows, { lineEnd: "\n" }).split(/(?<=\n)(?=\w+(?:-\w+)?,case-)/);
  assert.equal(lines.length, rows.length);
  for (const index of [150, 100, 50, 0]) lines.splice(index, 0, `bad ${index}\n`);
  await place.write("log.csv", [header, ...lines].join(""));
  for (const result of [/Skipped +4 bad rows/, /Nothing to do/]) {
    const { code, stdout, stderr } = await place.run("import", "log.csv", "--skip-bad");
    assert.equal(code, 0);
    assert.match(stdout, result);
    assert.equal(stderr.match(/the row has 1 column, and the header 9/g)?.length, 4);
    await place.assertStored(expectedEvents(rows));
  }
});

Deno.test("start import refuses files that are no log", async () => {
  await using place = await Workplace.make();
  assert.match(await place.fail(1, "import", "absent.csv"), /There is no file .*absent\.csv/);
  await Deno.mkdir(`${place.path}/folder`);
  assert.match(await place.fail(1, "import", "folder"), /folder is a folder/);
  assert.match(await place.fail(1, "import", await place.write("empty.csv", "")), /empty\.csv is empty/);
  assert.match(
    await place.fail(1, "import", await place.write("header.csv", HEADER)),
    /has no events to import/,
  );
  const prose = await place.write("prose.csv", HEADER + '"To be" or not to be\n'.repeat(200));
  assert.match(
    await place.fail(1, "import", prose),
    /more than 100 rows with broken quotes: is this a CSV file\?/,
  );
  const twice = await place.write("twice.csv", HEADER.replace("note", "concept:name") + GOOD);
  assert.match(await place.fail(1, "import", twice), /line 1 names the column "concept:name" twice/);
});

Deno.test("start import names a column that no row has once, with the columns that there are", async () => {
  await using place = await Workplace.make();
  const row = JSON.stringify({ order: "o-1", activity: "Begun", time: "2026-01-01T10:00:00Z" });
  await place.write("log.ndjson", `${row}\n`.repeat(8));
  await place.write("log.csv", "order,activity,time\n" + "o-1,Begun,2026-01-01 10:00:00Z\n".repeat(8));
  for (const file of ["log.ndjson", "log.csv"]) {
    const refusal = await place.fail(1, "import", file);
    assert.match(
      refusal,
      /There is no column "case:concept:name"\. The file has "order", "activity", "time"\./,
    );
    assert.match(refusal, /--case COLUMN/);
    assert.equal(refusal.split("case:concept:name").length, 2, refusal);
  }
});
