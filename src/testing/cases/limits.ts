/**
 * Each store declares its limits, takes what is within them and refuses what is not.
 *
 * @module
 */

import assert from "node:assert/strict";
import { AetherError } from "../../errors.ts";
import { EventTooLargeError } from "../../event/errors.ts";
import { CommitTooLargeError } from "../../store/errors.ts";
import type { EventInput } from "../../event/types.ts";
import type { Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { changesNothing, dataOf, happened, happenedTo, refused } from "../support.ts";

/** More than an event's fields take in addition to its data. */
const ENVELOPE = 1_024;

/** Saves text of a length; returns whether it was taken, and how large it was if it was not. */
type Attempt = (length: number) => Promise<{ readonly size: number } | undefined>;

/** Finds the longest text that is taken, between a length that must be taken and one that must not. */
async function findEdge(low: number, high: number, attempt: Attempt): Promise<number> {
  assert.equal(await attempt(low), undefined, `${low} bytes of text are refused`);
  assert.notEqual(await attempt(high), undefined, `${high} bytes of text are taken`);
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (await attempt(middle)) high = middle;
    else low = middle;
  }
  return low;
}

/** Saves a commit of as many bytes as the limits allow, spread over enough events, with a text of a length to fill up. */
function fillers(store: StoreUnderTest, actorId: string, length: number): EventInput[] {
  const { bytesPerEvent, bytesPerCommit } = store.limits;
  const most = Math.min(bytesPerEvent, bytesPerCommit) - ENVELOPE;
  const events: EventInput[] = [];
  for (let left = length; left > 0; left -= most) {
    events.push(happenedTo(actorId, events.length + 1, "x".repeat(Math.min(left, most))));
  }
  return events;
}

/** Limits. */
export const limits: Theme = {
  topic: "limits",
  cases: [
    {
      name: "the declared limits are at least what every store takes",
      async run({ open }): Promise<void> {
        const { limits: declared } = await open();
        for (const [name, value] of Object.entries(declared)) {
          assert(Number.isSafeInteger(value) && value > 0, `${name} is ${value}`);
        }
        assert(declared.actorsPerCommit >= 8, "actors a commit");
        assert(declared.eventsPerCommit >= 100, "events a commit");
        assert(declared.bytesPerCommit >= 256 * 1024, "bytes a commit");
      },
    },
    {
      name: "a commit takes as many actors as declared, and not one more",
      async run({ open }): Promise<void> {
        const store = await open();
        const { actorsPerCommit: limit } = store.limits;
        const batch = (count: number): EventInput[] =>
          Array.from({ length: count }, (_, index) => happenedTo(`actor-${index}`, 1));
        await changesNothing(
          store,
          ["actor-0"],
          () =>
            refused(() => store.saveEvents(batch(limit + 1)), CommitTooLargeError, {
              unit: "actors",
              limit,
              size: limit + 1,
            }),
        );
        assert.equal((await store.saveEvents(batch(limit))).length, limit);
        assert.equal(await store.getLatestVersion(`actor-${limit - 1}`), 1);
      },
    },
    {
      name: "a commit takes as many events as declared, and not one more",
      async run({ open }): Promise<void> {
        const store = await open();
        const { eventsPerCommit: limit } = store.limits;
        const batch = Array.from({ length: limit + 1 }, (_, index) => happened(index));
        await changesNothing(
          store,
          ["order"],
          () =>
            refused(() => store.append("order", batch, { expectedVersion: 0 }), CommitTooLargeError, {
              unit: "events",
              limit,
              size: limit + 1,
            }),
        );
        await store.append("order", batch.slice(0, limit), { expectedVersion: 0 });
        assert.deepEqual(
          dataOf(await store.getEvents("order")),
          batch.slice(0, limit).map(({ data }) => data),
        );
      },
    },
    {
      name: "an event takes as many bytes as declared, and not one more",
      slow: true,
      async run({ open }): Promise<void> {
        const store = await open();
        const limit = Math.min(store.limits.bytesPerEvent, store.limits.bytesPerCommit);
        const attempt: Attempt = async (length) => {
          try {
            const data = "x".repeat(length);
            const saved = await store.append("order", [happened(data)], { expectedVersion: "any" });
            assert.equal(saved[0]!.data, data);
            return undefined;
          } catch (error) {
            if (error instanceof EventTooLargeError) {
              assert.equal(error.limit, store.limits.bytesPerEvent);
              assert.equal(error.actorId, "order");
            } else if (error instanceof CommitTooLargeError) assert.equal(error.unit, "bytes");
            else throw error;
            assert(error.size > error.limit, `it is refused for ${error.size} bytes of ${error.limit}`);
            return error;
          }
        };
        const edge = await findEdge(limit - ENVELOPE, limit, attempt);
        const latest = await store.getLatestVersion("order");
        await changesNothing(store, ["order"], () => attempt(edge + 1));
        assert.equal(await attempt(edge), undefined);
        const [last] = await store.getEvents("order", latest + 1);
        assert(last?.data === "x".repeat(edge), "the largest event is not read as it was saved");
      },
    },
    {
      name: "bytes are counted in UTF-8, not in characters",
      async run({ open }): Promise<void> {
        const store = await open();
        const limit = Math.min(store.limits.bytesPerEvent, store.limits.bytesPerCommit);
        const data = "\u20ac".repeat(Math.floor(limit / 3) + 1);
        await changesNothing(store, ["order"], async () => {
          const save = (): Promise<unknown> =>
            store.append("order", [happened(data)], { expectedVersion: 0 });
          const error = await refused(save, AetherError);
          assert(error instanceof EventTooLargeError || error instanceof CommitTooLargeError, String(error));
        });
      },
    },
    {
      name: "a commit takes as many bytes as declared, and not many more",
      slow: true,
      async run({ open }): Promise<void> {
        const store = await open();
        const { bytesPerCommit, bytesPerEvent, eventsPerCommit } = store.limits;
        const perEvent = Math.min(bytesPerEvent, bytesPerCommit) - ENVELOPE;
        const needed = Math.ceil(bytesPerCommit / perEvent) + 1;
        if (needed > eventsPerCommit) return; // no commit can be as large
        const within = fillers(store, "within", bytesPerCommit - needed * ENVELOPE);
        assert.equal((await store.saveEvents(within)).length, within.length);
        const stored = await store.getEvents("within");
        assert(stored.every(({ data }, index) => data === within[index]!.data), "it is not read as saved");
        await changesNothing(store, ["over"], async () => {
          const error = await refused(
            () => store.saveEvents(fillers(store, "over", bytesPerCommit + 1)),
            CommitTooLargeError,
            { unit: "bytes", limit: bytesPerCommit },
          );
          assert(error.size > bytesPerCommit);
        });
      },
    },
  ],
};
