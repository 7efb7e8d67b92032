/** Histories along their trail, and where the trail cannot be trusted. */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { CommitEncoder } from "../../../src/store/jetstream/format/commit_encoder.ts";
import { LOG_ID } from "../../../src/store/jetstream/read/stream_identity.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { AcknowledgementReader } from "../../../src/nats/jetstream/acknowledgement.ts";
import { Publisher } from "../../../src/nats/jetstream/publisher.ts";
import { Trail } from "../../../src/store/jetstream/format/trail.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { type Client, client } from "./support.ts";

/** Publishes commits as the store does, but with a trail of the test's choice. */
class Forger {
  readonly #layout: Layout;
  readonly #publisher: Publisher;
  readonly #encoder: CommitEncoder;

  private constructor(publisher: Publisher, logId: string) {
    this.#publisher = publisher;
    this.#layout = new Layout("aether", "default", logId);
    this.#encoder = new CommitEncoder(logId, crc32);
  }

  static async of({ state, requests }: Client): Promise<Forger> {
    const { config } = await requests.streamInfo("aether_default");
    return new Forger(
      new Publisher(state, new AcknowledgementReader("aether_default", undefined)),
      (config.metadata as Record<string, string>)[LOG_ID]!,
    );
  }

  async commit(actorId: string, version: number, expected: number, trail: Trail): Promise<number> {
    const subject = this.#layout.subject(actorId);
    const body =
      `[{"id":"${actorId}-${version}","eventType":"Forged","timestamp":"2026-01-01T00:00:00.000Z","data":${version}}]`;
    const fields = { commitId: `c${version}`, previousVersion: version - 1, versions: [version], fence: 0 };
    const message = this.#encoder.encode(subject, body, {
      ...fields,
      unfenced: true,
      previousSequence: expected,
      trail,
    });
    const outcome = await this.#publisher.publish(message);
    assert.equal(outcome.status, "stored");
    return outcome.status === "stored" ? outcome.sequence : 0;
  }

  close(): void {
    this.#publisher.close();
  }
}

function trailOf(...sequences: number[]): Trail {
  return sequences.reduce((trail, sequence) => trail.after(sequence), Trail.EMPTY);
}

Deno.test("a sparse history is read whole and in any part, in both directions", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { namespace: "sparse" });
  const count = 600;
  let version = 0;
  const expected: number[] = [];
  for (let commit = 0; commit < count; commit++) {
    const size = commit % 50 === 7 ? 3 : 1;
    const events = Array.from(
      { length: size },
      (_, index) => ({ eventType: "Happened", data: version + index + 1 }),
    );
    const others = Array.from(
      { length: 10 },
      (_, other) =>
        store.append(`other-${other}`, [{ eventType: "Noise", data: null }], { expectedVersion: "any" }),
    );
    await Promise.all([...others, store.append("sparse", events, { expectedVersion: version })]);
    for (let index = 0; index < size; index++) expected.push(++version);
    if (commit % 100 === 50) {
      await store.takeOver("sparse", commit),
        await store.append("sparse", [{ eventType: "Owned", data: ++version }], {
          expectedVersion: version - 1,
          fencingToken: commit,
        }),
        expected.push(version);
    }
    if (commit % 100 === 50) break;
  }
  // From here on under the token; in parallel, so that it is quick.
  const token = 50;
  while (version < count) {
    await Promise.all([
      store.append("sparse", [{ eventType: "Happened", data: ++version }], {
        expectedVersion: version - 1,
        fencingToken: token,
      }),
      ...Array.from(
        { length: 10 },
        (_, other) =>
          store.append(`other-${other}`, [{ eventType: "Noise", data: null }], { expectedVersion: "any" }),
      ),
    ]);
    expected.push(version);
  }
  // Read by another store, which has nothing in mind.
  await using reader = await JetStreamEventStore.open(server.url, { namespace: "sparse" });
  const dataOf = async (options: Parameters<typeof reader.readEvents>[1]): Promise<unknown[]> =>
    (await Array.fromAsync(reader.readEvents("sparse", options))).map(({ data }) => data);
  assert.deepEqual((await reader.getEvents("sparse")).map(({ data }) => data), expected);
  assert.deepEqual(await dataOf({ direction: "backward" }), expected.toReversed());
  for (
    const [from, to] of [[1, 1], [1, 20], [55, 55], [100, 140], [255, 258], [590, 600], [600, 600], [
      599,
      9_999,
    ]] as const
  ) {
    const part = expected.filter((value) => value >= from && value <= to);
    assert.deepEqual(await dataOf({ fromVersion: from, toVersion: to }), part, `${from} to ${to}`);
    assert.deepEqual(
      await dataOf({ fromVersion: from, toVersion: to, direction: "backward" }),
      part.toReversed(),
    );
    assert.deepEqual(
      await dataOf({ fromVersion: from, limit: 3 }),
      expected.filter((value) => value >= from).slice(0, 3),
    );
  }
  assert.deepEqual(await dataOf({ fromVersion: 601 }), []);
  assert.equal((await reader.verify()).ok, true);
});

