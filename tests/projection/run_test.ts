import assert from "node:assert/strict";
import {
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidPositionError,
  type Projection,
  ProjectionBehindError,
  projectionStatuses,
  projectOnce,
  retryParked,
  runProjection,
  type StoredEvent,
  waitFor,
} from "../../mod.ts";
import { add, type Counted, patient, PLACES, until } from "./support.ts";

for (const [name, open] of Object.entries(PLACES)) {
  Deno.test(`${name}: history and then what comes, in order, each once; another run goes on behind it`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const seen: string[] = [];
    const projection: Projection<Counted, unknown> = {
      name: "seen",
      checkpoints,
      handle: async ({ position }) => {
        if (seen.length % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
        seen.push(position);
      },
    };
    await add(store, 50);
    await using run = runProjection(store, projection);
    const live = await add(store, 30);
    await run.waitFor(live.at(-1)!.position);
    await run.close();
    await run.finished;
    assert.equal(run.state, "closed");
    const later = await add(store, 20);
    await using again = runProjection(store, projection);
    await again.waitFor(later.at(-1)!.position);
    await again.close();
    assert.deepEqual(seen, (await Array.fromAsync(store.readAll())).map(({ position }) => position));
  });

  Deno.test(`${name}: handlers by type, and a checkpoint that moves past what they leave out`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    let removed = 0;
    const handle = (event: StoredEvent<Counted> & { eventType: "Removed" }): void => {
      assert.equal(event.eventType, "Removed");
      removed += event.data.by;
    };
    const projection: Projection<Counted, unknown> = {
      name: "removed",
      checkpoints,
      handle: { Removed: handle },
    };
    const history = await add(store, 14);
    await using run = runProjection(store, projection);
    await waitFor(store, projection, history.at(-1)!.position);
    assert.equal(removed, 4 + 9);
    // Nothing that it handles: the checkpoint must follow all the same, also for those who only look from outside.
    const live = await add(store, 3);
    await waitFor(store, projection, live.at(-1)!.position);
    assert.equal((await projectionStatuses(store, checkpoints))[0]!.handled, 2);
    await add(store, 5);
    await until("the live one is handled", () => removed === 4 + 9 + 4);
    await run.close();
  });

  Deno.test(`${name}: the next version is built from the start while the old one serves, interrupted or not`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const handled = new Map<number, string[]>([[1, []], [2, []]]);
    const old: Projection<Counted, unknown> = {
      name: "rebuilt",
      checkpoints,
      checkpointEvents: 1,
      handle: async ({ position }, { version }) => {
        await Promise.resolve();
        handled.get(version)!.push(position);
      },
    };
    const next = { ...old, version: 2 };
    const history = await add(store, 40);
    await using serving = runProjection(store, old);
    await serving.waitFor(history.at(-1)!.position);
    for (let end = 5; end < 40; end += 9) {
      await using building = runProjection(store, next);
      await until("it is in the middle", () => handled.get(2)!.length >= end);
      await building.close();
    }
    const last = (await add(store, 1))[0]!.position;
    await using building = runProjection(store, next);
    await Promise.all([serving.waitFor(last), building.waitFor(last)]);
    const all = (await Array.fromAsync(store.readAll())).map(({ position }) => position);
    assert.deepEqual(handled.get(1), all);
    assert.deepEqual(handled.get(2), all);
  });

  Deno.test(`${name}: lag and status of every projection in one call`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const counting = (version: number, handle: () => void): Projection<Counted, unknown> => ({
      name: "counting",
      version,
      checkpoints,
      failure: { retries: 0 },
      handle,
    });
    const [first] = await add(store, 6);
    await using good = runProjection(store, counting(1, () => {}));
    await using bad = runProjection(
      store,
      counting(2, () => {
        throw new Error("never");
      }),
    );
    await assert.rejects(bad.finished, { name: "ProjectionStoppedError", attempts: 1 });
    await waitFor(store, counting(1, () => {}), (await store.getLastPosition())!);
    await good.close();
    const [one, two, ...rest] = await projectionStatuses(store, checkpoints);
    assert.deepEqual(rest, []);
    assert.deepEqual(
      { ...one!.lag!, handled: one!.handled, stopped: one!.stopped, position: one!.position },
      {
        events: 0,
        isMore: false,
        time: 0,
        handled: 6,
        stopped: false,
        position: await store.getLastPosition(),
      },
    );
    assert.equal(two!.lag!.events, 6);
    assert.ok(two!.lag!.time >= 0 && two!.lag!.time < 60_000);
    assert.equal(two!.stopped, true);
    assert.equal(two!.failing!.eventId, first!.id);
    assert.match(two!.failing!.error, /never/);
    const [, counted] = await projectionStatuses(store, checkpoints, { countLimit: 2 });
    assert.deepEqual([counted!.lag!.events, counted!.lag!.isMore], [2, true]);
  });
}

Deno.test("waitFor() refuses what is no position of the log, and gives up in time", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using other = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const projection: Projection<Counted> = { name: "idle", checkpoints, handle: () => {} };
  const [mine] = await add(store, 1);
  const [foreign] = await add(other, 1);
  for (
    const [position, reason] of [
      ["", "malformed"],
      ["nonsense", "malformed"],
      [mine!.position + "0", "malformed"],
      [foreign!.position, "foreign"],
      [mine!.position.slice(0, -7) + "f" + mine!.position.slice(-6), "ahead"],
      [mine!.position.slice(0, -1) + "f", "diverged"],
    ] as const
  ) {
    await assert.rejects(
      waitFor(store, projection, position),
      (error) => error instanceof InvalidPositionError && error.reason === reason,
      position,
    );
  }
  await assert.rejects(waitFor(store, projection, mine!.position, { timeout: 30 }), ProjectionBehindError);
  const reason = new Error("enough");
  await assert.rejects(
    waitFor(store, projection, mine!.position, { signal: AbortSignal.abort(reason) }),
    reason,
  );
});

