/** Commits over several actors that are sent together: each has its own guards, and its own outcome. */

import assert from "node:assert/strict";
import {
  type EventInput,
  JetStreamEventStore,
  type StoredEvent,
  VersionConflictError,
} from "@flowmade-one/aether/jetstream";
import { startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import { AcknowledgementReader } from "../../../src/nats/jetstream/acknowledgement.ts";
import { Publisher } from "../../../src/nats/jetstream/publisher.ts";
import { BatchSender } from "../../../src/store/jetstream/write/batch_sender.ts";
import { bytes, client, STREAM } from "./support.ts";

/** The events of a commit over several actors. */
function commit(index: number, version = 1, size = 3): EventInput[] {
  return Array.from({ length: size }, (_, place) => {
    return { actorId: `actor-${index}-${place}`, version, eventType: "Happened", data: [index, place] };
  });
}

/** Counts the batches that are sent, until it is disposed of. */
async function counting(url: string): Promise<AsyncDisposable & { count(): Promise<number> }> {
  const observer = await client(url);
  let batches = 0;
  observer.connection.subscribe("aether.default.>", {
    callback: (_, { headers }) => {
      if (headers?.get("Nats-Batch-Commit")) batches++;
    },
  });
  await observer.connection.flush();
  return {
    async count(): Promise<number> {
      await observer.connection.flush();
      const count = batches;
      batches = 0;
      return count;
    },
    [Symbol.asyncDispose]: () => observer[Symbol.asyncDispose](),
  };
}

/** Each commit stands in the log in one piece, as its caller was told. */
async function assertWhole(store: JetStreamEventStore, saved: readonly StoredEvent[][]): Promise<void> {
  const log = await Array.fromAsync(store.readAll());
  const places = new Map(log.map(({ position }, place) => [position, place]));
  for (const events of saved) {
    const first = places.get(events[0]!.position)!;
    assert.deepEqual(log.slice(first, first + events.length), events);
  }
  assert.equal(log.length, saved.flat().length);
  assert.equal((await store.verify()).ok, true);
}

async function assertTogether(url: string, replicas: number): Promise<void> {
  await using store = await JetStreamEventStore.open(url, { replicas });
  await using batches = await counting(url);
  const saved = await Promise.all(
    Array.from({ length: 200 }, (_, index) => store.saveEvents(commit(index, 1, 2 + index % 3))),
  );
  const count = await batches.count();
  assert(count < 40, `${count}`);
  const again = await Promise.all(
    Array.from({ length: 200 }, (_, index) => store.saveEvents(commit(index, 2, 2))),
  );
  await assertWhole(store, [...saved, ...again]);
}

Deno.test("commits over several actors that wait are sent together, and are stored each in one piece", async () => {
  await using server = await startNatsServer();
  await assertTogether(server.url, 1);
});

Deno.test("commits over several actors that wait are sent together to a replicated stream", async () => {
  await using cluster = await startNatsCluster();
  await assertTogether(cluster.url, 3);
});

Deno.test("of commits that are sent together, those with a conflict are refused and the others stored", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  const begun = await Promise.all(Array.from({ length: 60 }, (_, index) => store.saveEvents(commit(index))));
  await using other = await JetStreamEventStore.open(server.url);
  const taken: StoredEvent[][] = [];
  for (let index = 0; index < 60; index += 7) {
    taken.push(
      await other.append(`actor-${index}-1`, [{ eventType: "Happened", data: "other" }], {
        expectedVersion: 1,
      }),
    );
  }
  const results = await Promise.allSettled(
    Array.from({ length: 60 }, (_, index) => store.saveEvents(commit(index, 2))),
  );
  const stored: StoredEvent[][] = [];
  for (const [index, result] of results.entries()) {
    assert.equal(result.status, index % 7 === 0 ? "rejected" : "fulfilled");
    if (result.status === "fulfilled") stored.push(result.value);
    else {
      assert(result.reason instanceof VersionConflictError);
      assert.equal(result.reason.actorId, `actor-${index}-1`);
    }
  }
  await assertWhole(store, [...begun, ...taken, ...stored]);
});

Deno.test("BatchSender sends no commit whose signal has fired or whose time is over while it waited", async () => {
  await using server = await startNatsServer();
  await using observer = await client(server.url, 20_000);
  await observer.requests.createStream(STREAM);
  const answers = new AcknowledgementReader("S", undefined);
  const publisher = new Publisher(observer.state, answers, { timeout: 20_000 });
  const sender = new BatchSender(publisher);
  const results: (string | undefined)[] = [];
  const submit = (name: string, options: { signal?: AbortSignal; isAlone?: boolean; isOver?: boolean }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const place = results.push(undefined) - 1;
    const end = (result: string): void => {
      results[place] = result;
      resolve();
    };
    const messages = ["1", "2"].map((part) => ({ subject: `s.${name}.${part}`, data: bytes(name) }));
    sender.submit(messages, {
      isOver: () => options.isOver ?? false,
      onOutcome: (outcome) => end(outcome.status === "stored" ? `${outcome.sequence}` : outcome.status),
      onNotSent: (error) => end((error as Error).message),
    }, { signal: options.signal ?? new AbortController().signal, isAlone: options.isAlone ?? false });
    return promise;
  };
  await server.suspend();
  const aborting = new AbortController();
  const submitted = [
    submit("first", {}),
    submit("second", {}),
    submit("aborted", { signal: aborting.signal }),
    submit("aborted-before", { signal: AbortSignal.abort(new Error("my own")) }),
    submit("third", {}),
    submit("over", { isOver: true }),
    submit("fourth", {}),
    submit("alone", { isAlone: true }),
  ];
  aborting.abort(new Error("my own"));
  assert.deepEqual(results.slice(0, 4), [undefined, undefined, "my own", "my own"]);
  server.resume();
  await Promise.all(submitted);
  assert.deepEqual(results.toSpliced(5, 1), ["2", "4", "my own", "my own", "8", "10", "6"]);
  assert.match(results[5]!, /deadline/);
  const stored = await observer.requests.streamInfo("S");
  assert.equal(stored.state.last_seq, 10);
  publisher.close();
});
