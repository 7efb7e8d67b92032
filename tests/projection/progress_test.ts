/** How the log is worked off: one event after the other, with checkpoints behind them, and room for everything else. */

import assert from "node:assert/strict";
import {
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  type Projection,
  type ProjectionId,
  projectionStatuses,
  projectOnce,
  type ReadAllOptions,
  runProjection,
  type StoredEvent,
  type SubscribeOptions,
} from "../../mod.ts";
import { add, type Counted, until } from "./support.ts";

/** A store that counts what is taken from its log, one event at a time. */
function counted(
  own: EventStore<Counted>,
): { readonly store: EventStore<Counted>; readonly taken: () => number } {
  let taken = 0;
  const counting = async function* (
    events: AsyncIterable<StoredEvent<Counted>>,
  ): AsyncGenerator<StoredEvent<Counted>> {
    for await (const event of events) {
      taken++;
      yield event;
    }
  };
  const store = new Proxy<EventStore<Counted>>(own, {
    get: (target, name) => {
      if (name === "readAll") {
        return (options: ReadAllOptions<Counted["eventType"]>) => counting(target.readAll(options));
      }
      if (name === "subscribe") {
        return (options: SubscribeOptions<Counted["eventType"]>) => {
          const subscription = target.subscribe(options);
          const events = counting(subscription);
          return new Proxy(subscription, {
            get: (inner, field) => {
              if (field === Symbol.asyncIterator) return () => events;
              const value = Reflect.get(inner, field);
              return typeof value === "function" ? value.bind(inner) : value;
            },
          });
        };
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { store, taken: () => taken };
}

Deno.test("back-pressure: an event is taken from the log when the one before it is handled, in history and live", async () => {
  await using own = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const { store, taken } = counted(own);
  await add(own, 30);
  let handled = 0;
  let furthest = 0;
  const projection: Projection<Counted> = {
    name: "slow",
    checkpoints,
    handle: async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      furthest = Math.max(furthest, taken() - handled++);
    },
  };
  await using run = runProjection(store, projection);
  await until("it is live", () => run.state === "live");
  await add(own, 30);
  await run.waitFor((await own.getLastPosition())!);
  await run.close();
  assert.deepEqual([handled, furthest], [60, 1]);
});

/** Checkpoints that note the positions that are written. */
class NotingCheckpoints extends InMemoryCheckpoints {
  readonly written: string[] = [];

  override async save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    const revision = await super.save(id, value, expected);
    this.written.push(JSON.parse(value).position ?? "");
    return revision;
  }
}

Deno.test("a checkpoint is written every so many events, or after so long, and at the end; it never goes back", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const positions = (await add(store, 1000)).map(({ position }) => position);
  const never = 2 ** 31 - 1;
  const project = async (options: Partial<Projection<Counted>>): Promise<string[]> => {
    await using checkpoints = new NotingCheckpoints();
    await projectOnce(store, { name: "x", checkpoints, handle: () => {}, ...options }, { budgetMs: 600_000 });
    assert.deepEqual(checkpoints.written, checkpoints.written.toSorted());
    assert.equal(new Set(checkpoints.written).size, checkpoints.written.length);
    return checkpoints.written;
  };
  const every = await project({ checkpointEvents: 300, checkpointInterval: never });
  assert.deepEqual(every, [299, 599, 899, 999].map((index) => positions[index]));
  assert.deepEqual(await project({ checkpointInterval: never }), [positions[999]]);
  const slowly = async (): Promise<void> => await new Promise((resolve) => setTimeout(resolve, 0));
  const often = await project({ handle: slowly, checkpointInterval: 50 });
  assert.ok(often.length > 5 && often.length < 1000, String(often.length));
  // What the filter leaves out moves it too.
  assert.deepEqual(
    await project({ filter: { actorId: "nobody" }, checkpointInterval: never }),
    [positions[999]],
  );
});

/** Handles events without ever waiting: a store in memory never gives way by itself. */
function busy(checkpoints: InMemoryCheckpoints, name: string): Projection<Counted> & { handled: number } {
  const projection = {
    name,
    checkpoints,
    handled: 0,
    handle: (): void => {
      projection.handled++;
      for (const end = performance.now() + 0.2; performance.now() < end;);
    },
  };
  return projection;
}

Deno.test("handlers that never wait let timers run, so that a lease is kept and a run can be closed", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 20_000);
  const projection = busy(checkpoints, "busy");
  await using run = runProjection(store, projection);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await until("timers had their turns", () => turns >= 5 && projection.handled > 0);
  clearInterval(timer);
  await run.close();
  assert.ok(projection.handled < 20_000, String(projection.handled));
  assert.equal((await projectionStatuses(store, checkpoints))[0]!.handled, projection.handled);
});

Deno.test("handlers that never wait keep to the budget of projectOnce", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 20_000);
  const projection = busy(checkpoints, "once");
  const { handled, caughtUp } = await projectOnce(store, projection, { budgetMs: 20 });
  assert.equal(caughtUp, false);
  assert.ok(handled > 0 && handled < 20_000, String(handled));
  assert.equal(projection.handled, handled);
});

Deno.test("a store that hands out one event at a time, and a handler whose answer is merely like a promise", async () => {
  await using own = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(own, 300);
  const { store } = counted(own);
  const seen: string[] = [];
  const handle = ({ position }: StoredEvent): Promise<void> => {
    const answer: PromiseLike<void> = {
      then: (...callbacks) => Promise.resolve().then(() => void seen.push(position)).then(...callbacks),
    };
    return answer as Promise<void>;
  };
  await projectOnce(store, { name: "one at a time", checkpoints, handle }, { budgetMs: 60_000 });
  assert.deepEqual(seen, (await Array.fromAsync(own.readAll())).map(({ position }) => position));
});