Deno.test("a signal ends a run with its reason, a closed store ends it normally", async () => {
  const store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const ending = new AbortController();
  const aborted = runProjection(store, { name: "aborted", checkpoints, handle: () => {} }, {
    signal: ending.signal,
  });
  const closed = runProjection(store, { name: "closed", checkpoints, handle: () => {} });
  await until("both are live", () => aborted.state === "live" && closed.state === "live");
  const reason = new Error("enough");
  ending.abort(reason);
  await assert.rejects(aborted.finished, reason);
  await store.close();
  await closed.finished;
  assert.equal(closed.state, "closed");
});

for (const [name, open] of Object.entries(PLACES)) {
  Deno.test(`${name}: waitFor() rejects for an event that was parked, or that waits behind one, here and elsewhere`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    let works = false;
    const projection: Projection<Counted, unknown> = {
      name: "receipts",
      checkpoints,
      failure: { retries: 0, then: "park" },
      handle: ({ actorId, version }) => {
        if (actorId === "b" && version === 1 && !works) throw new Error("out of paper");
      },
    };
    const [a1, b1, c1, a2, b2] = await add(store, 5);
    await using run = runProjection(store, projection, { onWarning: () => {} });
    const isParked = (error: unknown): boolean =>
      error instanceof ProjectionBehindError && error.parked?.eventId === b1!.id;
    for (
      const wait of [
        (position: string) => run.waitFor(position),
        (position: string) => waitFor(store, projection, position),
      ]
    ) {
      for (const { position } of [a1!, c1!, a2!]) await wait(position);
      for (const { position } of [b1!, b2!]) await assert.rejects(wait(position), isParked);
    }
    // One that comes live: the run must not say that it has handled what it has left.
    const [b3] = await add(store, 1, ["b"]);
    await assert.rejects(run.waitFor(b3!.position), isParked);
    works = true;
    await retryParked(store, projection, b1!.position);
    for (const { position } of [b1!, b2!, b3!]) await run.waitFor(position);
  });

  Deno.test(`${name}: waitFor() resolves for a reaction when its events are stored`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const slow = new Proxy(store, {
      get(target, property): unknown {
        const value = Reflect.get(target, property);
        if (typeof value !== "function") return value;
        if (property !== "append") return value.bind(target);
        return async (...parameters: unknown[]) => {
          await new Promise((resolve) => setTimeout(resolve, 200));
          return await value.apply(target, parameters);
        };
      },
    });
    const projection: Projection<Counted, unknown> = {
      name: "reaction",
      checkpoints,
      handle: { Added: () => [{ actorId: "b", events: [{ eventType: "Removed", data: { by: 1 } }] }] },
    };
    for (const way of ["here", "elsewhere"]) {
      const [event] = await add(store, 1, ["a"]);
      await using run = runProjection(slow, projection);
      await until("it is recorded", async () => {
        const stored = await checkpoints.load({ name: "reaction", version: 1 });
        return stored !== undefined && JSON.parse(stored.value).position === event!.position;
      });
      await (way === "here" ? run.waitFor(event!.position) : waitFor(store, projection, event!.position));
      assert.equal(await store.getLatestVersion("b"), way === "here" ? 1 : 2);
    }
  });
}

Deno.test("waitFor() takes times that are longer than a timer, and does not spin", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const checkpoints = new InMemoryCheckpoints();
  let loads = 0;
  const counting = {
    load: (id: Parameters<typeof checkpoints.load>[0]) => {
      loads++;
      return checkpoints.load(id);
    },
  };
  const [event] = await add(store, 1);
  const signal = AbortSignal.timeout(200);
  const wait = waitFor(store, { name: "p", checkpoints: counting }, event!.position, {
    timeout: 2 ** 40,
    pollInterval: 2 ** 32,
    signal,
  });
  await assert.rejects(wait, { name: "TimeoutError" });
  assert.equal(loads, 1);
});

Deno.test("the methods of an instance of a class are handlers, inherited ones too, and keep their instance", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  class Additions {
    sum = 0;
    Added({ data }: StoredEvent<Counted>): void {
      this.sum += data.by;
    }
  }
  class Totals extends Additions {
    #removed = 0;
    get total(): number {
      return this.sum - this.#removed;
    }
    Removed({ data }: StoredEvent<Counted>): void {
      this.#removed += data.by;
    }
  }
  const totals = new Totals();
  await add(store, 10);
  await projectOnce(store, { name: "totals", checkpoints, handle: totals }, patient);
  assert.equal(totals.total, 0 + 1 + 2 + 3 - 4 + 5 + 6 + 7 + 8 - 9);
  const plain = { name: "plain", checkpoints, sum: 0 };
  await projectOnce(store, {
    ...plain,
    handle: {
      Added(this: object): void {
        assert.ok("Added" in this);
        plain.sum++;
      },
    },
  }, patient);
  assert.equal(plain.sum, 8);
});
