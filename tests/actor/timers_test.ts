import assert from "node:assert/strict";
import {
  ActorHost,
  type Decider,
  defineActor,
  type Event,
  InvalidArgumentError,
  InvalidTimersError,
} from "@flowmade-one/aether/actor";
import { InMemoryEventStore, type Warning } from "@flowmade-one/aether/memory";
import { booking, type BookingCommand, type BookingEvent, decider } from "./booking.ts";
import { aWhile, event, MINUTE, START, testOnStores, type TimerTest, types } from "./timer_stores.ts";

const CASES: Record<string, TimerTest> = {};

/** A test on every store. */
function test(name: string, run: TimerTest): void {
  CASES[name] = run;
}

test("a timer fires when its time has come, not before, and once", async ({ store, clock, start }) => {
  await using host = await start();
  const actor = host.client.get(booking, "booking-1");
  await actor.call({ reserve: START + 15 * MINUTE });
  clock.time += 15 * MINUTE - 1;
  await aWhile();
  assert.deepEqual(await types(store, "booking-1"), ["Reserved"]);
  clock.time++;
  const released = await event(store, "booking-1", "Released");
  assert.equal(Date.parse(released.timestamp), START + 15 * MINUTE);
  await aWhile();
  assert.deepEqual(await types(store, "booking-1"), ["Reserved", "Released"]);
  assert.equal(await actor.query("status"), "released");
});

test("an event that changes the state changes its timers", async ({ store, clock, start }) => {
  await using host = await start();
  const [paid, moved] = ["booking-1", "booking-2"].map((id) => host.client.get(booking, id));
  await paid!.call({ reserve: START + MINUTE });
  await moved!.call({ reserve: START + MINUTE });
  await paid!.call({ pay: true });
  await moved!.call({ reserve: START + 2 * MINUTE });
  clock.time += MINUTE + 1;
  await aWhile();
  assert.equal(await moved!.query("status"), "reserved");
  clock.time += MINUTE;
  await event(store, "booking-2", "Released");
  assert.equal(await paid!.query("status"), "paid");
});

test(
  "a timer of another writer's event fires, and one in the past fires at once",
  async ({ store, start }) => {
    await using _host = await start();
    for (const dueAt of [0, -1, START - MINUTE, START]) {
      const id = `booking-${dueAt}`;
      await store.append(id, [{ eventType: "Reserved", data: { dueAt } }], { expectedVersion: 0 });
      await event(store, id, "Released");
    }
  },
);

test("what fell due while nothing ran fires once when a host runs again", async ({ store, clock, start }) => {
  {
    await using host = await start();
    await host.client.get(booking, "booking-1").call({ reserve: START + MINUTE });
  }
  await store.append("booking-2", [{ eventType: "Reserved", data: { dueAt: START + MINUTE } }], {
    expectedVersion: 0,
  });
  clock.time += 365 * 24 * 60 * MINUTE;
  {
    await using _host = await start();
    await Promise.all(["booking-1", "booking-2"].map((id) => event(store, id, "Released")));
  }
  await using _host = await start();
  await aWhile();
  for (const id of ["booking-1", "booking-2"]) {
    assert.deepEqual(await types(store, id), ["Reserved", "Released"]);
  }
});

test("a rule that is added later holds for actors that existed before", async ({ store, clock, start }) => {
  {
    const plain = defineActor("booking", { decider });
    await using host = await ActorHost.start({ store, actors: [plain] });
    await host.client.get(plain, "booking-1").call({ reserve: START + MINUTE });
  }
  clock.time += MINUTE;
  await using _host = await start();
  await event(store, "booking-1", "Released");
});

test("a clock that goes back fires nothing twice and nothing early", async ({ store, clock, start }) => {
  await using host = await start();
  await host.client.get(booking, "booking-1").call({ reserve: START + MINUTE });
  clock.time += MINUTE;
  await event(store, "booking-1", "Released");
  clock.time -= 10 * MINUTE;
  await host.client.get(booking, "booking-2").call({ reserve: START });
  await aWhile();
  assert.deepEqual(await types(store, "booking-2"), ["Reserved"]);
  clock.time = START + 5 * MINUTE;
  await event(store, "booking-2", "Released");
  assert.deepEqual(await types(store, "booking-1"), ["Reserved", "Released"]);
});

