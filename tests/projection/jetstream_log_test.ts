/** Logs on a real server whose beginning has expired, or in which an event is damaged: never a silent skip. */

import assert from "node:assert/strict";
import {
  DamagedHistoryError,
  HistoryTruncatedError,
  JetStreamCheckpoints,
  JetStreamEventStore,
  type Projection,
  projectionStatuses,
  projectOnce,
  runProjection,
} from "../../mod.ts";
import { expire, LONG_RETENTION } from "../support/expiry.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { client } from "../store/jetstream/support.ts";
import { add, type Counted, patient, until } from "./support.ts";

/** A projection that notes what it handles. */
function noting(
  checkpoints: JetStreamCheckpoints,
  name: string,
  further: Partial<Projection<Counted>> = {},
): { readonly projection: Projection<Counted>; readonly seen: string[] } {
  const seen: string[] = [];
  const handle = ({ position }: { readonly position: string }): void => void seen.push(position);
  return { projection: { name, checkpoints, handle, ...further }, seen };
}

/** Waits until no event from before a position is kept. */
Deno.test("JetStream: a log whose beginning has expired is refused, unless the projection begins with what is kept", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<Counted>(server.url, { retention: LONG_RETENTION });
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  const behind = noting(checkpoints, "behind");
  const upToDate = noting(checkpoints, "up to date");
  await add(store, 3);
  await projectOnce(store, behind.projection, patient);
  await add(store, 4);
  await projectOnce(store, upToDate.projection, patient);
  await expire(server.url);
  const kept = (await add(store, 3)).map(({ position }) => position);

  // One that has not begun, and one whose next events are gone, whatever it had declared for its beginning.
  const isTruncated = (error: unknown): boolean => error instanceof HistoryTruncatedError;
  for (
    const { projection, seen } of [
      noting(checkpoints, "new"),
      noting(checkpoints, "new, of one type", { filter: { eventTypes: ["Added"] } }),
      behind,
      noting(checkpoints, "behind", { from: "first-kept" }),
    ]
  ) {
    const before = seen.length;
    await assert.rejects(projectOnce(store, projection, patient), isTruncated);
    await using run = runProjection(store, projection);
    await assert.rejects(run.finished, isTruncated);
    assert.equal(run.state, "stopped");
    assert.equal(seen.length, before);
  }

  // The declared policy; and one that had handled everything that has expired.
  const fresh = noting(checkpoints, "behind", { version: 2, from: "first-kept" });
  await projectOnce(store, fresh.projection, patient);
  assert.deepEqual(fresh.seen, kept);
  await projectOnce(store, upToDate.projection, patient);
  assert.deepEqual(upToDate.seen.slice(7), kept);
});

Deno.test("JetStream: a damaged event ends a projection before it, in its history and live, with what was handled committed", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<Counted>(server.url);
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  await using nats = await client(server.url);
  const live = noting(checkpoints, "live");
  await using run = runProjection(store, live.projection);
  const [, last] = await add(store, 2);
  await until("it is live", () => run.state === "live" && live.seen.length === 2);
  // Not an event at all, where the events of an actor are.
  const { config } = await nats.requests.streamInfo("aether_default");
  const [subjects] = config["subjects"] as string[];
  nats.connection.publish(subjects!.replace(">", "a"), new TextEncoder().encode("{"));
  await nats.connection.flush();
  await add(store, 2, ["b"]);
  const isDamaged = (error: unknown): boolean => error instanceof DamagedHistoryError;
  await assert.rejects(run.finished, isDamaged);
  const later = noting(checkpoints, "later");
  await assert.rejects(projectOnce(store, later.projection, patient), isDamaged);
  for (const { seen } of [live, later]) assert.equal(seen.at(-1), last!.position);
  const statuses = await projectionStatuses(store, checkpoints);
  assert.deepEqual(statuses.map(({ name, lag }) => [name, lag]), [["later", undefined], ["live", undefined]]);
  assert.ok(statuses.every(({ problem }) => isDamaged(problem)));
  for (const name of ["live", "later"]) {
    const { position } = JSON.parse((await checkpoints.load({ name, version: 1 }))!.value);
    assert.equal(position, last!.position, name);
  }
});
