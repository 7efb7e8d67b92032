/** The check of segments finds what is wrong: in made-up read models, and in those of runs that are broken on purpose. */

import assert from "node:assert/strict";
import {
  changeSegments,
  type CheckpointStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryLeases,
  type LeaseStore,
  type ProjectionRun,
  runProjection,
} from "../../mod.ts";
import { judgeSegments, positionsIn, type SegmentFaults } from "./segments_check.ts";
import { add, type Counted, quiet, until } from "./support.ts";

const SOUND: SegmentFaults = { lost: [], repeated: [], disordered: [] };

Deno.test("segments: the check finds events that are lost, repeated and out of order", () => {
  const log = new Map([["a", ["1", "3", "5"]], ["b", ["2", "4"]]]);
  const judge = (a: readonly string[], b: readonly string[] = ["2", "4"]): unknown =>
    judgeSegments(log, new Map([["a", a], ["b", b]]));
  assert.deepEqual(judge(["1", "3", "5"]), SOUND);
  assert.deepEqual(judge(["1", "5"]), { ...SOUND, lost: ["3"] });
  assert.deepEqual(judge(["1", "3", "3", "5"]), { ...SOUND, repeated: ["3"] });
  assert.deepEqual(judge(["3", "1", "5"]), { ...SOUND, disordered: ["a"] });
  assert.deepEqual(judge(["1", "3", "5"], []), { ...SOUND, lost: ["2", "4"] });
});

interface SegmentRecord {
  readonly position?: string;
  readonly ahead?: unknown;
  readonly layout?: unknown;
}

/** Checkpoints that change what is written. */
class Broken extends InMemoryCheckpoints {
  constructor(
    readonly changes: {
      /** A record of a segment that is made. */
      readonly made?: (record: SegmentRecord) => SegmentRecord | Promise<SegmentRecord>;
      /** Whether each write is taken, whatever the revision is. */
      readonly takesAll?: boolean;
    },
  ) {
    super();
  }

  override async save(
    id: { readonly name: string; readonly version: number },
    value: string,
    expected: string | undefined,
  ): Promise<string> {
    const { made, takesAll } = this.changes;
    const record: SegmentRecord = JSON.parse(value);
    const isMade = expected === undefined && !record.layout;
    const text = made && isMade ? JSON.stringify(await made(record)) : value;
    return await super.save(id, text, takesAll ? (await super.load(id))?.revision : expected);
  }
}

/** Leases that any process gets at any time. */
function freeForAll(): LeaseStore {
  return {
    acquire: (key, options) => new InMemoryLeases().acquire(key, options),
    tryAcquire: (key, options) => new InMemoryLeases().tryAcquire(key, options),
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const ACTORS = Array.from({ length: 12 }, (_, index) => `actor-${index}`);

/**
 * Two runs work while segments are split and merged. Returns what is wrong with what they have handled: sound runs are
 * given all the time that they need, and of broken ones some events never come.
 */
async function judged(
  checkpoints: CheckpointStore,
  { store: given, leases, isSound = false }: {
    readonly store?: InMemoryEventStore<Counted>;
    readonly leases?: LeaseStore;
    readonly isSound?: boolean;
  } = {},
): Promise<SegmentFaults> {
  await using store = given ?? new InMemoryEventStore<Counted>();
  const handled = new Map<string, string[]>();
  let count = 0;
  const start = (): ProjectionRun =>
    runProjection(store, {
      ...{ name: "handled", checkpoints, segments: 4, checkpointInterval: 5 },
      handle: async ({ actorId, position }) => {
        // The segments come to different places: so a merge has some that are ahead of others.
        await new Promise((resolve) => setTimeout(resolve, Number(actorId.slice(6)) % 4 * 2));
        handled.set(actorId, [...handled.get(actorId) ?? [], position]);
        count++;
      },
    }, { ...quiet, ...(leases && { leases }) });
  await using _one = start();
  await using _two = start();
  await until("they work", async () => {
    await add(store, 12, ACTORS);
    return count > 0;
  });
  for (const segments of [8, 2, 4, 1]) {
    await add(store, 60, ACTORS);
    await changeSegments({ name: "handled", checkpoints }, segments);
    const areMade = async (): Promise<boolean> => {
      const names = (await checkpoints.list()).map(({ id }) => id!.name);
      return names.filter((name) => name.endsWith(`\u001f${segments}`)).length === segments;
    };
    if (isSound) await until("the segments are made", areMade);
    else await until("the segments are made", areMade, 500).catch(() => {}); // not all are
  }
  const log = await positionsIn(store);
  const total = [...log.values()].flat().length;
  if (isSound) await until("all has come", () => count >= total);
  let seen = -1;
  // What is lost does not come: nothing more has come for a while.
  await until("all that comes has come", async () => {
    if (seen === count) return true;
    seen = count;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return false;
  });
  return judgeSegments(log, handled);
}

Deno.test("segments: the check finds nothing in runs that are sound", async () => {
  assert.deepEqual(await judged(new Broken({}), { isSound: true }), SOUND);
});

Deno.test("segments: the check finds an event that is skipped at a split", async () => {
  const store = new InMemoryEventStore<Counted>();
  const skipping = new Broken({
    made: async (record) => {
      const last = await store.getLastPosition();
      return record.position === undefined || last === undefined ? record : { ...record, position: last };
    },
  });
  assert.ok((await judged(skipping, { store })).lost.length > 0);
});

Deno.test("segments: the check finds a segment that was stolen and still writes", async () => {
  const { repeated } = await judged(new Broken({ takesAll: true }), { leases: freeForAll() });
  assert.ok(repeated.length > 0);
});

Deno.test("segments: the check finds order that is lost at a merge", async () => {
  const { disordered } = await judged(new Broken({ made: ({ ahead: _, ...record }) => record }));
  assert.ok(disordered.length > 0);
});
