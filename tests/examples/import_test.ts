import assert from "node:assert/strict";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { expectedEvents, generateLog, type LogRow, toCsv, toNdjson } from "../support/event_log.ts";
import { Workplace } from "./start_program.ts";

const SAMPLE_LOG = Deno.env.get("AETHER_SAMPLE_LOG");

Deno.test("start import stores a CSV log in the order of time, and nothing twice", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(1, 300);
  const file = await place.write("the log.csv", toCsv(rows));
  const expected = expectedEvents(rows);
  const count = expected.length.toLocaleString("en");

  const output = await place.succeed("import", file);
  assert.match(
    output,
    new RegExp(`Importing ${count} events of 300 cases into .*aether-data, namespace "default"`),
  );
  assert.match(output, /Cases +300\n/);
  assert.match(output, new RegExp(`Events +${count}\n`));
  assert.match(output, /Speed +[\d,]+ events\/s\n/);
  assert.match(output, /File size +[\d.]+ [KM]iB \(.*events\.sqlite3\)\n/);
  assert(!output.includes("\r"), "a bar is drawn where there is no terminal");
  await place.assertStored(expected);

  assert.match(
    await place.succeed("import", file),
    new RegExp(`Nothing to do: all ${count} events of 300 cases`),
  );
  await place.assertStored(expected);
});

Deno.test("start import reads LF and CRLF, with and without a BOM, as one and the same log", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(2, 20);
  await place.succeed("import", await place.write("crlf.csv", toCsv(rows)));
  assert.match(
    await place.succeed("import", await place.write("lf.csv", toCsv(rows, { lineEnd: "\n", bom: true }))),
    /Nothing to do/,
  );
});

Deno.test("start import reads NDJSON, and keeps its values as they are", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(3, 30);
  const file = await place.write("log.ndjson", toNdjson(rows));
  await place.succeed("import", file);
  await place.assertStored(expectedEvents(rows));

  const row = {
    who: 7,
    what: "Counted",
    when: "2026-01-01T00:00:00Z",
    amount: 1.5,
    tags: ["a", null],
    nested: { b: true },
  };
  const typed = await place.write("typed.txt", `\ufeff${JSON.stringify(row)}\r\n\r\n`);
  await place.succeed(
    ...["import", typed, "--format", "ndjson", "--case", "who", "--activity", "what", "--timestamp", "when"],
    ...["--namespace", "typed"],
  );
  const [event] = await place.readAll("typed");
  assert.equal(event!.actorId, "7");
  assert.deepEqual(event!.data, { amount: 1.5, tags: ["a", null], nested: { b: true } });
});

Deno.test("start import chooses columns and delimiter, and reports which columns there are", async () => {
  await using place = await Workplace.make();
  const file = await place.write("orders.csv", "order;step;at\no-1;Placed;2026-01-01T10:00:00+01:00\n");
  const missing = await place.fail(1, "import", file, "--delimiter", ";");
  assert.match(
    missing,
    /There is no column "case:concept:name"\. The file has "order", "step", "at"\.\nSay with --case/,
  );
  assert.match(await place.fail(1, "import", file), /or with --delimiter what separates them/);
  await place.succeed(
    ...["import", file, "--delimiter", ";", "--case", "order", "--activity", "step", "--timestamp", "at"],
  );
  const [event] = await place.readAll();
  assert.deepEqual([event!.actorId, event!.eventType, event!.timestamp], [
    "o-1",
    "Placed",
    "2026-01-01T09:00:00.000Z",
  ]);
});

Deno.test("start import goes on with a log that has grown at its end", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(4, 40);
  const inTime = rows.toSorted((a, b) => instantOf(a) - instantOf(b));
  const begun = inTime.slice(0, 100);
  await place.succeed("import", await place.write("begun.csv", toCsv(begun)));
  const output = await place.succeed("import", await place.write("grown.csv", toCsv(inTime)));
  assert.match(output, /Going on: 100 of them are stored already/);
  await place.assertStored(expectedEvents(inTime));
});

