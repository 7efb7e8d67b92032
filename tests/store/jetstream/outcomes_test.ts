/** Contract point 4: answers that are lost, and writes that are, on the way through a network that loses messages. */

import assert from "node:assert/strict";
import {
  JetStreamEventStore,
  OutcomeUnknownError,
  VersionConflictError,
} from "@flowmade-one/aether/jetstream";
import { startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import type { NatsFrame } from "../../support/nats_frames.ts";
import { type Proxy, startProxy } from "../../support/proxy.ts";
import { until } from "../../support/until.ts";
import { sleep, text } from "./support.ts";

const event = (data: unknown, id?: string): { eventType: string; data: unknown; id?: string } => ({
  eventType: "Happened",
  data,
  ...(id === undefined ? {} : { id }),
});

/** Whether a frame acknowledges a publication that was stored. */
function isAcknowledgement({ payload }: NatsFrame): boolean {
  return /^\{"stream":"aether_\w+",.*"seq":[1-9]/.test(text(payload));
}

/** Whether a frame is a commit on its way to the stream. */
function isCommit({ subject }: NatsFrame): boolean {
  return subject?.startsWith("aether.") === true;
}

/** Takes out the next so many frames. */
function next(count: number, matches: (frame: NatsFrame) => boolean): (frame: NatsFrame) => boolean {
  return (frame) => matches(frame) && count-- > 0;
}

const OPTIONS = { answerTimeout: 200, saveTimeout: 30_000 };

async function opened(
  work: (stores: { near: JetStreamEventStore; far: JetStreamEventStore; proxy: Proxy }) => Promise<void>,
): Promise<void> {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using near = await JetStreamEventStore.open(server.url);
  await using far = await JetStreamEventStore.open(proxy.url, OPTIONS);
  await work({ near, far, proxy });
  assert.equal((await near.verify()).ok, true);
}

Deno.test("a save whose acknowledgement is lost is stored once, and is no conflict with itself", () =>
  opened(async ({ near, far, proxy }) => {
    for (const lost of [1, 3]) {
      const actorId = `order-${lost}`;
      proxy.filter({ toClient: next(lost, isAcknowledgement) });
      const [first] = await far.append(actorId, [event(1)], { expectedVersion: 0 });
      proxy.filter({ toClient: next(lost, isAcknowledgement) });
      await far.append(actorId, [event(2), event(3)], { expectedVersion: "any" });
      proxy.filter({ toClient: next(lost, isAcknowledgement) });
      await far.saveEvent({ actorId, version: 9, ...event(9) });
      proxy.filter({ toClient: next(lost, isAcknowledgement) });
      await far.takeOver(actorId, 5);
      proxy.filter({});
      const stored = await near.getEvents(actorId);
      assert.deepEqual(stored.map(({ version }) => version), [1, 2, 3, 9]);
      assert.deepEqual(stored[0], first);
    }
  }));

Deno.test("a commit of several actors whose acknowledgement is lost is stored once", () =>
  opened(async ({ near, far, proxy }) => {
    proxy.filter({ toClient: next(2, isAcknowledgement) });
    const batch = ["a", "b", "c"].map((actorId) => ({ actorId, version: 1, ...event(actorId) }));
    const stored = await far.saveEvents(batch);
    proxy.filter({});
    assert.deepEqual(await Array.fromAsync(near.readAll()), stored);
  }));

Deno.test("commits that are sent together are each stored once if messages or acknowledgements of them are lost", () =>
  opened(async ({ near, far, proxy }) => {
    for (const direction of ["toClient", "toServer"] as const) {
      proxy.filter({ [direction]: next(5, direction === "toClient" ? isAcknowledgement : isCommit) });
      const saves = await Promise.all(Array.from({ length: 15 }, (_, index) => {
        return far.saveEvents(["a", "b", "c"].map((name) => {
          return { actorId: `${direction}-${name}-${index}`, version: 1, ...event(index) };
        }));
      }));
      proxy.filter({});
      for (const stored of saves) {
        for (const saved of stored) assert.deepEqual(await near.getEvents(saved.actorId), [saved]);
      }
    }
    assert.equal((await Array.fromAsync(near.readAll())).length, 2 * 15 * 3);
  }));

Deno.test("a save whose acknowledgement is lost is found also behind what others have saved since", () =>
  opened(async ({ near, far, proxy }) => {
    await near.append("order", [event(1)], { expectedVersion: 0 });
    proxy.filter({ toClient: isAcknowledgement });
    const save = far.append("order", [event("mine")], { expectedVersion: 1 });
    while (await near.getLatestVersion("order") < 2) await sleep(5);
    for (let version = 2; version < 6; version++) {
      await near.append("order", [event("theirs")], { expectedVersion: version });
    }
    proxy.filter({});
    const [mine] = await save;
    assert.equal(mine?.version, 2);
    const history = await near.getEvents("order");
    assert.deepEqual(history.map(({ data }) => data), [1, "mine", "theirs", "theirs", "theirs", "theirs"]);
    assert.deepEqual(history[1], mine);
  }));

Deno.test("a save that is lost on the way is repeated, and one that another came before is a conflict", () =>
  opened(async ({ near, far, proxy }) => {
    proxy.filter({ toServer: next(2, isCommit) });
    await far.append("lost", [event(1)], { expectedVersion: 0 });
    assert.equal((await near.getEvents("lost")).length, 1);

    proxy.filter({ toServer: isCommit });
    const save = far.append("taken", [event("mine")], { expectedVersion: 0 });
    save.catch(() => {});
    const any = far.append("shared", [event("mine")], { expectedVersion: "any" });
    await sleep(50);
    for (const actorId of ["taken", "shared"]) {
      await near.append(actorId, [event("theirs")], { expectedVersion: 0 });
    }
    proxy.filter({});
    await assert.rejects(
      save,
      (error) => error instanceof VersionConflictError && error.currentVersion === 1 && !error.sameEvent,
    );
    assert.equal((await any)[0]?.version, 2);
    assert.deepEqual((await near.getEvents("taken")).map(({ data }) => data), ["theirs"]);
    assert.deepEqual((await near.getEvents("shared")).map(({ data }) => data), ["theirs", "mine"]);
  }));

Deno.test("an outcome that cannot be learned is unknown, and its events can be appended again safely", () =>
  opened(async ({ near, far, proxy }) => {
    const options = { answerTimeout: 200, saveTimeout: 800, readTimeout: 500 };
    await using impatient = await JetStreamEventStore.open(proxy.url, options);
    const isSilent = {
      toClient: ({ subject }: NatsFrame): boolean => subject?.startsWith("_INBOX") === true,
    };
    await near.append("order", [event(0)], { expectedVersion: 0 });
    proxy.filter(isSilent);
    // Nothing comes back any more, neither of the actor nor of the save.
    const error = await impatient.append("order", [event(1), event(2)], { expectedVersion: 1 }).then(
      () => assert.fail("it was not refused"),
      (error: unknown) => error,
    );
    proxy.filter({});
    if (error instanceof OutcomeUnknownError) {
      assert.equal(error.expectedVersion, 1);
      const stored = await far.append("order", [...error.events], { expectedVersion: error.expectedVersion });
      assert.deepEqual(await near.getEvents("order", 2), stored);
    } else {
      assert.equal((error as Error).name, "BackendError");
      assert.equal(await near.getLatestVersion("order"), 1);
    }
    await far.append("order", [event("before")], { expectedVersion: "any" });
    let version = 0;
    await until("the store knows the actor", async () => {
      version = await impatient.getLatestVersion("order").catch(() => 0);
      return version > 0;
    });
    proxy.filter(isSilent);
    const unknown = await impatient.append("order", [event("last")], { expectedVersion: "any" }).catch((
      error,
    ) => error);
    proxy.filter({});
    assert(unknown instanceof OutcomeUnknownError, String(unknown));
    assert.equal(unknown.expectedVersion, version);
    const [last] = await far.append("order", [...unknown.events], { expectedVersion: version });
    assert.deepEqual(await near.getEvents("order", version + 1), [last]);
  }));

Deno.test("three servers, lost messages and a killed leader: every answer is true", async () => {
  await using cluster = await startNatsCluster();
  const proxies = cluster.servers.map((server) => startProxy(server.url));
  let seed = 4711;
  const random = (): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
  const writers: JetStreamEventStore[] = [];
  for (const proxy of proxies) {
    const client = { reconnectTimeWait: 50 };
    writers.push(
      await JetStreamEventStore.open(proxy.url, {
        replicas: 3,
        answerTimeout: 500,
        saveTimeout: 60_000,
        connect: { client },
      }),
    );
  }
  for (const proxy of proxies) {
    proxy.filter({
      toClient: (frame) => isAcknowledgement(frame) && random() < 0.1,
      toServer: (frame) => isCommit(frame) && random() < 0.05,
    });
  }
  const acknowledged = new Map<string, string>();
  const failures: unknown[] = [];
  let writing = true;
  const write = async (store: JetStreamEventStore, writer: number): Promise<void> => {
    for (let count = 0; writing; count++) {
      const id = `w${writer}-${count}`;
      const actorId = `hot-${Math.floor(random() * 3)}`;
      try {
        const saved = count % 10 === 9
          ? await store.saveEvents([{ actorId: `own-${id}`, version: 1, ...event(id, id) }])
          : await store.append(actorId, [event(id, id)], { expectedVersion: "any" });
        acknowledged.set(id, saved[0]!.position);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const lanes = writers.flatMap((store, writer) =>
    Array.from({ length: 4 }, (_, lane) => write(store, writer * 10 + lane))
  );
  const reader = writers[0]!.subscribe();
  const seen: string[] = [];
  const reading = (async (): Promise<void> => {
    for await (const { id } of reader) seen.push(id);
  })();
  /** Lets the writers work for a while, in which something of theirs is stored. */
  const work = async (milliseconds: number): Promise<void> => {
    const enough = acknowledged.size + 20;
    await sleep(milliseconds);
    await until("saves are acknowledged", () => acknowledged.size >= enough || failures.length > 0);
  };
  await work(1_500);
  const leader = await cluster.streamLeader("aether_default");
  await leader?.kill();
  await work(1_000);
  await leader?.restart();
  await work(5_000);
  writing = false;
  await Promise.all(lanes);
  for (const proxy of proxies) proxy.resume();
  assert.deepEqual(failures, []);
  const log = await Array.fromAsync(writers[1]!.readAll());
  const places = new Map(log.map(({ id, position }) => [id, position]));
  assert.equal(places.size, log.length, "an event is stored twice");
  assert(acknowledged.size > 50, `${acknowledged.size} saves`);
  for (const [id, position] of acknowledged) {
    assert.equal(places.get(id), position, `${id} is not where it was said to be`);
  }
  assert.equal(log.length, acknowledged.size);
  for (const actorId of ["hot-0", "hot-1", "hot-2"]) {
    const versions = (await writers[2]!.getEvents(actorId)).map(({ version }) => version);
    assert.deepEqual(versions, versions.map((_, index) => index + 1));
  }
  while (seen.length < log.length) await sleep(20);
  assert.deepEqual(seen, log.map(({ id }) => id));
  assert.deepEqual((await writers[2]!.verify()).faults, []);
  await reader.close();
  await reading;
  await Promise.all(writers.map((store) => store.close()));
  await Promise.all(proxies.map((proxy) => proxy.close()));
});
