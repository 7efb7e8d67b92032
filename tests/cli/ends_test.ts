/** How a command ends: an output that is closed early, Ctrl-C, a terminal with a bar. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { until } from "../support/until.ts";
import { aether, PROGRAM, shell, startAether } from "./command_line.ts";

Deno.test("aether ends without a word if its output is closed early, as by head", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open(folder.file);
    const events = Array.from({ length: 500 }, (_, total) => ({ eventType: "Counted", data: { total } }));
    for (let batch = 0; batch < 10; batch++) {
      await store.append("counter-1", events, { expectedVersion: "any" });
    }
  }
  const commands = [
    'log "$1" --limit 5000',
    'log "$1" --limit 5000 --json',
    'show "$1" counter-1 --limit 5000 --given',
    'tail "$1" --limit 5000',
    'export "$1" - 2>/dev/null',
  ];
  const ran = await Promise.all(
    commands.map((command) =>
      shell(`aether ${command} | head -c 1 >/dev/null; echo "\${PIPESTATUS[@]}"`, [folder.file])
    ),
  );
  for (const [index, { text }] of ran.entries()) assert.equal(text, "141 0\n", commands[index]);
  // More than are in memory at once.
  const { rows } = await aether(["log", folder.file, "--limit", "1200", "--json"], { allow: ["-A"] });
  assert.deepEqual(rows.map(({ version }) => version), rows.map((_, index) => 3_801 + index));
  assert.equal(rows.length, 1_200);
  const shown = await aether(
    ["show", folder.file, "counter-1", "--limit", "1200", "--at", "4900", "--json"],
    {
      allow: ["-A"],
    },
  );
  assert.deepEqual(shown.rows.map(({ version }) => version), rows.map((_, index) => 3_701 + index));
});

Deno.test("aether ends at Ctrl-C with 130, keeps what was done, and goes on at the next run", async () => {
  await using folder = await kvFolder();
  const { file, path } = folder;
  {
    await using store = await DenoKvEventStore.open(file);
    const events = Array.from({ length: 900 }, (_, total) => ({ eventType: "Counted", data: { total } }));
    for (let batch = 0; batch < 40; batch++) {
      await store.append(`counter-${batch}`, events, { expectedVersion: 0 });
    }
  }
  const copied = `${path}/copy.kv`;
  const allow = [`--allow-read=${file},${copied}`, `--allow-write=${file},${copied}`];
  const args = ["copy", file, copied, "--yes", "--json"];
  {
    await using copy = startAether(args, { allow });
    const size = async (): Promise<number> =>
      (await Deno.stat(`${copied}-wal`).catch(() => ({ size: 0 }))).size;
    await until("the copy has begun", async () => await size() > 500_000);
    copy.kill("SIGINT");
    const { code, stdout, stderr } = await copy.output();
    const decoder = new TextDecoder();
    assert.deepEqual([code, decoder.decode(stdout)], [130, ""]);
    assert.match(
      decoder.decode(stderr),
      /^(copying: .*\n)*It was interrupted\. .* run it again to go on\.\n$/,
    );
  }
  const [report] = (await aether(args, { allow })).rows;
  assert.equal(report!["events"], 36_000);
  assert(report!["copied"] as number < 36_000, "what was copied before is kept");
});

Deno.test("aether can be installed as a command, and shows a bar on a terminal", async () => {
  await using folder = await kvFolder();
  const { file, path } = folder;
  {
    await using store = await DenoKvEventStore.open(file);
    await store.append("order-1", [{ eventType: "Counted", data: null }], { expectedVersion: 0 });
  }
  const install = new Deno.Command(Deno.execPath(), {
    args: ["install", "--global", "--quiet", "--root", path, "--name", "aether", "--unstable-kv", "-A"]
      .concat("--unstable-lazy-dynamic-imports", "--v8-flags=--optimize-for-size")
      .concat("--config", fileURLToPath(new URL("../../deno.json", import.meta.url)), PROGRAM),
  });
  const { success, stderr } = await install.output();
  assert(success, new TextDecoder().decode(stderr));
  const command = `${path}/bin/aether copy ${file} ${path}/copy.kv --yes`;
  // A terminal of its own.
  const { text } = await shell(`script --quiet --return --command "$1" /dev/null </dev/null`, [command]);
  assert.match(text, /copying: 1 event/);
  assert.match(text, /verifying \[#+\] 100 %, 1 event/);
  assert.match(text, /Both have 1 event, 1 of them copied now/);
});