Deno.test("start import refuses other rows for the cases that are stored, and mixes nothing", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(5, 40);
  const expected = expectedEvents(rows);
  await place.succeed("import", await place.write("log.csv", toCsv(rows)));

  const changed = rows.map((row, index) => index === 7 ? { ...row, "org:resource": "Somebody else" } : row);
  const refusal = await place.fail(1, "import", await place.write("changed.csv", toCsv(changed)));
  assert.match(refusal, /holds other events of case "case-\d+"/);
  assert.match(refusal, /Nothing was imported/);
  assert.match(refusal, /--namespace NAME/);

  const late: LogRow = {
    ...rows[0]!,
    "case:concept:name": "late",
    "time:timestamp": "2010-01-01 00:00:00+00:00",
  };
  const inserted = await place.fail(1, "import", await place.write("inserted.csv", toCsv([...rows, late])));
  assert.match(
    inserted,
    new RegExp(`The event of line \\d+ \\("late", 2010-01-01T00:00:00.000Z\\) is not stored`),
  );
  await place.assertStored(expected);

  await place.succeed("import", "changed.csv", "--namespace", "changed");
  await place.assertStored(expectedEvents(changed), "changed");
  await place.assertStored(expected);
});

Deno.test("start import leaves a case alone that a program has gone on with", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(7, 5);
  const file = await place.write("log.csv", toCsv(rows));
  await place.succeed("import", file);
  const { actorId, version } = expectedEvents(rows).at(-1)!;
  {
    await using store = await DenoKvEventStore.open(place.storeFile);
    await store.append(actorId, [{ eventType: "Reopened", data: {} }], { expectedVersion: version });
  }
  assert.match(await place.succeed("import", file), /Nothing to do/);

  const next = { ...rows[0]!, "case:concept:name": actorId, "time:timestamp": "2031-01-01 00:00:00+00:00" };
  const grown = await place.write("grown.csv", toCsv([...rows, next]));
  assert.match(await place.fail(1, "import", grown), new RegExp(`holds other events of case "${actorId}"`));
  assert.equal((await place.readAll()).length, rows.length + 1);
});

Deno.test("start import twice at once stores every event once, in the order of time", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(6, 200);
  const file = await place.write("log.csv", toCsv(rows));
  await Promise.all([
    place.succeed("import", file),
    place.succeed("import", file),
    place.succeed("import", file),
  ]);
  await place.assertStored(expectedEvents(rows));
});

Deno.test({
  name: "start import reads the real log that AETHER_SAMPLE_LOG names: 8,577 events of 1,434 cases",
  ignore: SAMPLE_LOG === undefined,
  async fn(): Promise<void> {
    await using place = await Workplace.make();
    const output = await place.succeed("import", SAMPLE_LOG!);
    assert.match(output, /Cases +1,434\n +Events +8,577\n/);
    const events = await place.readAll();
    assert.equal(events.length, 8577);
    assert.equal(new Set(events.map(({ actorId }) => actorId)).size, 1434);
    const times = events.map(({ timestamp }) => timestamp);
    assert.deepEqual(times, times.toSorted());
    assert.match(
      await place.succeed("import", SAMPLE_LOG!),
      /Nothing to do: all 8,577 events of 1,434 cases/,
    );
    const shown = await place.succeed("show", "case-10011");
    assert.match(shown, /case-10011: 4 events/);
    assert.match(shown, /Current activity +T02 Check confirmation of receipt\n/);
    assert.match(shown, /Resources +Resource21 \(3\), Resource10 \(1\)\n/);
  },
});

function instantOf(row: LogRow): number {
  return Date.parse(row["time:timestamp"]!.replace(" ", "T"));
}

Deno.test("start import shows a bar on a terminal, and takes it away", async () => {
  await using place = await Workplace.make();
  const file = await place.write("log.csv", toCsv(generateLog(1, 300)));
  const output = await place.onTerminal("import", file);
  // On a fast machine it is whole when it is drawn next.
  assert.match(output, /Importing events \[#+-*\] [\d,]+ of [\d,]+ \(\d+ %\)/);
  assert.match(output, /Cases +300\r\n/);
});
