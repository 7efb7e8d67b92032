/** A checkpoint and a position of events that the log lost when it was restored to an earlier state. */

import assert from "node:assert/strict";
import {
  DenoKvEventStore,
  InMemoryCheckpoints,
  InvalidPositionError,
  projectionStatuses,
  projectOnce,
  runProjection,
  waitFor,
} from "@flowmade-one/aether";
import { kvFolder } from "../support/kv_file.ts";

/** Saves an event for each of some new actors. */
async function write(file: string, prefix: string, count: number): Promise<string[]> {
  await using store = await DenoKvEventStore.open(file);
  const positions: string[] = [];
  for (let index = 0; index < count; index++) {
    const events = [{ eventType: "Placed", data: index }];
    positions.push((await store.append(`${prefix}-${index}`, events, { expectedVersion: 0 }))[0]!.position);
  }
  return positions;
}

const isDiverged = (error: unknown): boolean =>
  error instanceof InvalidPositionError && error.reason === "diverged";

Deno.test("a checkpoint and a position of events that a restore has lost are refused by every projection", async () => {
  await using folder = await kvFolder();
  await using checkpoints = new InMemoryCheckpoints(); // kept elsewhere, and not restored
  const handled: unknown[] = [];
  const projection = {
    name: "orders",
    checkpoints,
    handle: ({ id }: { id: string }) => void handled.push(id),
  };
  await write(folder.file, "before", 5);
  await folder.backUp();
  const lost = await write(folder.file, "lost", 10);
  {
    await using store = await DenoKvEventStore.open(folder.file);
    await projectOnce(store, projection);
    await waitFor(store, projection, lost[3]!); // behind the checkpoint, and in the log
  }
  await folder.restore();
  const after = await write(folder.file, "after", 40);
  assert(after.at(-1)! > lost.at(-1)!, "the log has not grown past what it lost");
  await using store = await DenoKvEventStore.open(folder.file);
  const before = handled.length;
  await assert.rejects(projectOnce(store, projection), isDiverged);
  await using run = runProjection(store, projection);
  await assert.rejects(run.finished, isDiverged);
  assert.equal(handled.length, before, "events were handled behind the wrong place");
  const [status] = await projectionStatuses(store, checkpoints);
  assert(isDiverged(status?.problem));
  for (const position of lost) await assert.rejects(waitFor(store, projection, position), isDiverged);
  // A sound position, and a checkpoint that seems to be ahead of it.
  const behind = after.find((position) => position < lost.at(-1)!)!;
  await assert.rejects(waitFor(store, projection, behind), isDiverged);
});
