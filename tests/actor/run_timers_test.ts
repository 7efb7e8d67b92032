import assert from "node:assert/strict";
import {
  type AnyActor,
  defineActor,
  execute,
  fireTimersOnce,
  InvalidArgumentError,
  type ListedTimer,
  listTimers,
  reconcileTimers,
  runTimers,
} from "@flowmade-one/aether/actor";
import { InMemoryEventStore, type Warning } from "@flowmade-one/aether/memory";
import { booking, type BookingEvent, decider } from "./booking.ts";
import {
  aWhile,
  event,
  MINUTE,
  START,
  type Store,
  testOnStores,
  type TimerTest,
  types,
  until,
} from "./timer_stores.ts";

const QUIET = { onWarning: (): void => {} };

async function reserve(store: Store, dueAt: number, ...ids: string[]): Promise<void> {
  for (const id of ids) await execute(store, id, decider, { reserve: dueAt });
}

async function listAll(store: Store, limit: number): Promise<ListedTimer[]> {
  const found: ListedTimer[] = [];
  let after: string | undefined;
  for (;;) {
    const { timers, next } = await listTimers(store, { limit, ...(after !== undefined && { after }) });
    found.push(...timers);
    if (next === undefined) return found;
    assert.equal(timers.length, limit);
    after = next;
  }
}

/** Its timer's command leads to the same state again. */
const again = defineActor("booking", {
  decider,
  timers: ({ status, dueAt }) =>
    status === "reserved" ? { again: { at: dueAt, command: { reserve: dueAt } } } : {},
});

