import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore, type StoredEvent } from "@flowmade-one/aether/deno-kv";
import { DenoKvCheckpoints } from "@flowmade-one/aether/projection";
import { kvFolder } from "../support/kv_file.ts";
import { expectedEvents, generateLog } from "../support/event_log.ts";
import { decode, Workplace } from "./start_program.ts";

const PROGRAM = fileURLToPath(new URL("../../examples/projection.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));
const DAY = 86_400_000;
const KILLS = 5;
/** The bounds of lead times, in days, and how the rows are named. */
const LEAD_TIMES = [1, 7, 14, 28, 56];

function spawn(file: string): Deno.ChildProcess {
  const args = ["run", "--no-prompt", "--config", CONFIG, "--allow-read", "--allow-write", PROGRAM, file];
  return new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "piped" }).spawn();
}

async function run(file: string): Promise<string> {
  const { code, stdout, stderr } = decode(await spawn(file).output());
  assert.equal(code, 0, stderr);
  return stdout;
}

/** The rows of a table that was printed. */
function table(output: string, title: string): [string, number][] {
  const lines = output.split("\n");
  const begin = lines.indexOf(title) + 1;
  const rows = lines.slice(begin, lines.indexOf("", begin) < 0 ? undefined : lines.indexOf("", begin));
  return rows.map((line) => {
    const [, name, value] = /^ {2}(.*?) +(\d+)$/.exec(line)!;
    return [name!, Number(value)];
  });
}

/** Holds the tables against the log itself. */
function check(output: string, log: readonly StoredEvent[]): void {
  const cases = Map.groupBy(log, ({ actorId }) => actorId);
  const monday = (timestamp: string): number => {
    const date = new Date(timestamp.slice(0, 10));
    return date.getTime() - (date.getUTCDay() + 6) % 7 * DAY;
  };
  const weeks = new Map<string, number>();
  const activities = new Map<string, number>();
  const leadTimes = new Map<string, number>();
  for (const events of cases.values()) {
    for (let week = monday(events[0]!.timestamp); week <= monday(events.at(-1)!.timestamp); week += 7 * DAY) {
      const name = new Date(week).toISOString().slice(0, 10);
      weeks.set(name, (weeks.get(name) ?? 0) + 1);
    }
    const days = (Date.parse(events.at(-1)!.timestamp) - Date.parse(events[0]!.timestamp)) / DAY;
    const bound = LEAD_TIMES.find((bound) => days < bound);
    const leadTime = bound === undefined ? `${LEAD_TIMES.at(-1)} days or more` : `below ${bound} days`;
    leadTimes.set(leadTime, (leadTimes.get(leadTime) ?? 0) + 1);
    for (const type of new Set(events.map(({ eventType }) => eventType))) {
      activities.set(type, (activities.get(type) ?? 0) + 1);
    }
  }
  assert.deepEqual(table(output, "Cases open by week"), [...weeks].sort(([a], [b]) => a < b ? -1 : 1));
  assert.deepEqual(new Map(table(output, "Cases by activity")), activities);
  const printed = table(output, "Lead times").filter(([, count]) => count > 0);
  assert.deepEqual(new Map(printed), leadTimes);
}

Deno.test("projection.ts: killed again and again, it prints what the log contains", async () => {
  await using folder = await kvFolder();
  await using workplace = await Workplace.make();
  let file = folder.file;
  const sample = Deno.env.get("AETHER_SAMPLE_LOG");
  if (sample !== undefined) {
    await workplace.succeed("import", sample);
    file = workplace.storeFile;
  } else {
    await using store = await DenoKvEventStore.open(file);
    const events = expectedEvents(generateLog(7, 500));
    const { actorsPerCommit } = store.limits;
    for (let begin = 0; begin < events.length; begin += actorsPerCommit) {
      await store.saveEvents(events.slice(begin, begin + actorsPerCommit));
    }
  }
  // Killed in the middle of its work, time and again: as soon as it has committed something.
  await using checkpoints = await DenoKvCheckpoints.open(file);
  const checkpoint = async (): Promise<string | undefined> => {
    const stored = await checkpoints.load({ name: "overview", version: 1 });
    return stored && JSON.parse(stored.value).position;
  };
  await using store = await DenoKvEventStore.open(file);
  const end = await store.getLastPosition();
  let last: string | undefined;
  let midway = 0;
  for (let kills = 0; kills < KILLS;) {
    const program = spawn(file);
    const reading = Promise.all([new Response(program.stdout).text(), new Response(program.stderr).text()]);
    let hasEnded = false;
    program.status.then(() => hasEnded = true);
    const before = last;
    while (!hasEnded && last === before) last = await checkpoint();
    try {
      program.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it had ended by itself
    }
    const { signal } = await program.status;
    await reading;
    if (signal !== "SIGKILL") break;
    kills++;
    last = await checkpoint();
    if (last !== end) midway++;
  }
  assert.ok(midway > 0, "it was never killed in the middle");
  const output = await run(file);
  check(output, await Array.fromAsync(store.readAll()));
  assert.equal(await run(file), output);
});
