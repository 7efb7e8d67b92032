/** A log whose program has definitions of its events, which the command line does not know. */

import assert from "node:assert/strict";
import { DenoKvEventStore, type Event, type EventDefinitions } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { aether, startAether } from "./command_line.ts";

Deno.test("aether shows events of any schema version as they were stored", async () => {
  await using folder = await kvFolder();
  {
    const upcast = [({ total }: { total: number }) => ({ cents: total * 100 })];
    const events = { OrderPlaced: { version: 2, upcast } } as unknown as EventDefinitions<Event>;
    await using before = await DenoKvEventStore.open(folder.file);
    await before.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], {
      expectedVersion: 0,
    });
    await using after = await DenoKvEventStore.open(folder.file, { events });
    await after.append("order-1", [{ eventType: "OrderPlaced", data: { cents: 700 } }], {
      expectedVersion: 1,
    });
  }
  const allow = [`--allow-read=${folder.file}`, `--allow-write=${folder.file}`];
  for (const args of [["show", folder.file, "order-1"], ["log", folder.file]]) {
    const { code, rows, err } = await aether([...args, "--json"], { allow });
    assert.equal(code, 0, err);
    assert.deepEqual(rows.map(({ data }) => data), [{ total: 5 }, { cents: 700 }], args[0]);
  }
  await using tail = startAether(["tail", folder.file, "--json"], { allow });
  const [first = ""] = await firstLines(tail, 1);
  assert.deepEqual(JSON.parse(first).data, { total: 5 });
});

/** The first lines that a process prints; it is ended then. */
async function firstLines(process: Deno.ChildProcess, count: number): Promise<string[]> {
  let text = "";
  for await (const part of process.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.split("\n").length > count) break;
  }
  process.kill("SIGKILL");
  await process.stderr.cancel();
  await process.status;
  return text.split("\n").slice(0, count);
}