test("a command that is refused is reported, and is not fired again", async ({ store, clock, start }) => {
  const warnings: Warning[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const strict = defineActor("booking", {
    decider: {
      ...decider,
      decide: (command: BookingCommand, state) => {
        if ("release" in command) throw new Error("never");
        return decider.decide(command, state);
      },
    },
    timers: booking.timers as never,
  });
  const onWarning = (warning: Warning): void => {
    warnings.push(warning);
    resolve();
  };
  {
    await using host = await start({ actors: [strict], onWarning });
    await host.client.get(strict, "booking-1").call({ reserve: START });
    await promise;
    assert.deepEqual(warnings.map(({ code }) => code), ["timer-refused"]);
    assert.match(warnings[0]!.message, /"payment-due" of actor "booking-1" .* never/);
    await aWhile();
  }
  await using host = await start({ actors: [strict], onWarning });
  await aWhile();
  assert.equal(warnings.length, 1);
  // Another time is another timer.
  await host.client.get(strict, "booking-1").call({ reserve: START + 1 });
  clock.time++;
  while (warnings.length < 2) await aWhile();
  assert.deepEqual(await types(store, "booking-1"), ["Reserved", "Reserved"]);
});

test("a host outlives its store", async ({ store, clock, start }) => {
  const warnings: Warning[] = [];
  const host = await start({ onWarning: (warning) => warnings.push(warning) });
  await host.client.get(booking, "booking-1").call({ reserve: START + MINUTE });
  await aWhile();
  await store.close();
  clock.time += MINUTE;
  await aWhile();
  await host.close();
  assert.deepEqual(warnings, []);
});

testOnStores(CASES);

type Bad = Event<"Begun", { kind: string }>;

/** Timers that are not sound, by the kind that the state names. */
const BAD_TIMERS: Readonly<Record<string, () => unknown>> = {
  "not a number": () => ({ a: { at: NaN, command: "a" } }),
  "infinite": () => ({ a: { at: Infinity, command: "a" } }),
  "no date": () => ({ a: { at: new Date(NaN), command: "a" } }),
  "no text of a time": () => ({ a: { at: "tomorrow", command: "a" } }),
  "no time": () => ({ a: { command: "a" } }),
  "no command": () => ({ a: { at: 0 } }),
  "command is no JSON": () => ({ a: { at: 0, command: { a: NaN } } }),
  "command is a function": () => ({ a: { at: 0, command: () => {} } }),
  "command is too large": () => ({ a: { at: 0, command: "x".repeat(300_000) } }),
  "name is empty": () => ({ "": { at: 0, command: "a" } }),
  "name is too long": () => ({ ["n".repeat(129)]: { at: 0, command: "a" } }),
  "name is too long as JSON": () => ({ ["\u0001".repeat(22)]: { at: 0, command: "a" } }),
  "a thousand": () =>
    Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`n${index}`, { at: 0, command: "a" }])),
  "nothing": () => undefined,
  "null": () => null,
  "a list": () => [{ at: 0, command: "a" }],
  "a number": () => 7,
  "null in place of a timer": () => ({ a: null }),
  "throws": () => {
    throw new Error("no");
  },
  "throws no error": () => {
    // deno-lint-ignore no-throw-literal -- what a user may do
    throw "no";
  },
  "a promise": () => Promise.resolve({ a: { at: 0, command: "a" } }),
  "a promise that rejects": () => Promise.reject(new Error("no")),
  "a getter that throws": () => ({
    get a(): never {
      throw new Error("no");
    },
  }),
  "a time whose getter throws": () => ({
    a: {
      get at(): never {
        throw new Error("no");
      },
      command: "a",
    },
  }),
};

const badDecider: Decider<string, string, Bad> = {
  initialState: () => "",
  evolve: (_kind, event) => event.data.kind,
  decide: (kind) => kind === "a" ? [] : [{ eventType: "Begun", data: { kind } }],
};

