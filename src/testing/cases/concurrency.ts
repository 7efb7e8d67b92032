/**
 * Concurrent histories: many writers, readers and subscribers at once, and then what every one of them must agree on.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { StoredEvent } from "../../event/types.ts";
import { VersionConflictError } from "../../store/errors.ts";
import type { CaseContext, Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, allOf, begun, happened, happenedTo, take, turn, wholeLog, within } from "../support.ts";
import { tails } from "./log_readers.ts";

const ACTORS = ["order.1", "order.2", "order 1", "cart"];

/** What each event records of the commit that it came in, so that a reader can tell a part from the whole. */
interface Mark {
  /** Names the commit. */
  readonly commit: string;
  /** Events of the commit. */
  readonly size: number;
  /** Events of the commit that are of this event's actor. */
  readonly own: number;
  /** Where the event is in the commit. */
  readonly index: number;
}

function markOf(event: StoredEvent): Mark {
  return event.data as Mark;
}

/** A writer that goes on until it has stored `count` commits, in every way in turn; losing a race is part of it. */
async function write(
  store: StoreUnderTest,
  name: string,
  count: number,
): Promise<StoredEvent[][]> {
  const acknowledged: StoredEvent[][] = [];
  let conflicts = 0;
  for (let attempt = 0; acknowledged.length < count; attempt++) {
    const commit = `${name}-${attempt}`;
    const actorId = ACTORS[attempt % ACTORS.length]!;
    const other = ACTORS[(attempt + 1 + attempt % 3) % ACTORS.length]!;
    const mark = (index: number, size: number, own = size): Mark => ({ commit, size, own, index });
    try {
      acknowledged.push(
        await [
          () => store.append(actorId, [happened(mark(0, 1))], { expectedVersion: "any" }),
          async () => {
            const expectedVersion = await store.getLatestVersion(actorId);
            const events = [0, 1, 2].map((index) => happened(mark(index, 3), { id: `${commit}-${index}` }));
            return await store.append(actorId, events, { expectedVersion });
          },
          async () => {
            const [first, second] = [
              await store.getLatestVersion(actorId),
              await store.getLatestVersion(other),
            ];
            return await store.saveEvents([
              happenedTo(actorId, first + 1, mark(0, 3, 2)),
              happenedTo(other, second + 2, mark(2, 3, 1)), // with a gap
              happenedTo(actorId, first + 2, mark(1, 3, 2)),
            ]);
          },
        ][attempt % 3]!(),
      );
    } catch (error) {
      // Only losing a race to another writer is a reason not to store.
      assert(error instanceof VersionConflictError, `a save is refused with ${String(error)}`);
      assert.notEqual(attempt % 3, 0, 'an append under "any" is refused with a conflict');
      assert(++conflicts < 200 * count, "it never wins");
      await turn();
    }
  }
  return acknowledged;
}

/** Asserts that commits are whole and together, in their own order. */
function assertWholeCommits(events: readonly StoredEvent[], what: string): void {
  for (let from = 0; from < events.length;) {
    const { commit, size } = markOf(events[from]!);
    const group = events.slice(from, from + size).map(markOf);
    const expected = Array.from({ length: size }, (_, index) => `${commit} ${index}`);
    assert.deepEqual(
      group.map((mark) => `${mark.commit} ${mark.index}`),
      expected,
      `${what}: a commit in part`,
    );
    from += size;
  }
}

/** Asserts that an actor's history holds its share of each commit, whole. */
function assertWholeParts(events: readonly StoredEvent[]): void {
  for (let from = 0; from < events.length;) {
    const { commit, own } = markOf(events[from]!);
    const group = events.slice(from, from + own);
    assert.equal(group.length, own, `of commit ${commit} there are ${group.length} of ${own} events`);
    assert(group.every((event) => markOf(event).commit === commit), `commit ${commit} is torn apart`);
    from += own;
  }
}

/** Reads the log and the actors again and again while others write; every look must be of whole commits. */
async function watch(store: StoreUnderTest, isOver: () => boolean): Promise<StoredEvent[]> {
  let before: StoredEvent[] = [];
  while (!isOver()) {
    const log = await wholeLog(store);
    assertWholeCommits(log, "a look at the log");
    assert.deepEqual(log.slice(0, before.length), before, "the log has changed where it was read before");
    before = log;
    for (const actorId of ACTORS) {
      const history = await store.getEvents(actorId);
      assertWholeParts(history);
      assert(
        (await store.getLatestVersion(actorId)) >= (history.at(-1)?.version ?? 0),
        "the latest version is stale",
      );
    }
    await turn();
  }
  return before;
}

