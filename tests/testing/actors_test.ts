/** The testing kit for actors: what it asserts, and the faults that it makes. */

import assert, { AssertionError } from "node:assert/strict";
import { type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";
import { specifyActor, TestActors } from "@flowmade-one/aether/testing";
import { booking, decider, NotReserved } from "../actor/booking.ts";
import { counter, TooMuch } from "../actor/counter.ts";

const DUE = Date.parse("2026-01-01T00:15:00Z");
const RESERVED = { eventType: "Reserved", data: { dueAt: DUE } } as const;

Deno.test("specifyActor() asserts events, states, answers, timers and declared errors", () => {
  const timers = { "payment-due": { at: "2026-01-01T00:15:00Z", command: { release: true } as const } };
  specifyActor(booking).given([]).when({ reserve: DUE })
    .thenEvents([RESERVED])
    .thenState({ status: "reserved", dueAt: DUE })
    .thenAnswers("status", "reserved")
    .thenTimers(timers);
  specifyActor(booking).given([RESERVED])
    .thenState({ status: "reserved", dueAt: DUE })
    .thenAnswers("status", "reserved")
    .thenTimers(timers);
  specifyActor(booking).given([RESERVED]).when({ pay: true }).thenTimers({});
  specifyActor(booking).given([]).when({ pay: true }).thenThrows(NotReserved);
});

Deno.test("specifyActor() fails where the actor does something else", () => {
  const history = specifyActor(booking).given([RESERVED]);
  const fails: readonly (() => unknown)[] = [
    () => history.thenTimers({}),
    () => history.thenTimers({ "payment-due": { at: DUE + 1, command: { release: true } } }),
    () => history.thenTimers({ "payment-due": { at: DUE, command: { pay: true } } }),
    () => history.thenAnswers("status", "paid"),
    () => history.thenAnswers("none" as "status", "paid"),
    () => history.when({ pay: true }).thenAnswers("status", "reserved"),
    () => history.when({ pay: true }).thenThrows(NotReserved),
  ];
  for (const fail of fails) assert.throws(fail, AssertionError, String(fail));
  assert.throws(() => specifyActor(booking).given([]).when({ pay: true }).thenTimers({}), NotReserved);
  const undeclared = defineActor("booking", { decider });
  assert.throws(
    () => specifyActor(undeclared).given([]).when({ pay: true }).thenThrows(NotReserved),
    /NotReserved is not declared/,
  );
  assert.throws(() => specifyActor(counter).given([]).when(NaN), /command/);
  const broken = defineActor("booking", {
    decider,
    timers: () => ({ due: { at: NaN, command: { pay: true } as const } }),
  });
  assert.throws(() => specifyActor(broken).given([]).thenTimers({}), /named the timer "due"/);
});

Deno.test("TestActors fires each timer at its time, in order, when its clock is set forward", async () => {
  await using system = await TestActors.start({ actors: [booking] });
  for (const [id, minutes] of [["booking-1", 30], ["booking-2", 15]] as const) {
    await system.client.get(booking, id).call({ reserve: system.now.getTime() + minutes * 60_000 });
  }
  await system.advance("14 min");
  assert.equal(await system.client.get(booking, "booking-2").query("status"), "reserved");
  await system.advance(3_600_000);
  assert.equal(system.now.toISOString(), "2026-01-01T01:14:00.000Z");
  const events = await Array.fromAsync(system.store.readAll({ eventTypes: ["Released"] }));
  assert.deepEqual(events.map(({ actorId, timestamp }) => [actorId, timestamp]), [
    ["booking-2", "2026-01-01T00:15:00.000Z"],
    ["booking-1", "2026-01-01T00:30:00.000Z"],
  ]);
  await assert.rejects(system.advance("soon"), /must be milliseconds, or a text such as "15 min"/);
  await assert.rejects(system.advance(-1), /duration/);
});

Deno.test("TestActors reports a timer that is due again each time that it has fired", async () => {
  type Rang = Event<"Rang", null>;
  const ringing: Decider<number, "ring", Rang> = {
    initialState: () => 0,
    evolve: (count) => count + 1,
    decide: () => [{ eventType: "Rang", data: null }],
  };
  const bell = defineActor("bell", {
    decider: ringing,
    timers: (count) => ({ [`bell-${count}`]: { at: 0, command: "ring" as const } }),
  });
  await using system = await TestActors.start({ actors: [bell] });
  await system.client.get(bell, "bell-1").call("ring");
  await assert.rejects(system.advance(1), /is never over: timers of "bell-1" were due 200 times/);
});

Deno.test("TestActors keeps the promises of a cluster under faults: an effect once, nothing lost", async () => {
  await using system = await TestActors.start({ actors: [counter] });
  const actor = system.client.get(counter, "counter-1");
  assert.deepEqual(await actor.call(1), { version: 1, state: 1 });
  system.loseAnswer();
  assert.deepEqual(await actor.call(2), { version: 2, state: 3 }, "an answer was lost");
  system.deliverTwice();
  assert.deepEqual(await actor.call(3), { version: 3, state: 6 }, "a request came twice");
  await system.move();
  assert.deepEqual(await actor.call(4), { version: 4, state: 10 }, "the actor moved");
  const waiting = actor.call(5);
  system.kill();
  assert.deepEqual(await waiting, { version: 5, state: 15 }, "the host was killed");
  const resume = system.suspend();
  assert.deepEqual(await actor.call(6), { version: 6, state: 21 }, "the host was suspended");
  await resume();
  assert.deepEqual(await actor.call(7, { id: "seven" }), { version: 7, state: 28 }, "it went on");
  assert.deepEqual(await actor.call(7, { id: "seven" }), { version: 7, state: 28 });
  await assert.rejects(actor.call(2_000), TooMuch);
  assert.equal(await actor.query("sum"), 28);
  const events = await system.store.getEvents("counter-1");
  assert.deepEqual(events.map(({ data }) => data.by), [1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("TestActors shows an effect that is not idempotent: a command without an id that the caller sends again", async () => {
  await using system = await TestActors.start({ actors: [counter] });
  const actor = system.client.get(counter, "counter-1");
  await actor.call(1);
  await actor.call(1);
  assert.equal(await actor.query("sum"), 2);
  await assert.rejects(TestActors.start({ actors: [] }), /options.actors/);
  await assert.rejects(TestActors.start({ actors: [counter], now: new Date(NaN) }), /options.now/);
});
