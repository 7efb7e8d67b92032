/** Hosts and timers on a server that does not answer: an abort and close() end them soon, and nothing is lost. */

import assert from "node:assert/strict";
import {
  ActorHost,
  execute,
  fireTimersOnce,
  listTimers,
  OutcomeUnknownError,
  reconcileTimers,
  runTimers,
} from "@flowmade-one/aether/actor";
import { BackendError, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { sleep } from "../../src/sleep.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { soon } from "../support/running_time.ts";
import { booking, type BookingEvent, decider } from "./booking.ts";
import { until } from "./timer_stores.ts";

const QUIET = { onWarning: (): void => {} };
const SOON = 6_000;

/** Whether a promise has settled soon: what waits for the server takes longer. */
async function endsSoon(what: string, promise: Promise<unknown>): Promise<unknown> {
  const outcome = await soon(promise.then((value) => value, (error) => error), SOON);
  assert.notEqual(outcome, "late", `${what} takes long`);
  return outcome;
}

Deno.test("close() of a host and of a run end soon on a server that does not answer, and nothing is lost", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<BookingEvent>(server.url, QUIET);
  await using other = await JetStreamEventStore.open<BookingEvent>(server.url, {
    ...QUIET,
    namespace: "other",
  });
  const host = await ActorHost.start({ store, actors: [booking], ...QUIET });
  const dueAt = Date.now() + 60_000;
  const actor = host.client.get(booking, "booking-1");
  await actor.call({ reserve: dueAt });
  await execute(other, "booking-2", decider, { reserve: dueAt });
  const run = runTimers(other, [booking], QUIET);
  for (const each of [store, other]) {
    await until(async () => (await listTimers(each)).timers.length === 1);
  }

  await server.suspend();
  try {
    const call = actor.call({ pay: true }, { id: "payment", timeout: 500 }).catch((error) => error);
    await endsSoon("close() of a host", host.close());
    await endsSoon("close() of a run", run.close());
    await endsSoon("finished", run.finished);
    assert.ok(await call instanceof OutcomeUnknownError);
  } finally {
    server.resume();
  }
  await using again = await ActorHost.start({ store, actors: [booking], ...QUIET });
  const paid = await again.client.get(booking, "booking-1").call({ pay: true }, {
    id: "payment",
    timeout: 20_000,
  });
  assert.equal(paid.version, 2);
  assert.equal((await store.getEvents("booking-1")).length, 2);
  assert.equal((await fireTimersOnce(other, [booking], QUIET)).next?.getTime(), dueAt);
});

Deno.test("an abort ends every call about timers at once on a server that does not answer", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<BookingEvent>(server.url, QUIET);
  await execute(store, "booking-1", decider, { reserve: Date.now() });
  const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    fireTimersOnce: (signal) => fireTimersOnce(store, [booking], { ...QUIET, signal }),
    reconcileTimers: (signal) => reconcileTimers(store, [booking], { ...QUIET, signal }),
    listTimers: (signal) => listTimers(store, { signal }),
    runTimers: async (signal) => {
      await runTimers(store, [booking], { ...QUIET, signal }).finished;
      throw signal.reason;
    },
  };
  await server.suspend();
  try {
    // Before the server is asked, while its answer is awaited, and later on.
    for (const delay of [0, 20, 300]) {
      const abort = new AbortController();
      const outcomes = Object.entries(calls).map(async ([name, call]) => {
        assert.equal(await endsSoon(name, call(abort.signal)), abort.signal.reason, name);
      });
      await sleep(delay);
      abort.abort(new Error("enough"));
      await Promise.all(outcomes);
    }
    const late = await endsSoon("the budget", fireTimersOnce(store, [booking], { ...QUIET, budgetMs: 1 }));
    assert.ok(late instanceof BackendError && late.reason === "unreachable", String(late));
  } finally {
    server.resume();
  }
  assert.equal((await fireTimersOnce(store, [booking], QUIET)).fired, 1);
});
