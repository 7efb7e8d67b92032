/**
 * Writing to JetStream: the store beside the lean publisher alone, and beside the stock client.
 *
 * @module
 */

import assert from "node:assert/strict";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { concurrently, type GroupOptions, medianTime, rate, type Row } from "./harness.ts";
import { event, type Raw, stockRate } from "./jetstream_raw.ts";

/** What the rows write to. */
export interface WriteTarget extends GroupOptions {
  /** The server. */
  readonly url: string;
  /** A store of the namespace "write", which nobody else writes to. */
  readonly store: JetStreamEventStore;
  /** The stream of the baselines. */
  readonly raw: Raw;
}

/** The rows that write. */
export function writeRows({ url, store, raw, quick }: WriteTarget): Row[] {
  const appends = quick ? 10_000 : 50_000;
  let run = 0;

  const appendRow = (
    name: string,
    goal: number,
    baseline: string,
    measureBaseline: () => Promise<number>,
  ): Row => ({
    name,
    unit: "events/s",
    goal: { op: ">=", value: goal },
    baseline,
    measureOurs: async () => {
      const prefix = `new-${++run}`;
      const before = await lastSequence(store);
      const speed = await rate(
        appends,
        () =>
          concurrently(
            appends,
            256,
            (index) => store.append(`${prefix}-${index}`, [event(index)], { expectedVersion: 0 }),
          ),
      );
      assert.equal(await lastSequence(store) - before, appends);
      for (let index = 0; index < appends; index += appends / 100) {
        const stored = await store.getEvents(`${prefix}-${index}`);
        assert.deepEqual(stored.map(({ version, data }) => ({ version, data })), [
          { version: 1, data: event(index).data },
        ]);
      }
      return speed;
    },
    measureBaseline,
  });
  const lean = async (): Promise<number> => {
    const prefix = `lean-${++run}`;
    const before = await raw.count();
    const speed = await rate(
      appends,
      () => concurrently(appends, 256, (index) => raw.publish(`${prefix}-${index}`, index, 0)),
    );
    assert.equal(await raw.count() - before, appends);
    return speed;
  };

  return [
    appendRow(
      "append-256-in-flight",
      0.9,
      "the lean publisher with an expectation and a header of the same size",
      lean,
    ),
    appendRow(
      "append-256-in-flight-stock",
      2,
      "js.publish with an expectation",
      () => stockRate(url, "raw", quick ? 5_000 : 20_000, 256),
    ),
    {
      name: "append-alone-p50",
      unit: "ms",
      goal: { op: "<=", value: 1.15 },
      baseline: "the lean publisher with an expectation",
      measureOurs: () => {
        const actorId = `alone-${++run}`;
        return medianTime(
          quick ? 1_000 : 3_000,
          (version) => store.append(actorId, [event(version)], { expectedVersion: version }),
        );
      },
      measureBaseline: () => {
        const subject = `alone-${++run}`;
        let last = 0;
        return medianTime(quick ? 1_000 : 3_000, async (version) => {
          last = await raw.publish(subject, version, last);
        });
      },
    },
    {
      name: "commit-of-5-32-in-flight",
      unit: "commits/s",
      goal: { op: ">=", value: 20 },
      baseline: "atomic batches of 5 messages",
      measureOurs: () => {
        const prefix = `five-${++run}`;
        const count = quick ? 5_000 : 20_000;
        return rate(count, () =>
          concurrently(count, 32, async (index) => {
            const five = Array.from({ length: 5 }, (_, place) => event(place));
            assert.equal((await store.append(`${prefix}-${index}`, five, { expectedVersion: 0 })).length, 5);
          }));
      },
      measureBaseline: async () => {
        const count = quick ? 200 : 1_000;
        await using batches = await JetStreamEventStore.open(url, { namespace: "batches" });
        const prefix = `five-${++run}`;
        // Five actors: the store sends them as one atomic batch of five messages.
        return await rate(
          count,
          () =>
            concurrently(count, 32, (index) =>
              batches.saveEvents(Array.from({ length: 5 }, (_, place) => ({
                actorId: `${prefix}-${index}-${place}`,
                version: 1,
                ...event(place),
              })))),
        );
      },
    },
  ];
}

/** The stream sequence of the last event; 0 without one. */
async function lastSequence(store: JetStreamEventStore): Promise<number> {
  return parseInt((await store.getLastPosition() ?? "").slice(13, 27) || "0", 16);
}
