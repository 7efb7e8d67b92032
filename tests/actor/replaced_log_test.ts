/** Timers of a log that is deleted or made again under an open store. */

import assert from "node:assert/strict";
import {
  ActorHost,
  type AnyActor,
  type Decider,
  defineActor,
  type Event,
  execute,
  fireTimersOnce,
  listTimers,
  LogReplacedError,
  reconcileTimers,
  runTimers,
} from "@flowmade-one/aether/actor";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { connect } from "@nats-io/transport-node";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import { booking, type BookingEvent, decider } from "./booking.ts";
import { aWhile, MINUTE, type Store } from "./timer_stores.ts";
import { PATIENT } from "../support/patient.ts";

type OpenStore = Store & AsyncDisposable;
type Greeted = Event<"Greeted", null>;

const greeter: Decider<number, "greet", Greeted> = {
  initialState: () => 0,
  evolve: (count) => count + 1,
  decide: () => [{ eventType: "Greeted", data: null }],
};
/** Its initial state names a timer too. */
const greeting = defineActor("greeting", {
  decider: greeter,
  timers: (count) => ({ next: { at: count === 0 ? 0 : Date.UTC(2100, 0), command: "greet" } }),
});

/** What makes the index that of a new log. */
type TakeUp = (store: Store, actors: readonly AnyActor<never>[]) => Promise<AsyncDisposable | void>;

const TAKE_UP = {
  runTimers: (store, actors) => Promise.resolve(runTimers(store as never, actors, { onWarning: () => {} })),
  fireTimersOnce: async (store, actors) => void await fireTimersOnce(store as never, actors),
  reconcileTimers: async (store, actors) => void await reconcileTimers(store as never, actors),
} satisfies Record<string, TakeUp>;

/** @param open Opens a store on the log that there is, or makes one. */
async function replace(
  open: () => Promise<OpenStore>,
  remove: () => Promise<void>,
  takeUp: TakeUp,
): Promise<void> {
  const codes: string[] = [];
  const onWarning = ({ code }: { readonly code: string }): void => void codes.push(code);
  await using store = await open();
  const dueAt = Date.now() + 60 * MINUTE;
  await execute(store, "booking-1", decider, { reserve: dueAt });
  await execute(store as never, "greeting-1", greeter, "greet");
  await using run = runTimers<never>(store as never, [booking, greeting] as never, { onWarning });
  await until("the index is up to date", async () => (await listTimers(store)).timers.length === 2);

  await remove();
  await assert.rejects(run.finished, LogReplacedError);
  assert.ok(codes.includes("timers-stopped"), codes.join());
  await run.close();
  await assert.rejects(listTimers(store), LogReplacedError);
  await assert.rejects(fireTimersOnce(store, [booking]), LogReplacedError);
  // A host reports it, and can be closed.
  codes.length = 0;
  await using host = await ActorHost.start({ store, actors: [booking], onWarning });
  await until("a warning", () => codes.includes("timers-stopped"));
  await host.close();

  await using fresh = await open();
  assert.deepEqual((await listTimers(fresh)).timers, []);
  await execute(fresh, "booking-2", decider, { reserve: dueAt });
  assert.deepEqual((await listTimers(fresh)).timers, [], "the index is that of the earlier log");
  await execute(fresh as never, "greeting-2", greeter, "greet");
  await using _run = await takeUp(fresh, [booking, greeting] as never) ?? null;
  const listed = async (): Promise<string[]> => {
    return (await listTimers(fresh)).timers.map(({ actorId }) => actorId);
  };
  await until(
    "the index is up to date",
    async () => (await listed()).includes("booking-2") && (await listed()).includes("greeting-2"),
  );
  await aWhile();
  assert.deepEqual(await fresh.getEvents("greeting-1"), [], "an actor without events has no timers");
  assert.deepEqual(await listed(), ["booking-2", "greeting-2"]);
}

Deno.test("timers end with a LogReplacedError when the stream is deleted, and a new log begins without the old ones", async () => {
  await using server = await startNatsServer();
  const connection = await connect({ servers: server.url });
  await replace(
    () => JetStreamEventStore.open<BookingEvent>(connection, { onWarning: () => {} }),
    async () => void await connection.request("$JS.API.STREAM.DELETE.aether_default", "", PATIENT),
    TAKE_UP.runTimers,
  );
  await connection.close();
});

for (const [name, takeUp] of Object.entries(TAKE_UP)) {
  Deno.test(`timers end with a LogReplacedError when the log is deleted from its database, and ${name}() begins without the old ones`, async () => {
    await using folder = await kvFolder();
    using kv = await Deno.openKv(folder.file);
    await replace(
      () => DenoKvEventStore.open<BookingEvent>(kv, { pollInterval: 20, onWarning: () => {} }),
      async () => {
        for await (const { key } of kv.list({ prefix: ["aether", "default"] })) {
          if (key[2] !== "timer") await kv.delete(key);
        }
      },
      takeUp,
    );
  });
}
