/**
 * Damage to one checkpoint of several.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  changeSegments,
  type CheckpointStore,
  DamagedCheckpointError,
  deleteCheckpoint,
  InMemoryEventStore,
  type Projection,
  type ProjectionId,
  projectionStatuses,
  projectOnce,
} from "../../mod.ts";
import { add, type Counted, quiet } from "./support.ts";

/** Checkpoints, and a way to damage one so that already `load()` refuses it, if there is one. */
export interface DamagedPlace extends AsyncDisposable {
  readonly checkpoints: CheckpointStore<unknown>;
  readonly damage?: (id: ProjectionId) => unknown;
}

/** Replaces a record by what is none. */
export async function spoil(
  checkpoints: CheckpointStore<unknown>,
  id: ProjectionId,
  value: string,
): Promise<void> {
  await checkpoints.save(id, value, (await checkpoints.load(id))!.revision);
}

function projection(checkpoints: CheckpointStore<unknown>, name: string): Projection<Counted, unknown> {
  return { name, checkpoints, handle: () => {} };
}

/** Damages one of three checkpoints in each way, and looks at all of them. */
export async function showsTheOthers(place: Omit<DamagedPlace, typeof Symbol.asyncDispose>): Promise<void> {
  const { checkpoints } = place;
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 3);
  for (const name of ["a", "b", "c"]) await projectOnce(store, projection(checkpoints, name), quiet);
  await add(store, 2);
  const damages: ((id: ProjectionId) => unknown)[] = [
    (id) => spoil(checkpoints, id, "{"),
    (id) => spoil(checkpoints, id, JSON.stringify({ format: 1, name: "b", version: 1, handled: -1 })),
    ...(place.damage ? [place.damage] : []),
  ];
  for (const damage of damages) {
    await damage({ name: "b", version: 1 });
    const statuses = await projectionStatuses(store, checkpoints);
    assert.deepEqual(statuses.map(({ name, lag }) => [name, lag?.events]), [["a", 2], ["b", undefined], [
      "c",
      2,
    ]]);
    const [a, b, c] = statuses;
    assert.deepEqual([a!.problem, c!.problem], [undefined, undefined]);
    assert(b!.problem instanceof DamagedCheckpointError);
    assert.deepEqual(b!.problem.projection, { name: "b", version: 1 });
    // What concerns another projection does not ask for this one.
    await changeSegments({ name: "c", checkpoints }, 1);
    await assert.rejects(projectOnce(store, projection(checkpoints, "b"), quiet), DamagedCheckpointError);
  }
  assert.equal(await deleteCheckpoint({ name: "b", checkpoints }), true);
}
