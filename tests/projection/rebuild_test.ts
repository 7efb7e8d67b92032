/** The next version of a projection is built next to the one that serves, and takes over at one position. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  type Projection,
  ProjectionInUseError,
  projectionStatuses,
  projectOnce,
  rebuildProjection,
  runProjection,
} from "../../mod.ts";
import { version as versionOf } from "./processes/rebuild.ts";
import { add, type Counted, kvPlace, patient, PLACES, sumsIn, sumsOf, until } from "./support.ts";

for (const [name, open] of Object.entries(PLACES)) {
  Deno.test(`${name}: the next version takes over at one position while events come, and the one before ends there`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const seen = [new Map<string, number>(), new Map<string, number>()];
    const version = (version: number): Projection<Counted, unknown> => ({
      name: "counts",
      version,
      checkpoints,
      lanes: version === 1 ? 1 : 4,
      checkpointInterval: 10,
      handle: async ({ actorId }) => {
        await new Promise((resolve) => setTimeout(resolve, 0));
        const counts = seen[version - 1]!;
        counts.set(actorId, (counts.get(actorId) ?? 0) + 1);
      },
    });
    await add(store, 60);
    await using old = runProjection(store, version(1), { onWarning: () => {} });
    await old.waitFor((await store.getLastPosition())!);
    const ending = new AbortController();
    const writing = (async () => {
      while (!ending.signal.aborted) {
        await add(store, 3);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    await using rebuild = rebuildProjection(store, version(2), { onWarning: () => {} });
    const position = await rebuild.takenOver;
    await assert.rejects(
      Promise.all([old.finished, until("the old one ends", () => old.state === "stopped")]),
      (error: unknown) => error instanceof ProjectionInUseError && error.reason === "replaced",
    );
    ending.abort();
    await writing;
    await rebuild.waitFor((await store.getLastPosition())!);
    const [one, two] = await projectionStatuses(store, checkpoints);
    assert.deepEqual([one!.version, one!.replacedBy, one!.position], [1, 2, position]);
    assert.deepEqual([two!.version, two!.replacedBy, two!.rebuild], [2, undefined, undefined]);
    assert.ok(two!.position! >= position!);
    const total = [...seen[1]!.values()].reduce((sum, count) => sum + count, 0);
    assert.equal(total, (await Array.fromAsync(store.readAll())).length);
    for (
      const start of [
        () => projectOnce(store, version(1), patient),
        () => runProjection(store, version(1), { onWarning: () => {} }).finished,
      ]
    ) {
      await assert.rejects(
        start,
        (error: unknown) => error instanceof ProjectionInUseError && error.reason === "replaced",
      );
    }
  });
}

Deno.test("a rebuild is as slow as it is asked to be, and its status shows how far it is and how long it takes", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 400);
  await projectOnce(store, { name: "counts", checkpoints, handle: () => {} }, patient);
  let handled = 0;
  const seen = Promise.withResolvers<void>();
  const next: Projection<Counted> = {
    name: "counts",
    version: 2,
    checkpoints,
    checkpointInterval: 20,
    handle: async () => {
      if (++handled === 200) await seen.promise; // what is seen is in the middle of it
    },
  };
  const begun = performance.now();
  await using rebuild = rebuildProjection(store, next, { maxRate: 500 });
  const shares: number[] = [];
  await until("it is at work", async () => {
    const progress = (await projectionStatuses(store, checkpoints))[1]?.rebuild;
    if (progress === undefined || progress.share < 0.2) return false;
    shares.push(progress.share, progress.rate, progress.left, progress.timeLeft!);
    return true;
  });
  seen.resolve();
  await rebuild.takenOver;
  assert.ok(performance.now() - begun >= 700, "400 events at 500 a second");
  const [share, rate, left, timeLeft] = shares;
  assert.ok(share! < 1 && rate! <= 600 && left! > 0 && left! < 400 && timeLeft! > 0, shares.join());
});

Deno.test("a version that nothing replaces, and options that are out of range, are refused with the name of the field", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const checkpoints = new InMemoryCheckpoints();
  const next: Projection<Counted> = { name: "next", version: 2, checkpoints, handle: () => {} };
  for (
    const [argument, version, options] of [
      ["projection.version", 1, {}],
      ["options.replaces", 2, { replaces: 2 }],
      ["options.replaces", 2, { replaces: 0 }],
      ["options.maxRate", 2, { maxRate: 0 }],
      ["options.maxRate", 2, { maxRate: "fast" as unknown as number }],
      ["options.leaseTtl", 2, { leaseTtl: 1 }],
      ["options.replace", 2, { replace: 1 } as unknown as Record<never, never>],
    ] as const
  ) {
    assert.throws(
      () => rebuildProjection(store, { ...next, version }, options),
      (error: unknown) => error instanceof InvalidArgumentError && error.argument === argument,
    );
  }
});

Deno.test("a rebuild that is closed before it has taken over changes nothing, and continues when it is called again", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 100);
  let handled = 0;
  const version = (version: number): Projection<Counted> => ({
    name: "counts",
    version,
    checkpoints,
    handle: () => void handled++,
  });
  await projectOnce(store, version(1), patient);
  handled = 0;
  const first = rebuildProjection(store, version(2), { maxRate: 200 });
  await until("it has begun", () => handled > 10);
  await first.close();
  await assert.rejects(first.takenOver, { name: "AbortError" });
  assert.equal((await projectionStatuses(store, checkpoints))[0]!.replacedBy, undefined);
  await projectOnce(store, version(1), patient);
  await using second = rebuildProjection(store, version(2));
  await second.takenOver;
  assert.equal(handled, 100);
});

Deno.test("processes that build a version are killed at random moments: it takes over once, and both read models are of whole parts of the log", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv, file } = place;
  await add(store, 150, ["a", "b", "c", "d", "e", "f"]);
  await using old = runProjection(store, versionOf(1, checkpoints), { onWarning: () => {} });
  const program = fileURLToPath(new URL("./processes/rebuild.ts", import.meta.url));
  let position: string | undefined;
  for (let kill = 0; position === undefined; kill++) {
    await add(store, 20, ["a", "b", "c", "d", "e", "f"]);
    await using process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", program, file],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let said = "";
    let timer: ReturnType<typeof setTimeout> | undefined;
    for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (kill < 3) timer ??= setTimeout(() => process.kill("SIGKILL"), Math.random() * 250);
    }
    await process.status;
    clearTimeout(timer);
    position = /taken over (\S+)/.exec(said)?.[1];
  }
  await add(store, 5);
  await assert.rejects(
    old.finished,
    (error: unknown) => error instanceof ProjectionInUseError && error.reason === "replaced",
  );
  await projectOnce(store, versionOf(2, checkpoints), { budgetMs: 20_000 });
  assert.deepEqual(await sumsIn(kv, "sums 2"), await sumsOf(store));
  const until = new Map<string, number[]>();
  for await (const { actorId, version } of store.readAll({ until: position })) {
    until.set(actorId, [...(until.get(actorId) ?? []), version]);
  }
  const before = new Map(
    [...await sumsIn(kv, "sums 1")].map(([actorId, { versions }]) => [actorId, versions]),
  );
  assert.deepEqual(before, until, "the version before has ended at the position");
});
