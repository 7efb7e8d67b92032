/** Retention, and what is killed between the expiry of events and the record that remembers their actors. */

import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { type Event, HistoryTruncatedError, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { JetStreamCheckpoints, type Projection, runProjection } from "../../../mod.ts";
import { expire, LONG_RETENTION } from "../../support/expiry.ts";
import { type NatsServer, startNatsServer } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { client, until } from "./support.ts";

/** The tenth of it is the time in which actors are remembered, and must be ample also on a slow machine. */
const RETENTION = 30_000;
const ACTORS = 12;
/** How many of them are remembered before the process is killed. */
const REMEMBERED = 4;

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

/** Waits until the stream has no message left. */
async function expired(server: NatsServer, namespace: string): Promise<void> {
  await using nats = await client(server.url);
  await until(
    async () => (await nats.requests.streamInfo(`aether_${namespace}`)).state.messages === 0,
    "all events to expire",
  );
}

/**
 * Stores events of some actors, and lets another process remember them when the time has come: it is killed when it has
 * remembered some of them and is about to remember the next.
 *
 * @returns The actors that were remembered.
 */
async function killedWhileItRemembers(
  server: NatsServer,
  namespace: string,
): Promise<Set<string>> {
  {
    await using store = await JetStreamEventStore.open(server.url, { namespace, retention: RETENTION });
    for (let index = 0; index < ACTORS; index++) {
      const events = Array.from({ length: index + 1 }, (_, number) => event(number));
      await store.append(`a-${index}`, events, { expectedVersion: 0, fencingToken: 7 });
    }
  }
  await using proxy = startProxy(server.url);
  const remembered = new Set<string>();
  const enough = Promise.withResolvers<void>();
  proxy.filter({
    toServer: ({ subject = "" }): boolean => {
      const actorId = /^\$KV\..*\.actor\.(.*)$/.exec(subject)?.[1];
      if (actorId === undefined) return false;
      if (remembered.size < REMEMBERED) {
        remembered.add(actorId);
        return false;
      }
      enough.resolve();
      return true;
    },
  });
  const program = fileURLToPath(new URL("../../support/programs/idle_store.ts", import.meta.url));
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", program, proxy.url, namespace],
    stdin: "piped", // it ends when this process does
    stdout: "null",
  }).spawn();
  await enough.promise;
  process.kill("SIGKILL");
  await process.status;
  await process.stdin.close().catch(() => {}); // nobody reads it any more
  return remembered;
}

/** Every actor has its version and its token, and none of its events. */
async function assertKnown(server: NatsServer, namespace: string, actors: Iterable<string>): Promise<void> {
  await using store = await JetStreamEventStore.open(server.url, { namespace });
  for (const actorId of actors) {
    const version = Number(actorId.slice(2)) + 1;
    assert.equal(await store.getLatestVersion(actorId), version);
    await assert.rejects(store.getEvents(actorId), HistoryTruncatedError);
    const options = { expectedVersion: 0, fencingToken: 7 };
    await assert.rejects(store.append(actorId, [event(0)], options), { name: "VersionConflictError" });
    await assert.rejects(store.append(actorId, [event(0)], { expectedVersion: version }), {
      name: "FencedError",
    });
  }
}

Deno.test("processes killed between expiry and record: the next store remembers the rest; without one, diagnose reports it", async () => {
  await using server = await startNatsServer();
  const rescued = async (): Promise<void> => {
    assert.equal((await killedWhileItRemembers(server, "rescued")).size, REMEMBERED);
    await using rescuer = await JetStreamEventStore.open(server.url, { namespace: "rescued" });
    await rescuer.preserveExpiringActors();
  };
  const [remembered] = await Promise.all([killedWhileItRemembers(server, "alone"), rescued()]);
  await Promise.all(["alone", "rescued"].map((namespace) => expired(server, namespace)));
  await server.kill();
  await server.restart();
  await assertKnown(server, "rescued", Array.from({ length: ACTORS }, (_, index) => `a-${index}`));
  await assertKnown(server, "alone", remembered);

  await using store = await JetStreamEventStore.open(server.url, { namespace: "alone" });
  await store.preserveExpiringActors(); // nothing is there any more
  let forgotten = 0;
  for (let index = 0; index < ACTORS; index++) {
    if (remembered.has(`a-${index}`)) continue;
    assert.equal(await store.getLatestVersion(`a-${index}`), 0); // as the documentation says
    await store.append(`a-${index}`, [event("anew")], { expectedVersion: 0 });
    forgotten++;
  }
  assert.equal(forgotten, ACTORS - REMEMBERED);
  const retention = (await store.diagnose()).find(({ code }) => code === "retention");
  assert.match(retention!.message, /remembered only if a store is open from time to time/);
  assert.equal((await store.verify()).ok, true);
});