/** Checks the final state against what was acknowledged and what each reader has seen. */
async function assertAgreement(
  store: StoreUnderTest,
  acknowledged: readonly StoredEvent[],
  seen: readonly (readonly StoredEvent[])[],
): Promise<void> {
  const log = await wholeLog(store);
  assertWholeCommits(log, "the log");
  const key = ({ actorId, version }: StoredEvent): string => `${actorId} ${version}`;
  assert.equal(new Set(log.map(key)).size, log.length, "a version has two winners");
  for (let index = 1; index < log.length; index++) {
    assert(log[index - 1]!.position < log[index]!.position, "positions do not rise");
  }
  const byPosition = (one: StoredEvent, two: StoredEvent): number => one.position < two.position ? -1 : 1;
  assert.deepEqual(acknowledged.toSorted(byPosition), log, "the log is not what was acknowledged");
  for (const actorId of ACTORS) {
    const own = log.filter((event) => event.actorId === actorId);
    assert.deepEqual(await store.getEvents(actorId), own, "an actor's history is not its part of the log");
    for (let index = 1; index < own.length; index++) assert(own[index - 1]!.version < own[index]!.version);
  }
  for (const events of seen) assert.deepEqual(events, log, "a reader has seen another order");
}

async function race(context: CaseContext, open: () => Promise<StoreUnderTest>): Promise<void> {
  const stores = [await open(), await open(), await open()];
  const commits = context.scaled(25);
  let over = false;
  const watching = begun(watch(stores[0]!, () => over));
  const writers = Array.from(
    { length: 6 },
    (_, index) => write(stores[index % stores.length]!, `writer-${index}`, commits),
  );
  const subscriptions = stores.map((store) => store.subscribe());
  try {
    const acknowledged = (await allOf(writers)).flat(2);
    const following = subscriptions.map((subscription) =>
      take(context, subscription[Symbol.asyncIterator](), acknowledged.length)
    );
    const tailing = begun(tails(context, stores[1]!, acknowledged.length));
    const seen = await allOf([...following, tailing]);
    await assertAgreement(stores[2]!, acknowledged, seen);
  } finally {
    over = true;
    for (const subscription of subscriptions) await subscription.close();
    await within(context, "the watcher ends", watching);
  }
}

/** Concurrent histories. */
export const concurrency: Theme = {
  topic: "concurrency",
  cases: [
    {
      name: "writers, readers and subscribers of one store object agree on one order of whole commits",
      slow: true,
      async run(context): Promise<void> {
        const store = await context.open();
        await race(context, () => Promise.resolve(store));
      },
    },
    {
      name: "writers, readers and subscribers of several store objects agree on one order of whole commits",
      needs: "sharing",
      slow: true,
      run: (context): Promise<void> => race(context, () => context.open()),
    },
    {
      name: "concurrent appends under one expected version leave one winner, and the others conflict",
      needs: "sharing",
      slow: true,
      async run(context): Promise<void> {
        const stores = [await context.open(), await context.open()];
        for (let version = 0; version < context.scaled(20); version++) {
          const outcomes = await Promise.allSettled(
            Array.from(
              { length: 6 },
              (_, index) =>
                stores[index % 2]!.append("order", [happened(index, { id: `${version}-${index}` })], {
                  expectedVersion: version,
                }),
            ),
          );
          const won = outcomes.filter(({ status }) => status === "fulfilled");
          assert.equal(won.length, 1, `version ${version + 1} has ${won.length} winners`);
          for (const outcome of outcomes) {
            if (outcome.status === "fulfilled") continue;
            assert(outcome.reason instanceof VersionConflictError, String(outcome.reason));
            assert.equal(outcome.reason.currentVersion, version + 1);
          }
        }
        assert.equal((await all(() => stores[0]!.readAll())).length, context.scaled(20));
      },
    },
    {
      name: 'concurrent appends under "any" are all stored, whole',
      needs: "sharing",
      async run(context): Promise<void> {
        const stores = [await context.open(), await context.open()];
        const count = context.scaled(30);
        const saved = await Promise.all(
          Array.from(
            { length: count },
            (_, index) =>
              stores[index % 2]!.append("order", [happened(index), happened(index)], {
                expectedVersion: "any",
              }),
          ),
        );
        const events = await stores[0]!.getEvents("order");
        assert.deepEqual(
          events.map(({ version }) => version),
          Array.from({ length: count * 2 }, (_, i) => i + 1),
        );
        assert.deepEqual(saved.flat().toSorted((one, two) => one.version - two.version), events);
        for (let index = 0; index < events.length; index += 2) {
          assert.equal(events[index]!.data, events[index + 1]!.data, "an append is torn apart");
        }
      },
    },
  ],
};