Deno.test("a read of the latest versions fetches no commit before them", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await using observer = await client(server.url);
  let fetched = 0;
  observer.connection.subscribe("$JS.API.DIRECT.GET.aether_default", { callback: () => fetched++ });
  await observer.connection.flush();
  const event = { eventType: "Happened", data: "x" };
  for (let version = 0; version < 10; version++) {
    await store.append("single", [event], { expectedVersion: version });
  }
  const pairs = [event, event];
  for (let version = 0; version < 20; version += 2) {
    await store.append("pairs", pairs, { expectedVersion: version, unfenced: true });
    await store.takeOver("pairs", version + 1); // a commit without an event
  }
  const reads = [
    { actorId: "single", fromVersion: 10, versions: [10], fetches: 0 },
    { actorId: "single", fromVersion: 8, versions: [8, 9, 10], fetches: 2 },
    { actorId: "single", fromVersion: 8, toVersion: 9, versions: [8, 9], fetches: 2 },
    { actorId: "single", fromVersion: 1, versions: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], fetches: 9 },
    // The head has no event: the read goes back by as many commits as versions.
    { actorId: "pairs", fromVersion: 20, versions: [20], fetches: 1 },
    { actorId: "pairs", fromVersion: 18, versions: [18, 19, 20], fetches: 3 },
  ];
  for (const direction of ["forward", "backward"] as const) {
    for (const { actorId, versions, fetches, ...range } of reads) {
      fetched = 0;
      const events = await Array.fromAsync(store.readEvents(actorId, { ...range, direction }));
      const read = events.map(({ version }) => version);
      assert.deepEqual(direction === "forward" ? read : read.toReversed(), versions);
      await observer.connection.flush();
      assert.equal(fetched, fetches, `${actorId} from ${range.fromVersion}, ${direction}`);
    }
  }
});

Deno.test("a trail that leads astray is left for a search, which finds every commit", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await using nats = await client(server.url);
  const forger = await Forger.of(nats);
  const noise = (await store.append("noise", [{ eventType: "Noise", data: 0 }], { expectedVersion: 0 }))[0]!;
  assert(noise);
  const cases: Record<string, (sequences: number[]) => Trail> = {
    "to another actor": ([, second]) => trailOf(1, 1, second!), // sequence 1 is the noise
    "past a commit": ([, second]) => trailOf(second!),
    "to nothing": ([, second]) => trailOf(999_999_000, second!),
    "nowhere": () => Trail.EMPTY,
  };
  for (const [name, trail] of Object.entries(cases)) {
    const actorId = name.replaceAll(" ", "-");
    const first = await forger.commit(actorId, 1, 0, Trail.EMPTY);
    const second = await forger.commit(actorId, 2, first, trailOf(first));
    await forger.commit(actorId, 3, second, trail([first, second]));
    const read = await store.getEvents(actorId);
    assert.deepEqual(read.map(({ data }) => data), [1, 2, 3], name);
    const backward = await Array.fromAsync(store.readEvents(actorId, { direction: "backward" }));
    assert.deepEqual(backward.map(({ data }) => data), [3, 2, 1], name);
    // And what is saved on top of it can be read, too.
    await store.append(actorId, [{ eventType: "On", data: 4 }], { expectedVersion: 3 });
    assert.deepEqual((await store.getEvents(actorId)).map(({ data }) => data), [1, 2, 3, 4], name);
  }
  // A commit in the middle is left out.
  const sequences: number[] = [];
  for (let version = 1; version <= 4; version++) {
    const trail = version === 4 ? trailOf(sequences[0]!, sequences[2]!) : trailOf(...sequences);
    sequences.push(await forger.commit("middle", version, sequences.at(-1) ?? 0, trail));
  }
  for (const direction of ["forward", "backward"] as const) {
    const read = await Array.fromAsync(store.readEvents("middle", { direction }));
    assert.deepEqual(read.map(({ data }) => data).sort(), [1, 2, 3, 4], direction);
  }
  const { ok, faults } = await store.verify();
  assert.equal(ok, false);
  assert(faults.every(({ message }) => /trail/.test(message)), String(faults));
  forger.close();
});

Deno.test("a dense history goes through a consumer, and is the same", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  let version = 0;
  for (; version < 1_500; version++) {
    await store.append("dense", [{ eventType: "Happened", data: version + 1 }], { expectedVersion: version });
  }
  const events = await store.getEvents("dense");
  assert.deepEqual(events.map((event) => event.data), Array.from({ length: 1_500 }, (_, index) => index + 1));
  assert.deepEqual(
    await Array.fromAsync(store.readEvents("dense", { direction: "backward" })),
    events.toReversed(),
  );
});