const ON_STORES: Record<string, TimerTest> = {
  "runTimers() fires without a host, until its signal": async ({ store, clock }) => {
    const ending = new AbortController();
    const run = runTimers(store, [booking], { ...QUIET, signal: ending.signal });
    await reserve(store, START + MINUTE, "booking-1");
    await until(async () => (await listTimers(store)).timers.length === 1);
    clock.time += MINUTE;
    await event(store, "booking-1", "Released");
    ending.abort();
    await run.finished;
    await reserve(store, START, "booking-2");
    await aWhile();
    assert.deepEqual(await types(store, "booking-2"), ["Reserved"]);
  },

  "two runs fire each timer once, and one works on when the other is closed": async ({ store, clock }) => {
    const first = runTimers(store, [booking], { ...QUIET, leaseTtl: 2_000 });
    await using _second = runTimers(store, [booking], { ...QUIET, leaseTtl: 2_000 });
    const ids = Array.from({ length: 20 }, (_, index) => `booking-${index}`);
    await reserve(store, START + MINUTE, ...ids);
    clock.time += MINUTE;
    await Promise.all(ids.map((id) => event(store, id, "Released")));
    await first.close();
    await reserve(store, START, "booking-late");
    await event(store, "booking-late", "Released");
    for (const id of ids) assert.deepEqual(await types(store, id), ["Reserved", "Released"]);
  },

  "runs that know different kinds of actors do not wait for each other": async ({ store, clock }) => {
    const other = defineActor("other", { decider, timers: booking.timers as never });
    await using _first = runTimers(store, [booking], QUIET);
    await using _second = runTimers(store, [other], QUIET);
    await reserve(store, START + MINUTE, "booking-1", "other-1");
    clock.time += MINUTE;
    await Promise.all(["booking-1", "other-1"].map((id) => event(store, id, "Released")));
  },

  "a timer whose command leaves the state as it was is fired once": async ({ store, clock }) => {
    await reserve(store, START, "booking-1");
    for (let round = 0; round < 3; round++) {
      const { fired } = await fireTimersOnce(store, [again], QUIET);
      assert.equal(fired, round === 0 ? 1 : 0);
    }
    assert.deepEqual(await types(store, "booking-1"), ["Reserved", "Reserved"]);
    clock.time += MINUTE;
    assert.equal((await fireTimersOnce(store, [again], QUIET)).isComplete, true);
    assert.deepEqual(await types(store, "booking-1"), ["Reserved", "Reserved"]);
  },

  "fireTimersOnce() fires what is due, and reports when to come back": async ({ store, clock }) => {
    await reserve(store, START + MINUTE, "booking-1", "booking-2");
    await reserve(store, START + 3 * MINUTE, "booking-3");
    const nothing = { fired: 0, refused: 0, dropped: 0, failed: 0, isComplete: true };
    assert.deepEqual(await fireTimersOnce(store, [booking], QUIET), {
      ...nothing,
      next: new Date(START + MINUTE),
    });
    clock.time += 2 * MINUTE;
    assert.deepEqual(await fireTimersOnce(store, [booking], QUIET), {
      ...nothing,
      fired: 2,
      next: new Date(START + 3 * MINUTE),
    });
    clock.time += 2 * MINUTE;
    const [first, second] = await Promise.all([
      fireTimersOnce(store, [booking], QUIET),
      fireTimersOnce(store, [booking], QUIET),
    ]);
    assert.ok(first.fired + second.fired >= 1);
    assert.deepEqual(await fireTimersOnce(store, [booking], QUIET), { ...nothing, next: undefined });
    for (const id of ["booking-1", "booking-2", "booking-3"]) {
      assert.deepEqual(await types(store, id), ["Reserved", "Released"]);
    }
  },

  "fireTimersOnce() reports the next timer of the kinds that it was given": async ({ store }) => {
    const other = defineActor("other", { decider, timers: booking.timers as never });
    await reserve(store, START + MINUTE, "other-1");
    await reserve(store, START + 2 * MINUTE, "booking-1");
    const next = async (...kinds: AnyActor<BookingEvent>[]): Promise<number | undefined> =>
      (await fireTimersOnce(store, kinds, QUIET)).next?.getTime();
    assert.equal(await next(booking, other), START + MINUTE);
    assert.equal(await next(booking), START + 2 * MINUTE);
    await execute(store, "booking-1", decider, { pay: true });
    assert.equal(await next(booking), undefined);
  },

  "fireTimersOnce() with `now` fires what is due then": async ({ store }) => {
    await reserve(store, START + MINUTE, "booking-1");
    const now = (): Date => new Date(START + 365 * 24 * 60 * MINUTE);
    assert.equal((await fireTimersOnce(store, [booking], { ...QUIET, now })).fired, 1);
    assert.deepEqual(await types(store, "booking-1"), ["Reserved", "Released"]);
  },

  "listTimers() lists what waits by page, in the order of times": async ({ store }) => {
    const due = [3, 1, 2, 1].map((minutes) => START + minutes * MINUTE);
    for (const [index, at] of due.entries()) await reserve(store, at, `booking-${index}`);
    await reserve(store, START, "booking-paid");
    await execute(store, "booking-paid", decider, { pay: true });
    await fireTimersOnce(store, [booking], QUIET);
    const expected = [1, 3, 2, 0].map((index) => ({
      actorId: `booking-${index}`,
      name: "payment-due",
      at: new Date(due[index]!),
    }));
    for (const limit of [1, 2, 3, 4, 5]) assert.deepEqual(await listAll(store, limit), expected);
    const { timers } = await listTimers(store, { until: new Date(START + 2 * MINUTE) });
    assert.deepEqual(timers, expected.slice(0, 3));
  },

  "reconcileTimers() reports what differs after a change of the rule, and corrects it": async (
    { store, clock },
  ) => {
    const later = defineActor("booking", {
      decider,
      timers: ({ status, dueAt }) =>
        status === "reserved" ? { "payment-due": { at: dueAt + MINUTE, command: { release: true } } } : {},
    });
    await reserve(store, START + MINUTE, "booking-1", "booking-2");
    await fireTimersOnce(store, [booking], QUIET);
    assert.deepEqual(await reconcileTimers(store, [booking]), { actors: 2, differing: 0, differences: [] });
    const differences = ["booking-1", "booking-2"].map((actorId) => ({
      actorId,
      name: "payment-due",
      indexed: new Date(START + MINUTE),
      expected: new Date(START + 2 * MINUTE),
    }));
    const sorted = (found: readonly { readonly actorId: string }[]): unknown =>
      found.toSorted((a, b) => a.actorId < b.actorId ? -1 : 1);
    for (const dryRun of [true, false]) {
      const found = await reconcileTimers(store, [later], { dryRun });
      assert.deepEqual({ ...found, differences: sorted(found.differences) }, {
        actors: 2,
        differing: 2,
        differences,
      });
    }
    assert.equal((await reconcileTimers(store, [later])).differing, 0);
    clock.time += MINUTE;
    assert.equal((await fireTimersOnce(store, [later], QUIET)).fired, 0);
    clock.time += MINUTE;
    assert.equal((await fireTimersOnce(store, [later], QUIET)).fired, 2);
  },

  "reconcileTimers() corrects the index of a run that goes on": async ({ store, clock }) => {
    await reserve(store, START + MINUTE, "booking-1");
    await using _run = runTimers(store, [booking], QUIET);
    await until(async () => (await listTimers(store)).timers.length === 1);
    const never = defineActor("booking", { decider, timers: () => ({}) });
    assert.equal((await reconcileTimers(store, [never])).differing, 1);
    await until(async () => (await listTimers(store)).timers.length === 0);
    assert.equal((await reconcileTimers(store, [booking])).differing, 1);
    clock.time += MINUTE;
    await event(store, "booking-1", "Released");
  },
};

