/** Another version of the program goes on with the checkpoints: what does not fit them is refused, and nothing is lost or repeated. */

import assert from "node:assert/strict";
import {
  discardParked,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  listParked,
  type Projection,
  projectOnce,
  retryParked,
  runProjection,
  type StoredEvent,
  waitFor,
} from "../../mod.ts";
import { add, type Counted, patient, quiet } from "./support.ts";

const ACTORS = Array.from({ length: 12 }, (_, index) => `actor-${index}`);
const byNumber = ({ version }: StoredEvent): string => `${version % 3}`;
const named = (argument: string) => (error: unknown): boolean =>
  error instanceof InvalidArgumentError && error.argument === argument;

async function runToEnd(store: InMemoryEventStore<Counted>, projection: Projection<Counted>): Promise<void> {
  await using run = runProjection(store, projection, quiet);
  await run.waitFor((await store.getLastPosition())!);
}

Deno.test("segments that were made by actors are not taken over by a key, nor those of a key by actors", async () => {
  for (const isOwn of [true, false]) {
    await using store = new InMemoryEventStore<Counted>();
    await using checkpoints = new InMemoryCheckpoints();
    await add(store, 24, ACTORS);
    let handled = 0;
    const projection = (isOwn: boolean): Projection<Counted> => ({
      name: "p",
      checkpoints,
      segments: 4,
      ...(isOwn && { key: byNumber }),
      handle: () => void handled++,
    });
    await runToEnd(store, projection(isOwn));
    await using other = runProjection(store, projection(!isOwn), quiet);
    await assert.rejects(other.finished, named("projection.key"));
    await add(store, 6, ACTORS);
    await runToEnd(store, projection(isOwn));
    assert.equal(handled, 30);
  }
});

Deno.test("while events wait behind a parked one by their key, a program without the key is refused, and the other way around", async () => {
  for (const isOwn of [true, false]) {
    await using store = new InMemoryEventStore<Counted>();
    await using checkpoints = new InMemoryCheckpoints();
    const handled: number[] = [];
    let isSound = false;
    const projection = (isOwn: boolean): Projection<Counted> => ({
      name: "p",
      checkpoints,
      ...(isOwn && { key: byNumber }),
      failure: { retries: 0, then: "park" },
      handle: ({ version }) => {
        if (version === 1 && !isSound) throw new Error("broken");
        handled.push(version);
      },
    });
    const stored = await add(store, 9, ["a"]);
    await projectOnce(store, projection(isOwn), { ...quiet, ...patient });
    isSound = true;
    const { position } = stored[0]!;
    const other = projection(!isOwn);
    await assert.rejects(projectOnce(store, other, { ...quiet, ...patient }), named("projection.key"));
    await assert.rejects(retryParked(store, other, position), named("projection.key"));
    await assert.rejects(discardParked(store, other, position), named("projection.key"));
    await using run = runProjection(store, other, quiet);
    await assert.rejects(run.finished, named("projection.key"));
    await retryParked(store, projection(isOwn), position);
    const own = isOwn ? [2, 3, 5, 6, 8, 9, 1, 4, 7] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert.deepEqual(handled, own);
  }
});

Deno.test("a version continues at the checkpoints of all segments of the one before, with as many or another number", async () => {
  for (const segments of [4, 2, 3, 8, 1]) {
    await using store = new InMemoryEventStore<Counted>();
    await using checkpoints = new InMemoryCheckpoints();
    const handled: string[] = [];
    const first: Projection<Counted> = {
      name: "p",
      checkpoints,
      segments: 4,
      failure: { retries: 0, then: "park" },
      handle: ({ actorId }) => {
        if (actorId === "actor-3") throw new Error("broken");
      },
    };
    await add(store, 24, ACTORS.slice(0, 5));
    await add(store, 24, ACTORS);
    {
      await using run = runProjection(store, first, quiet);
      await run.waitFor((await add(store, 1, ["actor-0"])).at(-1)!.position);
    }
    const next: Projection<Counted> = {
      ...first,
      version: 2,
      continueFrom: 1,
      segments,
      handle: ({ actorId, version }) => void handled.push(`${actorId} ${version}`),
    };
    const { segments: _, ...whole } = next;
    await assert.rejects(projectOnce(store, whole, { ...quiet, ...patient }), named("projection.segments"));
    await using unkeyed = runProjection(store, { ...next, key: byNumber }, quiet);
    await assert.rejects(unkeyed.finished, named("projection.key"));
    const added = await add(store, 12, ACTORS);
    {
      await using run = runProjection(store, next, quiet);
      await run.waitFor(added[0]!.position);
      await run.waitFor(added.at(-1)!.position);
    }
    const fresh = added.filter(({ actorId }) => actorId !== "actor-3");
    assert.deepEqual(handled.sort(), fresh.map(({ actorId, version }) => `${actorId} ${version}`).sort());
    const parked = await listParked(next);
    assert.deepEqual(parked.map(({ actorId }) => actorId), ["actor-3"]);
    handled.length = 0;
    await retryParked(store, next, parked[0]!.position);
    const versions = handled.map((text) => Number(text.split(" ")[1]));
    assert.deepEqual(versions, versions.map((_, index) => index + 1), "in order, those that waited too");
  }
});

Deno.test("keys of any length divide events, are recorded short, and keep their order behind a parked one", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const handled: number[] = [];
  let isSound = false;
  const keys = ["", "x".repeat(1_000_000), `${"x".repeat(1_000_000)}y`];
  const projection: Projection<Counted> = {
    name: "p",
    checkpoints,
    lanes: 8,
    key: ({ version }) => keys[version % 3]!,
    failure: { retries: 0, then: "park" },
    handle: ({ version }) => {
      if (version <= 3 && !isSound) throw new Error("broken");
      handled.push(version);
    },
  };
  const stored = await add(store, 12, ["a"]);
  await projectOnce(store, projection, { ...quiet, ...patient });
  assert.deepEqual(handled, []);
  assert((await checkpoints.load({ name: "p", version: 1 }))!.value.length < 10_000);
  isSound = true;
  await retryParked(store, projection, stored[1]!.position);
  assert.deepEqual(handled, [2, 5, 8, 11]);
  await assert.rejects(waitFor(store, projection, stored[11]!.position), /waits behind the event at/);
  await waitFor(store, projection, stored[10]!.position);
});
