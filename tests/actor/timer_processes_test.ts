import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../support/nats_server.ts";
import type { BookingEvent } from "./booking.ts";
import { event, type Store } from "./timer_stores.ts";

const PROGRAM = fileURLToPath(new URL("timer_process.ts", import.meta.url));

/** A process that fires timers. */
class Process implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  static async start(...args: string[]): Promise<Process> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--unstable-kv", "--no-check", PROGRAM, ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    assert.match(new TextDecoder().decode((await reader.read()).value), /ready/);
    reader.releaseLock();
    return new Process(child);
  }

  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close().catch(() => {});
    await this.#child.stdout.cancel();
    await this.#child.status;
  }
}

const IDS = Array.from({ length: 30 }, (_, index) => `booking-${index}`);
const sleepUntil = (time: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, time - Date.now()));

/** Reserves bookings under new ids. */
async function reserveAll(store: Store, series: string, dueAt: number): Promise<string[]> {
  const ids = IDS.map((id) => `${id}-${series}`);
  await Promise.all(
    ids.map((id) => store.append(id, [{ eventType: "Reserved", data: { dueAt } }], { expectedVersion: 0 })),
  );
  return ids;
}

/** Each timer has fired once, and none before its time. */
async function assertReleased(store: Store, ids: readonly string[], dueAt: number): Promise<void> {
  await Promise.all(ids.map((id) => event(store, id, "Released")));
  for (const id of ids) {
    const events = await store.getEvents(id);
    assert.deepEqual(events.map(({ eventType }) => eventType), ["Reserved", "Released"], id);
    assert.ok(Date.parse(events[1]!.timestamp) >= dueAt, `${id} was fired early`);
  }
}

async function runnersTakeOver(t: Deno.TestContext, store: Store, ...target: string[]): Promise<void> {
  const start = (): Promise<Process> => Process.start("runner", ...target);
  await t.step("a run that is killed while it fires is replaced", async () => {
    await using first = await start();
    const dueAt = Date.now() + 300;
    const ids = await reserveAll(store, "killed", dueAt);
    await using _second = await start();
    await event(store, ids[0]!, "Released");
    first.signal("SIGKILL");
    await assertReleased(store, ids, dueAt);
    const later = Date.now();
    await assertReleased(store, await reserveAll(store, "after", later), later);
  });

  await t.step("what fell due while no run worked fires with the next one", async () => {
    let ids: string[];
    const dueAt = Date.now() + 400;
    {
      await using only = await start();
      ids = await reserveAll(store, "alone", dueAt);
      only.signal("SIGKILL");
    }
    await sleepUntil(dueAt + 50);
    await using _next = await start();
    await assertReleased(store, ids, dueAt);
  });

  await t.step("a run that is suspended over the time is replaced, and fires nothing again", async () => {
    await using first = await start();
    const dueAt = Date.now() + 200;
    const ids = await reserveAll(store, "suspended", dueAt);
    first.signal("SIGSTOP");
    await using _second = await start();
    await assertReleased(store, ids, dueAt);
    first.signal("SIGCONT");
    const later = Date.now();
    await assertReleased(store, await reserveAll(store, "resumed", later), later);
    await assertReleased(store, ids, dueAt);
  });
}

Deno.test("timers on Deno KV: runs in processes of their own", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/events.kv`;
    await using store = await DenoKvEventStore.open<BookingEvent>(path, { pollInterval: 5 });
    await runnersTakeOver(t, store, "deno-kv", path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("timers on JetStream: runs in processes of their own", async (t) => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<BookingEvent>(server.url);
  await runnersTakeOver(t, store, "jetstream", server.url);
});

Deno.test("timers of a cluster: hosts that are killed or suspended are replaced, and each timer fires once", async (t) => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<BookingEvent>(server.url);
  const start = (name: string): Promise<Process> => Process.start("host", "jetstream", server.url, name);
  await using first = await start("a");
  await using _second = await start("b");
  await t.step("two hosts fire each timer once", async () => {
    const dueAt = Date.now() + 300;
    await assertReleased(store, await reserveAll(store, "two", dueAt), dueAt);
  });
  await t.step("a host that is suspended over the time is replaced", async () => {
    const dueAt = Date.now() + 200;
    const ids = await reserveAll(store, "suspended", dueAt);
    first.signal("SIGSTOP");
    await assertReleased(store, ids, dueAt);
    first.signal("SIGCONT");
    const later = Date.now() + 100;
    await assertReleased(store, await reserveAll(store, "resumed", later), later);
    await assertReleased(store, ids, dueAt);
  });
  await t.step("a host that is killed while it fires is replaced", async () => {
    const dueAt = Date.now() + 200;
    const ids = await reserveAll(store, "killed", dueAt);
    await event(store, ids[0]!, "Released");
    first.signal("SIGKILL");
    await assertReleased(store, ids, dueAt);
    const later = Date.now() + 100;
    await assertReleased(store, await reserveAll(store, "after", later), later);
  });
});