Deno.test("a projection whose checkpoint has expired ends with an error, and its checkpoint does not change", async () => {
  await using server = await startNatsServer();
  const seen: unknown[] = [];
  const projection = (name: string, checkpoints: JetStreamCheckpoints): Projection<Event> => ({
    name,
    checkpoints,
    handle: ({ data }) => void seen.push(data),
  });
  const options = { leaseTtl: 5_000, onWarning: () => {} };
  const positions: string[] = [];
  {
    await using store = await JetStreamEventStore.open(server.url, { retention: LONG_RETENTION });
    await using checkpoints = await JetStreamCheckpoints.open(server.url);
    const save = async (data: unknown): Promise<void> => {
      const [saved] = await store.append("order", [event(data)], { expectedVersion: "any" });
      positions.push(saved!.position);
    };
    for (const [name, count] of [["behind", 3], ["just in time", 6]] as const) {
      while (positions.length < count) await save(positions.length + 1);
      await using running = runProjection(store, projection(name, checkpoints), options);
      await running.waitFor(positions.at(-1)!);
    }
  }
  await expire(server.url);
  await server.kill();
  await server.restart();
  await using store = await JetStreamEventStore.open(server.url);
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  const [kept] = await store.append("other", [event("kept")], { expectedVersion: 0 });
  const before = await checkpoints.load({ name: "behind", version: 1 });
  seen.length = 0;
  for (let attempt = 0; attempt < 2; attempt++) {
    await using running = runProjection(store, projection("behind", checkpoints), options);
    await assert.rejects(
      running.finished,
      (error) => error instanceof HistoryTruncatedError && error.firstPosition === kept!.position,
    );
  }
  assert.deepEqual(seen, []);
  const after = await checkpoints.load({ name: "behind", version: 1 });
  assert.equal(JSON.parse(after!.value).position, positions[2]);
  assert.equal(JSON.parse(before!.value).position, positions[2]);
  // Nothing is missing between the other one's checkpoint and the first event that is kept.
  await using running = runProjection(store, projection("just in time", checkpoints), options);
  await running.waitFor(kept!.position);
  assert.deepEqual(seen, ["kept"]);
});

Deno.test("a subscription that was closed while events expired ends with an error, and skips nothing in silence", async () => {
  await using server = await startNatsServer();
  await using near = await JetStreamEventStore.open(server.url, { retention: LONG_RETENTION });
  await using proxy = startProxy(server.url);
  const connect = { client: { reconnectTimeWait: 50 } };
  await using far = await JetStreamEventStore.open(proxy.url, { heartbeat: 200, connect });
  const subscription = far.subscribe();
  const events = subscription[Symbol.asyncIterator]();
  await near.append("order", [event(1)], { expectedVersion: 0 });
  assert.equal((await events.next()).value?.data, 1);
  const { position } = subscription;
  await proxy.cut();
  for (let version = 1; version < 5; version++) {
    await near.append("order", [event(version + 1)], { expectedVersion: version });
  }
  await expire(server.url);
  const [kept] = await near.append("order", [event(6)], { expectedVersion: 5 });
  proxy.resume();
  await assert.rejects(events.next(), (error) => {
    return error instanceof HistoryTruncatedError && error.firstPosition === kept!.position;
  });
  assert.equal(subscription.position, position);
  // Who wants the rest asks for it.
  await using rest = far.subscribe({ after: "first-kept" });
  assert.equal((await rest[Symbol.asyncIterator]().next()).value?.data, 6);
});
