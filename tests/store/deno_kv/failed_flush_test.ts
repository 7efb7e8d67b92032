/** A disk that fails to flush: what a save says, and what is there when the process has died. */

import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { compileFailingFlush } from "../../support/failing_flush.ts";
import { kvFolder } from "../../support/kv_file.ts";

const SUPPORT = fileURLToPath(new URL("../../support/", import.meta.url));

Deno.test("an append whose flush fails is of unknown outcome, because it may be found after a crash", async () => {
  await using folder = await kvFolder();
  const library = await compileFailingFlush(folder.path);
  if (!library) return;
  const flag = `${folder.path}/fail`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--unstable-kv", `${SUPPORT}programs/failed_flush.ts`, folder.file, flag],
    env: { LD_PRELOAD: library, FAIL_FSYNC: flag },
  });
  const { stdout, stderr } = await child.output();
  const outcome = new TextDecoder().decode(stdout).trim();
  assert.equal(outcome, "OutcomeUnknownError", new TextDecoder().decode(stderr));
  await using store = await DenoKvEventStore.open(folder.file);
  const ids = (await store.getEvents("a")).map(({ id }) => id);
  assert.deepEqual(ids.slice(0, 1), ["one"]);
  const again = await store.append("a", [{ id: "two", eventType: "E", data: 2 }], { expectedVersion: 1 });
  assert.equal(again[0]!.version, 2);
  assert.equal((await store.getEvents("a")).length, 2);
  assert.equal((await store.verify()).ok, true);
});
