/** What a command does while nothing reads what it prints: it waits, and reads no further. */

import assert from "node:assert/strict";
import { DenoKvEventStore } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { until } from "../support/until.ts";
import { shell, startAether } from "./command_line.ts";

const EVENTS = 5_040;
const EVENT_BYTES = 4_000;

Deno.test("aether waits for a reader of its output that is slow, and reads no further", async (t) => {
  await using folder = await kvFolder();
  const { file } = folder;
  {
    await using store = await DenoKvEventStore.open(file);
    for (let stored = 0; stored < EVENTS; stored += 80) {
      // What cannot be compressed: the file is as large as the events are.
      const note = (): string => crypto.getRandomValues(new Uint8Array(EVENT_BYTES)).toBase64();
      const events = Array.from({ length: 80 }, () => ({ eventType: "Counted", data: { note: note() } }));
      await store.append("counter-1", events, { expectedVersion: stored });
    }
  }
  const limit = ["--limit", String(EVENTS)];
  const commands = [
    ["log", file, "--after", "start", ...limit],
    ["log", file, "--after", "start", ...limit, "--json"],
    ["tail", file, "--after", "start", "--json"],
    ["export", file, "-"],
  ];
  for (const args of commands) {
    await t.step(args.filter((arg) => arg !== file).join(" "), async () => {
      await using command = startAether(args, { allow: ["-A"] });
      const rest = command.stderr.pipeTo(new WritableStream());
      const reader = command.stdout.getReader();
      const first = await reader.read();
      await waits(command.pid);
      const before = bytesRead(command.pid);
      let printed = first.value?.length ?? 0;
      while (printed < EVENTS * EVENT_BYTES) {
        const { value } = await reader.read();
        assert(value, `it ended after ${printed} bytes`);
        printed += value.length;
      }
      const read = bytesRead(command.pid) - before;
      assert(read > EVENTS * EVENT_BYTES / 4, `it has read ${before} bytes while nothing took them`);
      await reader.cancel();
      command.kill("SIGTERM");
      await rest;
    });
  }
});

Deno.test("aether waits also for a reader of a pipe that another process has made non-blocking", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open(folder.file);
    const data = { note: "x".repeat(1_000) };
    const events = Array.from({ length: 400 }, () => ({ eventType: "Counted", data }));
    await store.append("counter-1", events, { expectedVersion: 0 });
  }
  const script = `eval "words=($AETHER)"
nonblocking() { perl -MFcntl -e 'fcntl(STDOUT, F_SETFL, O_NONBLOCK | fcntl(STDOUT, F_GETFL, 0)); exec @ARGV' "$@"; }
nonblocking "\${words[@]}" log "$1" --limit 400 --json | (read -r line; sleep 0.5; wc -l); echo "\${PIPESTATUS[0]}"`;
  const { text } = await shell(script, [folder.file]);
  assert.equal(text, "399\n0\n");
});

Deno.test("aether ends at Ctrl-C with 130 while nothing reads its output", async (t) => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open(folder.file);
    const data = { note: "x".repeat(1_000) };
    const events = Array.from({ length: 400 }, () => ({ eventType: "Counted", data }));
    await store.append("counter-1", events, { expectedVersion: 0 });
  }
  const limit = ["--limit", "400"];
  const commands = [
    ["log", folder.file, ...limit],
    ["log", folder.file, ...limit, "--json"],
    ["tail", folder.file, "--after", "start", "--json"],
    ["tail", folder.file, ...limit],
    ["show", folder.file, "counter-1", ...limit],
    ["show", folder.file, "counter-1", ...limit, "--given"],
    ["export", folder.file, "-"],
  ];
  for (const args of commands) {
    await t.step(args.filter((arg) => arg !== folder.file).join(" "), async () => {
      await using command = startAether(args, { allow: ["-A"] });
      const notes = new Response(command.stderr).text();
      const reader = command.stdout.getReader();
      await reader.read();
      await waits(command.pid);
      command.kill("SIGINT");
      const { code, signal } = await command.status;
      assert.deepEqual([code, signal], [130, null]);
      assert.match(await notes, /^(Writes .*\n)?(exporting: .*\n)*It was interrupted\. .*\n$/);
      await reader.cancel();
    });
  }
});

/** Waits until a process uses the processor no more. */
async function waits(pid: number): Promise<void> {
  let used = -1;
  let looks = 0;
  await until("it waits", async () => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    const before = used;
    used = processorTime(pid);
    looks = used === before ? looks + 1 : 0;
    return looks === 5;
  });
}

/** How much of the processor a process has used. */
function processorTime(pid: number): number {
  const [, user, system] = /\)(?: \S+){11} (\d+) (\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/stat`)) ??
    [];
  return Number(user) + Number(system);
}

/** How many bytes a process has read from files. */
function bytesRead(pid: number): number {
  return Number(/rchar: (\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/io`))?.[1]);
}