const SPOILED: Record<string, TimerTest> = {
  "an index that is lost is built again": async ({ store, clock, spoil }) => {
    await reserve(store, START + MINUTE, "booking-1", "booking-2");
    await fireTimersOnce(store, [booking], QUIET);
    await spoil();
    clock.time += MINUTE;
    assert.equal((await fireTimersOnce(store, [booking], QUIET)).fired, 2);
    assert.deepEqual(await types(store, "booking-1"), ["Reserved", "Released"]);
  },

  "an index that is lost while a run works is built again": async ({ store, clock, spoil }) => {
    await using _run = runTimers(store, [booking], QUIET);
    await reserve(store, START, "booking-0");
    await event(store, "booking-0", "Released"); // the run works
    await reserve(store, START + MINUTE, "booking-1");
    await until(async () => (await listTimers(store)).timers.length === 1);
    await spoil();
    await until(async () => (await listTimers(store)).timers.length === 1);
    clock.time += MINUTE;
    await event(store, "booking-1", "Released");
  },

  "a command that took effect is found by its id when the mark of its timer is lost": async (
    { store, spoil },
  ) => {
    await reserve(store, START, "booking-1");
    assert.equal((await fireTimersOnce(store, [again], QUIET)).fired, 1);
    await spoil();
    assert.equal((await fireTimersOnce(store, [again], QUIET)).fired, 1);
    assert.deepEqual(await types(store, "booking-1"), ["Reserved", "Reserved"]);
  },

  "reconcileTimers() finds and repairs a spoiled index": async ({ store, clock, spoil }) => {
    await reserve(store, START + MINUTE, "booking-1", "booking-2");
    await fireTimersOnce(store, [booking], QUIET);
    await spoil("booking-1");
    assert.deepEqual((await listTimers(store)).timers.map(({ actorId }) => actorId), ["booking-2"]);
    const { differing, differences } = await reconcileTimers(store, [booking]);
    assert.deepEqual({ differing, differences }, {
      differing: 1,
      differences: [{
        actorId: "booking-1",
        name: "payment-due",
        indexed: undefined,
        expected: new Date(START + MINUTE),
      }],
    });
    clock.time += MINUTE;
    assert.equal((await fireTimersOnce(store, [booking], QUIET)).fired, 2);
  },
};

testOnStores(ON_STORES);
testOnStores(SPOILED, []);

