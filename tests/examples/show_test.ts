import assert from "node:assert/strict";
import { Workplace } from "./start_program.ts";

const LOG = [
  "case:concept:name,concept:name,time:timestamp,case:channel,org:resource",
  "permit 7,Filed,2026-03-01 10:00:00+01:00,Desk,Ann",
  "permit 7,Checked,2026-03-03 11:30:00+01:00,Desk,Bob",
  "permit 7,Checked,2026-03-03 11:30:05+01:00,Desk,\x1b[31mAnn",
  "",
].join("\n");

Deno.test("start show prints a case's timeline and its state", async () => {
  await using place = await Workplace.make();
  await place.succeed("import", await place.write("log.csv", LOG));
  assert.equal(
    await place.succeed("show", "permit 7"),
    [
      "permit 7: 3 events, times in UTC",
      "",
      "  1  2026-03-01 09:00:00          Filed    Ann",
      "  2  2026-03-03 10:30:00  +2d 1h  Checked  Bob",
      "  3  2026-03-03 10:30:05  +5s     Checked   [31mAnn",
      "",
      "State after replaying 3 events:",
      "  Current activity  Checked",
      "  Began             2026-03-01 09:00:00",
      "  Latest event      2026-03-03 10:30:05",
      "  Duration          2d 1h",
      "  Longest wait      2d 1h, before Checked",
      "  Repeated          Checked (2)",
      "  Resources         Ann (1), Bob (1),  [31mAnn (1)",
      "  case:channel      Desk",
      "",
    ].join("\n"),
  );
});

Deno.test("start show of an unknown case prints which there are", async () => {
  await using place = await Workplace.make();
  await place.succeed("import", await place.write("log.csv", LOG));
  const complaint = await place.fail(1, "show", "permit 8");
  assert.match(complaint, /There is no case "permit 8" in .*aether-data/);
  assert.match(complaint, /There are, for example: permit 7/);
  assert.match(
    await place.fail(1, "show", "permit 7", "--namespace", "other"),
    /Nothing is stored there yet/,
  );
});

Deno.test("start show without a store prints how to begin, and makes none", async () => {
  await using place = await Workplace.make();
  assert.match(
    await place.fail(1, "show", "case-1"),
    /Nothing is stored in .* yet\. Begin with: deno task start/,
  );
  assert.deepEqual([...Deno.readDirSync(place.path)], []);
});
