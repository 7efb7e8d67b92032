import assert from "node:assert/strict";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import {
  type ExpectedEvent,
  expectedEvents,
  generateLog,
  seededRandom,
  toCsv,
} from "../support/event_log.ts";
import { decode, Workplace } from "./start_program.ts";

/** A process that has not done what is awaited by then never will; in milliseconds. */
const PATIENCE = 60_000;

Deno.test("start import killed at random moments goes on each time: nothing doubled, nothing lost, in order", async () => {
  await using place = await Workplace.make();
  const rows = generateLog(10, 300);
  const expected = expectedEvents(rows);
  const file = await place.write("log.csv", toCsv(rows));
  const random = seededRandom(11);
  let stored = 0;
  let kills = 0;
  for (let round = 0; round < 5; round++) {
    // Killed once some event of the next part is seen in the store: in the midst of the writing, wherever that is.
    const target = Math.min(stored + Math.floor(random() * expected.length / 8), expected.length - 1);
    const importer = place.spawn("import", file);
    await untilStored(place, expected[target]!);
    importer.kill("SIGKILL");
    const { signal } = await importer.output();
    if (signal === "SIGKILL") kills++;
    stored = (await place.readAll()).length;
    assert(stored > target);
    await place.assertStored(expected.slice(0, stored));
  }
  assert(kills >= 2, `only ${kills} importers were killed before they had done`);
  await place.succeed("import", file);
  await place.assertStored(expected);
});

Deno.test({
  name: "start import stops at Ctrl-C behind a whole commit, reports it, and goes on in the next run",
  ignore: Deno.build.os === "windows",
  async fn(): Promise<void> {
    await using place = await Workplace.make();
    const rows = generateLog(12, 300);
    const expected = expectedEvents(rows);
    const file = await place.write("log.csv", toCsv(rows));
    const importer = place.spawn("import", file);
    await untilStored(place, expected[100]!);
    importer.kill("SIGINT");
    const { code, stdout } = decode(await importer.output());
    assert.equal(code, 130, stdout);
    const stored = await place.readAll();
    assert.match(
      stdout,
      new RegExp(`Interrupted: ${stored.length.toLocaleString("en")} of [\\d,]+ events are stored`),
    );
    await place.assertStored(expected.slice(0, stored.length));
    assert.match(await place.succeed("import", file), /Going on: [\d,]+ of them are stored already/);
    await place.assertStored(expected);
  },
});

/** Waits until another process has stored an event. */
async function untilStored(place: Workplace, { actorId, version }: ExpectedEvent): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  await Deno.mkdir(`${place.path}/aether-data`, { recursive: true });
  await using store = await DenoKvEventStore.open(place.storeFile);
  while (await store.getLatestVersion(actorId) < version) {
    assert(performance.now() < deadline, "the importer stored nothing");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