Deno.test("timers that are not sound are reported by a typed error, and disturb no call and no other actor", async () => {
  await using store = new InMemoryEventStore<Bad | BookingEvent>({ onWarning: () => {} });
  const bad = defineActor("bad", {
    decider: badDecider,
    timers: (kind) => kind === "" ? {} : BAD_TIMERS[kind]!() as never,
  });
  const faults = new Map<string, unknown>();
  await using host = await ActorHost.start({
    store,
    actors: [bad as never, booking],
    onWarning: ({ code, message, cause }) => faults.set(`${code} ${message}`, cause),
  });
  for (const kind of Object.keys(BAD_TIMERS)) {
    const actor = host.client.get(bad, `bad-${kind}`);
    faults.clear();
    assert.deepEqual(await actor.call(kind), { version: 1, state: kind });
    while (faults.size === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const [[code, cause]] = [...faults] as [[string, unknown]];
    assert.match(code, /^timers-invalid /, kind);
    assert.ok(cause instanceof InvalidTimersError && cause.kind === "bad", kind);
    assert.deepEqual(await actor.call(kind), { version: 2, state: kind });
  }
  await host.client.get(booking, "booking-1").call({ reserve: 0 });
  for await (const { eventType } of store.subscribe({ actorId: "booking-1" })) {
    if (eventType === "Released") break;
  }
});

Deno.test("the sound timers of an actor fire next to one that is not", async () => {
  await using store = new InMemoryEventStore<Bad>({ onWarning: () => {} });
  const kinds: string[] = [];
  const mixed = defineActor("mixed", {
    decider: {
      ...badDecider,
      decide: (kind: string) => {
        kinds.push(kind);
        return kind === "begin" ? [{ eventType: "Begun" as const, data: { kind } }] : [];
      },
    },
    timers: (kind) =>
      kind === "begin"
        ? { lost: { at: NaN, command: "lost" }, sound: { at: "2026-01-31T10:00:00+01:00", command: "sound" } }
        : {},
  });
  await using host = await ActorHost.start({ store, actors: [mixed], onWarning: () => {} });
  await host.client.get(mixed, "mixed-1").call("begin");
  while (kinds.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(kinds, ["begin", "sound"]);
});

Deno.test("timers that are not a function of the state alone are reported, and are tried more and more seldom", async () => {
  await using store = new InMemoryEventStore<Bad>({ onWarning: () => {} });
  let calls = 0;
  const impure = defineActor("impure", {
    decider: badDecider,
    timers: (kind) => kind === "begin" ? { x: { at: -(++calls), command: "a" } } : {},
  });
  const { promise, resolve } = Promise.withResolvers<unknown>();
  await using host = await ActorHost.start({
    store,
    actors: [impure],
    onWarning: ({ cause }) => resolve(cause),
  });
  await host.client.get(impure, "impure-1").call("begin");
  assert.ok(await promise instanceof InvalidTimersError);
  const before = calls;
  await aWhile();
  assert.ok(calls - before < 40, String(calls - before));
});

Deno.test("an actor may have a hundred timers, which fire in the order of their times", async () => {
  type Fired = Event<"Begun" | "Fired", { index: number }>;
  const many = defineActor("many", {
    decider: {
      initialState: (): readonly number[] => [],
      evolve: (fired: readonly number[], { eventType, data }: Fired) =>
        eventType === "Begun" ? [-1] : [...fired, data.index],
      decide: (index: number) => [{
        eventType: index < 0 ? "Begun" as const : "Fired" as const,
        data: { index },
      }],
    },
    timers: (fired) =>
      fired.length === 0 ? {} : Object.fromEntries(
        Array.from({ length: 100 }, (_, index) => [
          `timer ${index}`,
          fired.includes(index) ? undefined : { at: new Date(1_000 - index), command: index },
        ]),
      ),
  });
  await using store = new InMemoryEventStore<Fired>({ onWarning: () => {} });
  await using host = await ActorHost.start({ store, actors: [many] });
  const actor = host.client.get(many, "many-1");
  await actor.call(-1);
  for await (const { version } of actor.events()) if (version === 101) break;
  const order = (await store.getEvents("many-1", 2)).map(({ data }) => data.index);
  assert.deepEqual(order, Array.from({ length: 100 }, (_, index) => 99 - index));
});

Deno.test("an actor whose timers are always due keeps no other actor waiting", async () => {
  type Ticked = Event<"Ticked", null>;
  const clock = defineActor("clock", {
    decider: {
      initialState: () => 0,
      evolve: (count: number, _event: Ticked) => count + 1,
      decide: (_command: "tick") => [{ eventType: "Ticked" as const, data: null }],
    },
    timers: (count) => count === 0 ? {} : { tick: { at: count, command: "tick" as const } },
  });
  await using store = new InMemoryEventStore<Ticked | BookingEvent>({ onWarning: () => {} });
  await using host = await ActorHost.start({ store, actors: [clock as never, booking] });
  await host.client.get(clock, "clock-1").call("tick");
  while (await store.getLatestVersion("clock-1") < 50) await new Promise((resolve) => setTimeout(resolve, 1));
  const dueAt = Date.now() + 20;
  await host.client.get(booking, "booking-1").call({ reserve: dueAt });
  for await (const { eventType, timestamp } of store.subscribe({ actorId: "booking-1" })) {
    if (eventType !== "Released") continue;
    const late = Date.parse(timestamp) - dueAt;
    assert.ok(late >= 0 && late < 1_000, String(late));
    break;
  }
});

Deno.test("defineActor() refuses timers that are no function, and a command that the decider does not know does not compile", () => {
  assert.throws(
    () => defineActor("a", { decider, timers: {} as never }),
    (error) => error instanceof InvalidArgumentError && error.argument === "options.timers",
  );
  const typed = (): void => {
    // @ts-expect-error -- there is no such command
    defineActor("a", { decider, timers: () => ({ a: { at: 0, command: { release: 1 } } }) });
    // @ts-expect-error -- a time is missing
    defineActor("a", { decider, timers: () => ({ a: { command: { release: true } } }) });
    // @ts-expect-error -- the state has no such field
    defineActor("a", { decider, timers: ({ due }) => ({ a: { at: due, command: { release: true } } }) });
    // @ts-expect-error -- it is not synchronous
    defineActor("a", { decider, timers: () => Promise.resolve({}) });
    defineActor("a", {
      decider,
      timers: ({ dueAt }) => ({ a: { at: new Date(dueAt), command: { release: true } }, b: undefined }),
    });
  };
  assert.equal(typeof typed, "function");
});
