/** The checker on trial: stores and readers that break the contract must be found out, each by the name of its fault. */

import assert from "node:assert/strict";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { seededRandom } from "../../../support/event_log.ts";
import { openSharedClock } from "../../../support/monotonic.ts";
import { type NatsServer, startNatsServer } from "../../../support/nats_server.ts";
import type { NatsFrame } from "../../../support/nats_frames.ts";
import { type Proxy, startProxy } from "../../../support/proxy.ts";
import * as broken from "./broken_stores.ts";
import { checkHistory, checkReplaced, type Fault } from "./checker.ts";
import { isAcknowledgement, isCommit } from "./faults.ts";
import { type History, Journal, readJournals, type TriedEvent } from "./history.ts";
import { known, type StoreUnderTest, Worker } from "./work.ts";

let server: NatsServer;
let trials = 0;

Deno.test.beforeAll(async () => {
  server = await startNatsServer();
});

Deno.test.afterAll(() => server.stop());

/** Whether a frame answers anything: without them it cannot be learned what became of a save. */
function isAnswer({ subject }: NatsFrame): boolean {
  return subject?.startsWith("_INBOX") === true;
}

/** What a case works with. */
interface Trial<Store> {
  readonly worker: Worker;
  readonly store: Store;
  readonly far: JetStreamEventStore;
  readonly near: JetStreamEventStore;
  readonly proxy: Proxy;
  readonly journal: Journal;
  /** Saves a few events, in turns of two actors. */
  fill(): Promise<void>;
}

interface TrialOptions {
  /** How long the far store really tries, in milliseconds. */
  readonly saveTimeout?: number;
  /** How long it says that it tries, in milliseconds. */
  readonly timeout?: number;
}