Deno.test("fireTimersOnce() counts what was refused, and fires the others next to what fails", async () => {
  await using store = new InMemoryEventStore<BookingEvent>({ onWarning: () => {} });
  const strict = defineActor("booking", {
    decider: {
      ...decider,
      decide: (command: { reserve: number } | { release: true }, state) => {
        if (state.dueAt === 1) throw new Error("never");
        return decider.decide(command, state);
      },
    },
    timers: booking.timers as never,
  });
  await reserve(store, 1, "booking-refused");
  await reserve(store, 2, "booking-fenced", "booking-sound");
  await store.takeOver("booking-fenced", 7); // a host owns it
  const warnings: Warning[] = [];
  const onWarning = (warning: Warning): void => void warnings.push(warning);
  const actors = [strict as unknown as AnyActor<BookingEvent>];
  const { next, ...counts } = await fireTimersOnce(store, actors, { onWarning });
  assert.deepEqual(counts, { fired: 1, refused: 1, dropped: 0, failed: 1, isComplete: false });
  assert.deepEqual(next, new Date(2));
  assert.deepEqual(warnings.map(({ code }) => code).sort(), ["timer-failed", "timer-refused"]);
  assert.deepEqual((await fireTimersOnce(store, actors, { onWarning })).failed, 1);
});

Deno.test("fireTimersOnce() ends with its budget, and goes on with the next call", async () => {
  await using store = new InMemoryEventStore<BookingEvent>({ onWarning: () => {} });
  const append = store.append.bind(store);
  store.append = async (actorId, events, options) => {
    await new Promise((resolve) => setTimeout(resolve, 10));
    return await append(actorId, events, options);
  };
  const ids = Array.from({ length: 600 }, (_, index) => `booking-${index}`);
  for (const id of ids) {
    await append(id, [{ eventType: "Reserved", data: { dueAt: 1 } }], { expectedVersion: 0 });
  }
  const began = performance.now();
  let calls = 0;
  for (let isComplete = false; !isComplete; calls++) {
    ({ isComplete } = await fireTimersOnce(store, [booking], { budgetMs: 15, ...QUIET }));
    assert.ok(performance.now() - began < 60_000);
  }
  assert.ok(calls > 1);
  for (const id of ids) assert.deepEqual(await types(store, id), ["Reserved", "Released"]);
});

Deno.test("runTimers() and its siblings refuse what is not sound, and name it", async () => {
  await using store = new InMemoryEventStore<BookingEvent>();
  const refused = (argument: string) => (error: unknown): boolean =>
    error instanceof InvalidArgumentError && error.argument === argument;
  const entries: Record<string, (...args: never[]) => unknown> = {
    runTimers,
    fireTimersOnce,
    reconcileTimers,
    listTimers: (store: never, _actors: never, options: never) => listTimers(store, options),
  };
  for (const [name, entry] of Object.entries(entries)) {
    const call = (...args: unknown[]) => async (): Promise<unknown> => await entry(...args as never[]);
    await assert.rejects(call({}, [booking]), refused("store"), name);
    await assert.rejects(call(store, [booking], { lmit: 1 }), refused("options.lmit"), name);
    await assert.rejects(call(store, [booking], 7), refused("options"), name);
    if (name === "listTimers") continue;
    for (const actors of [[], undefined, [{}], [booking, booking]]) {
      await assert.rejects(call(store, actors), refused("actors"), name);
    }
    await assert.rejects(call(store, [booking], { onWarning: 1 }), refused("options.onWarning"), name);
    await assert.rejects(call(store, [booking], { signal: {} }), refused("options.signal"), name);
  }
  assert.throws(() => runTimers(store, [booking], { leaseTtl: 1_999 }), refused("options.leaseTtl"));
  for (const budgetMs of [0, NaN, Infinity, "1"]) {
    await assert.rejects(
      fireTimersOnce(store, [booking], { budgetMs } as never),
      refused("options.budgetMs"),
    );
  }
  for (const limit of [0, 1.5, 10_001]) {
    await assert.rejects(listTimers(store, { limit }), refused("options.limit"));
  }
  await assert.rejects(listTimers(store, { after: "x" }), refused("options.after"));
  await assert.rejects(listTimers(store, { until: new Date(NaN) }), refused("options.until"));
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(fireTimersOnce(store, [booking], { signal }), { message: "enough" });
  await assert.rejects(reconcileTimers(store, [booking], { signal }), { message: "enough" });
  await runTimers(store, [booking], { signal }).finished;
});
