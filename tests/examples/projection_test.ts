import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore, type StoredEvent } from "@flowmade-one/aether/deno-kv";
import { kvFolder } from "../support/kv_file.ts";
import { expectedEvents, generateLog } from "../support/event_log.ts";
import { decode, Workplace } from "./start_program.ts";

const PROGRAM = fileURLToPath(new URL("../../examples/projection.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));
const DAY = 86_400_000;

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
  for (const events of cases.values()) {
    for (let week = monday(events[0]!.timestamp); week <= monday(events.at(-1)!.timestamp); week += 7 * DAY) {
      const name = new Date(week).toISOString().slice(0, 10);
      weeks.set(name, (weeks.get(name) ?? 0) + 1);
    }
    for (const type of new Set(events.map(({ eventType }) => eventType))) {
      activities.set(type, (activities.get(type) ?? 0) + 1);
    }
  }
  assert.deepEqual(table(output, "Cases open by week"), [...weeks].sort(([a], [b]) => a < b ? -1 : 1));
  assert.deepEqual(new Map(table(output, "Cases by activity")), activities);
  assert.equal(table(output, "Lead times").reduce((sum, [, count]) => sum + count, 0), cases.size);
}

Deno.test("projection.ts: killed again and again, it prints what the log says", async () => {
  await using folder = await kvFolder();
  await using workplace = await Workplace.make();
  let file = folder.file;
  const sample = Deno.env.get("AETHER_SAMPLE_LOG");
  if (sample !== undefined) {
    await workplace.succeed("import", sample);
    file = workplace.storeFile;
  } else {
    await using store = await DenoKvEventStore.open(file);
    const events = expectedEvents(generateLog(7, 250));
    for (let begin = 0; begin < events.length; begin += 10) {
      await store.saveEvents(events.slice(begin, begin + 10));
    }
  }
  for (let kill = 0; kill < 4; kill++) {
    const program = spawn(file);
    const reading = Promise.all([new Response(program.stdout).text(), new Response(program.stderr).text()]);
    await new Promise((resolve) => setTimeout(resolve, 250 + Math.random() * 400));
    try {
      program.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it had ended by itself
    }
    await program.status;
    await reading;
  }
  const output = await run(file);
  await using store = await DenoKvEventStore.open(file);
  check(output, await Array.fromAsync(store.readAll()));
  assert.equal(await run(file), output);
});