/** Lets a store be worked with, and gives what happened. */
async function historyOf<Store extends StoreUnderTest>(
  Kind: new (far: JetStreamEventStore, near: JetStreamEventStore) => Store,
  work: (trial: Trial<Store>) => Promise<void>,
  { saveTimeout = 400, timeout = saveTimeout }: TrialOptions = {},
): Promise<History> {
  const namespace = `trial-${++trials}`;
  const folder = await Deno.makeTempDir({ prefix: "aether-trial-" });
  try {
    await using proxy = startProxy(server.url);
    await using near = await JetStreamEventStore.open(server.url, { namespace });
    await using far = await JetStreamEventStore.open(proxy.url, {
      namespace,
      saveTimeout,
      answerTimeout: 100,
    });
    using clock = openSharedClock();
    const journal = new Journal(`${folder}/process.0.journal`, clock);
    const store = new Kind(far, near);
    const worker = new Worker({ store, journal, name: "w", timeout, random: seededRandom(7) });
    const fill = async (): Promise<void> => {
      for (let count = 0; count < 4; count++) await worker.append(count % 2 ? "a" : "b", 1, "any");
    };
    await work({ worker, store, far, near, proxy, journal, fill });
    proxy.resume();
    journal.close();
    const log = (await Array.fromAsync(near.readAll())).map(known);
    return { ...readJournals(folder), log, outages: [], stale: [] };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The faults that the checker finds, each once. */
function faultsOf(history: History): Fault[] {
  return [...new Set(checkHistory(history).map(({ fault }) => fault))];
}

function assertFound(history: History, fault: Fault): void {
  const found = faultsOf(history);
  assert(found.includes(fault), `not found: ${fault}; found: ${found.join(", ")}`);
}

Deno.test("a store that keeps the contract is found to do so, while acknowledgements and commits are lost", async () => {
  const history = await historyOf(broken.Unbroken, async ({ worker, proxy, near, journal }) => {
    const random = seededRandom(11);
    proxy.filter({
      toClient: (frame) => isAcknowledgement(frame) && random() < 0.1,
      toServer: (frame) => isCommit(frame) && random() < 0.05,
    });
    const tail = near.subscribe();
    await tail.ready;
    journal.reading({ how: "subscription", after: undefined, limit: 0, begun: journal.now() });
    const reading = (async (): Promise<void> => {
      for await (const { position, id } of tail) journal.event(position, id);
    })();
    await Promise.all(Array.from({ length: 8 }, () => worker.run(0, 60)));
    const end = await near.getLastPosition();
    while (tail.position !== end) await new Promise((resolve) => setTimeout(resolve, 10));
    await tail.close();
    await reading;
  }, { saveTimeout: 60_000 });
  assert.deepEqual(checkHistory(history), []);
  const kinds = new Set(history.attempts.map(({ answer }) => answer?.kind));
  assert(kinds.has("stored") && kinds.has("conflict"), [...kinds].join());
  assert(history.log.length > 200 && history.looks.length > 20 && history.readings.length === 1);
});

Deno.test("a store that retries under a new expectation stores twice", async () => {
  const history = await historyOf(broken.RetriesBlindly, async ({ worker, proxy, fill }) => {
    await fill();
    proxy.filter({ toClient: isAnswer });
    await worker.append("a", 1, "any");
  });
  assertFound(history, "event stored twice");
});

Deno.test("a store that takes its own write for another's conflicts with itself", async () => {
  const history = await historyOf(broken.ConflictsWithItself, async ({ worker, proxy, fill }) => {
    await fill();
    proxy.filter({ toClient: isAnswer });
    await worker.append("a", 2, 2);
  });
  assertFound(history, "conflict with oneself");
});

Deno.test("a store that takes silence for success loses what it has acknowledged", async () => {
  const history = await historyOf(broken.HopesForTheBest, async ({ worker, proxy, fill }) => {
    await fill();
    proxy.filter({ toServer: isCommit });
    await worker.append("a", 1, "any");
  });
  assertFound(history, "acknowledged event lost");
});

Deno.test("a store that takes silence for a refusal stores what it has refused", async () => {
  const history = await historyOf(broken.TakesSilenceForRefusal, async ({ worker, proxy, near, fill }) => {
    await fill();
    proxy.stall();
    await worker.append("a", 1, "any");
    proxy.resume();
    while (await near.getLatestVersion("a") < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  });
  assertFound(history, "stored though refused");
});

Deno.test("a store that refuses what it could repeat is found out, and so is one that gives up early", async () => {
  for (
    const [Kind, fault] of [
      [broken.TakesSilenceForRefusal, "refused though it could be stored"],
      [broken.Unbroken, "unknown though it could be settled"],
    ] as const
  ) {
    const history = await historyOf(Kind, async ({ worker, proxy, fill }) => {
      await fill();
      proxy.filter({ toServer: isCommit });
      worker.stop(); // it appends nothing again
      await worker.append("a", 1, "any");
    }, { timeout: 30_000 });
    assertFound(history, fault);
    // With all its time used up while nobody could be reached it may say so.
    const [last] = history.attempts.slice(-1);
    const outage = { from: last!.begun, to: last!.ended };
    const attempts = [...history.attempts.slice(0, -1), { ...last!, timeout: 400 }];
    assert.deepEqual(faultsOf({ ...history, attempts, outages: [outage] }), []);
  }
});

Deno.test("a store that changes data, or answers what is not stored, is found out", async () => {
  for (const Kind of [broken.LeavesOutWhatIsNested, broken.AnswersFromMemory]) {
    assertFound(await historyOf(Kind, ({ fill }) => fill()), "event changed");
  }
});

Deno.test("a store that saves several actors one by one tears commits apart", async () => {
  const history = await historyOf(broken.SavesOneByOne, async ({ worker, fill }) => {
    await fill();
    const event = (actorId: string, version: number): TriedEvent => ({
      actorId,
      version,
      id: actorId,
      eventType: "E",
      data: 1,
    });
    await worker.save("save", [event("new", 1), event("a", 1)]);
  });
  assertFound(history, "commit torn apart");
});

Deno.test("a store that ignores expectations is found out", async () => {
  const history = await historyOf(broken.IgnoresExpectations, async ({ worker, fill }) => {
    await fill();
    await worker.append("a", 1, 1);
  });
  assertFound(history, "expectation broken");
});

Deno.test("a store that refuses without a cause is found out", async () => {
  const history = await historyOf(broken.RefusesFromMemory, async ({ worker, fill }) => {
    await fill();
    await worker.append("a", 1, 2);
  });
  assertFound(history, "conflict without a cause");
});

Deno.test("a store that checks conditions before it stores is found out, and so is one that invents a conflict", async () => {
  const event = (id: string, actorId: string): TriedEvent => ({ actorId, id, eventType: "E", data: 1 });
  const conditions = [{ actorId: "a", version: 2 }];
  const late = await historyOf(broken.ChecksConditionsFirst, async ({ worker, store, fill }) => {
    await fill();
    store.pause = async (): Promise<void> => {
      store.pause = () => Promise.resolve();
      await worker.append("a", 1, 2);
    };
    await worker.save("append", [event("late", "c")], 0, conditions);
  });
  assertFound(late, "condition broken");
  const sound = await historyOf(broken.Unbroken, async ({ worker, fill }) => {
    await fill();
    await worker.save("append", [event("held", "c")], 0, conditions);
    await worker.append("a", 1, 2);
    await worker.save("append", [event("held", "c")], 0, conditions); // it is stored already
    await worker.save("append", [event("broken", "d")], 0, conditions);
  });
  assert.deepEqual(checkHistory(sound), []);
  assert.deepEqual(sound.attempts.map(({ answer }) => answer?.kind).slice(-2), ["stored", "conflict"]);
  const invented = await historyOf(broken.InventsConditions, async ({ worker, fill }) => {
    await fill();
    await worker.save("append", [event("refused", "c")], 0, conditions);
  });
  assertFound(invented, "conflict without a cause");
});

Deno.test("a store that acknowledges what it has sent nowhere is found out if its log is replaced", async () => {
  let replacedAt = NaN;
  const history = await historyOf(broken.StoresLater, async ({ worker, fill, journal }) => {
    await fill();
    replacedAt = journal.now();
    await worker.append("c", 1, 0);
  });
  const [violation, ...more] = checkReplaced(history.attempts, replacedAt);
  assert.equal(violation?.fault, "acknowledged for a replaced log");
  assert.deepEqual([more, checkReplaced(history.attempts, Infinity)], [[], []]);
});

Deno.test("a store that reports damage of an actor that is not damaged is found out", async () => {
  const history = await historyOf(broken.ReportsConflictsAsDamage, async ({ worker }) => {
    await worker.append("a", 1, 0);
    await worker.append("b", 1, 0);
    await worker.append("a", 1, 0);
    await worker.look("a");
  });
  assert.deepEqual(checkHistory(history).map(({ fault }) => fault), Array(2).fill("damage without a cause"));
  const [a, b] = history.log;
  const faultsIf = (id: string, from: number): Fault[] => faultsOf({ ...history, damaged: [{ id, from }] });
  assert.deepEqual(faultsIf(a!.id, 0), []);
  assert.deepEqual(faultsIf(b!.id, 0), ["damage without a cause"]);
  assert.deepEqual(
    faultsIf(a!.id, Infinity),
    ["damage without a cause"],
    "it was reported before it was done",
  );
});

Deno.test("a store that reads what is out of date is found out", async () => {
  const history = await historyOf(broken.ReadsFromMemory, async ({ worker }) => {
    await worker.look("a");
    await worker.append("a", 1, 0);
    await worker.look("a");
  });
  assertFound(history, "stale read");
});

Deno.test("a store that answers before it stores stores in the wrong order", async () => {
  const history = await historyOf(broken.StoresLater, async ({ worker, store }) => {
    await worker.append("a", 1, 0);
    await worker.append("b", 1, "any");
    for (const save of store.waiting) await save();
  });
  assertFound(history, "stored in the wrong order");
});

Deno.test("events that no process has saved, and versions that fall, are found", async () => {
  const history = await historyOf(broken.Unbroken, async ({ near, fill }) => {
    await fill();
    await near.append("a", [{ eventType: "Strange", data: 1 }], { expectedVersion: "any" });
  });
  assertFound(history, "event from nowhere");
  assertFound({ ...history, log: history.log.toReversed() }, "versions out of order");
});

/** A reader, and what is wrong with it. */
const READERS: [string, Fault, (trial: Trial<StoreUnderTest>) => Promise<void>][] = [
  ["merges two filtered reads", "reader has another order", async ({ near, journal }) => {
    const begun = journal.now();
    const parts = await Promise.all(["b", "a"].map((actorId) => Array.fromAsync(near.readAll({ actorId }))));
    const events = parts.flat().map(({ position, id }) => [position, id] as const);
    journal.reading({ how: "read", after: undefined, limit: 100, begun }, events);
  }],
  ["goes on at the end", "reader has a gap", async ({ near, journal, fill }) => {
    const follow = async (after: string | undefined, limit: number): Promise<void> => {
      journal.reading({ how: "subscription", after, limit: 0, begun: journal.now() });
      const events = near.readAll({ limit, ...(after === undefined ? {} : { after }) });
      for await (const { position, id } of events) journal.event(position, id);
    };
    await follow(undefined, 2);
    await fill();
    await follow(await near.getLastPosition(), 100);
  }],
  ["goes on where its last batch began", "reader has a duplicate", async ({ near, journal }) => {
    const all = await Array.fromAsync(near.readAll());
    for (const [after, from, to] of [[undefined, 0, 3], [all[0]!.position, 1, 4]] as const) {
      journal.reading({ how: "subscription", after, limit: 0, begun: journal.now() });
      for (const { position, id } of all.slice(from, to)) journal.event(position, id);
    }
  }],
  ["is handed the same event twice", "reader has a duplicate", async ({ near, journal }) => {
    const events = (await Array.fromAsync(near.readAll())).map(({ position, id }) => [position, id] as const);
    const begun = journal.now();
    journal.reading({ how: "read", after: undefined, limit: 100, begun }, [...events, events[0]!]);
  }],
  ["keeps the end that it has seen first", "reader stopped short", async ({ near, journal, fill }) => {
    const end = await near.getLastPosition();
    await fill();
    const begun = journal.now();
    const seen = (await Array.fromAsync(near.readAll())).filter(({ position }) => position <= end!);
    const events = seen.map(({ position, id }) => [position, id] as const);
    journal.reading({ how: "read", after: undefined, limit: 100, begun }, events);
  }],
  ["stands still", "reader stopped short", ({ journal }) => {
    journal.reading({ how: "subscription", after: undefined, limit: 0, begun: journal.now() });
    return Promise.resolve();
  }],
  ["reads the log of others", "reader has what is not stored", async ({ journal }) => {
    await using other = await JetStreamEventStore.open(server.url, { namespace: `other-${trials}` });
    await other.append("a", [{ eventType: "E", data: 1 }], { expectedVersion: 0 });
    const events = (await Array.fromAsync(other.readAll())).map(({ position, id }) =>
      [position, id] as const
    );
    journal.reading({ how: "read", after: undefined, limit: 1, begun: journal.now() }, events);
  }],
];

for (const [name, fault, read] of READERS) {
  Deno.test(`a reader that ${name} is found out: ${fault}`, async () => {
    const history = await historyOf(broken.Unbroken, async (trial) => {
      await trial.fill();
      await read(trial);
    });
    assertFound(history, fault);
    assert.deepEqual(faultsOf({ ...history, readings: [] }), []);
  });
}
