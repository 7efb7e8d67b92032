/** saveTimeout and signals count while a save waits: behind another one, for its turn, for a head, for an answer. */

import assert from "node:assert/strict";
import {
  BackendError,
  JetStreamEventStore,
  type JetStreamEventStoreOptions,
  OutcomeUnknownError,
} from "@flowmade-one/aether/jetstream";
import { connectTo } from "../../../src/nats/connect.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { sleep } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

const pair = (index: number): { actorId: string; version: number; eventType: string; data: unknown }[] =>
  [`x-${index}`, `y-${index}`].map((actorId) => ({ actorId, version: 1, ...event(1) }));

/** How a save ended, and how long that took. */
interface Ending {
  readonly outcome: unknown;
  readonly took: number;
}

async function ending(save: () => Promise<unknown>): Promise<Ending> {
  const begun = performance.now();
  const outcome = await save().catch((error: unknown) => error);
  return { outcome, took: performance.now() - begun };
}

/** Every way in which a save waits; with more than one in flight all of them are queued at some place. */
function waits(
  store: JetStreamEventStore,
  options: { signal?: AbortSignal } = {},
): Record<string, (() => Promise<unknown>)[]> {
  const times = (count: number, save: (index: number) => Promise<unknown>): (() => Promise<unknown>)[] =>
    Array.from({ length: count }, (_, index) => () => save(index));
  return {
    "one actor": times(
      6,
      (index) => store.append("warm", [event(index)], { expectedVersion: "any", ...options }),
    ),
    "the limit of saves under way": times(
      30,
      (index) => store.append(`new-${index}`, [event(index)], { expectedVersion: 0, ...options }),
    ),
    "batches": times(40, (index) => store.saveEvents(pair(index), options)),
    "a cold head": times(
      3,
      (index) => store.append(`cold-${index}`, [event(index)], { expectedVersion: "any", ...options }),
    ),
    "takeOver of one actor": times(3, (index) => store.takeOver("owned", index + 1)),
  };
}

const SETTINGS: readonly JetStreamEventStoreOptions[] = [
  { saveTimeout: 1_500 },
  { saveTimeout: 1_500, answerTimeout: 300 },
  { saveTimeout: 1_500, maxInFlight: 4 },
];

for (const settings of SETTINGS) {
  Deno.test(`on a silent server, no save takes longer than its deadline, nor is sent behind it: ${JSON.stringify(settings)}`, async () => {
    await using server = await startNatsServer();
    await using proxy = startProxy(server.url);
    const connection = await connectTo(proxy.url);
    await using store = await JetStreamEventStore.open(connection, { retention: "forever", ...settings });
    await store.append("warm", [event("first")], { expectedVersion: 0 });
    // What passes the proxy before and after the mark, which is sent once every save has ended.
    let sent = 0;
    let late = 0;
    const marked = Promise.withResolvers<void>();
    let isMarked = false;
    proxy.filter({
      toServer: ({ subject }) => {
        if (subject === "mark") marked.resolve(void (isMarked = true));
        if (subject?.startsWith("aether.")) isMarked ? late++ : sent++;
        return false;
      },
    });
    await server.suspend();
    const all = Object.entries(waits(store)).flatMap(([what, saves]) =>
      saves.map((save) => ({ what, save }))
    );
    const endings = await Promise.all(all.map(async ({ what, save }) => ({ what, ...await ending(save) })));
    connection.publish("mark");
    await marked.promise;
    for (const { what, outcome, took } of endings) {
      assert(
        outcome instanceof BackendError || outcome instanceof OutcomeUnknownError,
        `${what}: ${outcome}`,
      );
      assert(took > 1_000 && took < 10 * settings.saveTimeout!, `${what} took ${took} ms`);
    }
    // What was never sent is told from what may be stored.
    const unsent = endings.filter(({ outcome }) => outcome instanceof BackendError).length;
    assert(unsent >= 5, `${unsent}`);
    server.resume();
    await sleep(1_000);
    assert(sent > 0);
    assert.equal(late, 0, "something was sent behind its deadline");
    const report = await store.verify();
    assert.equal(report.ok, true);
    assert(report.events <= 1 + 6 + 30 + 80 + 3);
    // The queues are empty again.
    const [saved] = await store.append("warm", [event("last")], { expectedVersion: "any" });
    assert(saved!.version <= 3);
    await store.saveEvents(pair(1_000));
    await store.close();
    await connection.close();
  });
}

Deno.test("an abort ends a save that was not sent at once, with its reason, at every place in the queue", async () => {
  await using server = await startNatsServer();
  {
    // A store that has written all of the log sends the first save of an actor at once.
    await using other = await JetStreamEventStore.open(server.url, { retention: "forever" });
    await other.append("other", [event("first")], { expectedVersion: 0 });
  }
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever", maxInFlight: 4 });
  await store.append("warm", [event("first")], { expectedVersion: 0 });
  await store.append("owned", [event("first")], { expectedVersion: 0 });
  await server.suspend();
  // These are sent, and stay without an answer: the others wait behind them.
  const ahead = Promise.allSettled(
    ["warm", "b", "c", "d"].map((actorId) => store.append(actorId, [event(0)], { expectedVersion: "any" })),
  );
  const sent = Promise.allSettled(
    Array.from({ length: 20 }, (_, index) => store.saveEvents(pair(500 + index))),
  );
  await sleep(50);
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("changed my mind");
  const { "takeOver of one actor": _, ...others } = waits(store, { signal });
  const saves = Object.values(others).flat();
  const endings = Promise.all(saves.map(ending));
  await sleep(300);
  const aborted = performance.now();
  controller.abort(reason);
  for (const { outcome } of await endings) assert.equal(outcome, reason);
  const took = performance.now() - aborted;
  assert(took < 4_000, `${took} ms`); // an answer may take 5 s, and a save 30 s
  server.resume();
  await ahead;
  await sent;
  assert.equal((await store.verify()).ok, true);
  // Nothing of what was aborted is stored.
  const actors = (await Array.fromAsync(store.listActors())).map(({ actorId }) => actorId);
  assert(!actors.some((actorId) => /^(new|cold)-/.test(actorId)), `${actors}`);
  assert.equal(await store.getLatestVersion("warm"), 2);
});

Deno.test("a signal that has fired before the save ends it, and closing waits for no save that was given up", async () => {
  await using server = await startNatsServer();
  const store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  const reason = new Error("too late");
  for (const save of Object.values(waits(store, { signal: AbortSignal.abort(reason) })).flat().slice(0, 79)) {
    assert.equal((await ending(save)).outcome, reason);
  }
  assert.equal((await store.verify()).commits, 0);
  await server.suspend();
  const controller = new AbortController();
  const given = ending(() =>
    store.append("cold", [event(1)], { expectedVersion: "any", signal: controller.signal })
  );
  await sleep(50);
  controller.abort(reason);
  assert.equal((await given).outcome, reason);
  server.resume();
  await store.close();
});
