/** The conformance suite itself: what it offers, what it leaves out, and that it says so. */

import assert from "node:assert/strict";
import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
import {
  type BackendUnderTest,
  type ConformanceCase,
  eventStoreConformance,
} from "@flowmade-one/aether/testing";

function setUp(): BackendUnderTest {
  const storage = new InMemoryStorage();
  return { open: (options) => new InMemoryEventStore({ ...options, storage }) };
}

function names(cases: readonly ConformanceCase[]): string[] {
  return cases.map(({ name }) => name);
}

Deno.test("eventStoreConformance() has cases of every topic, each with a name of its own", () => {
  const cases = eventStoreConformance({ setUp });
  const topics = new Set(cases.map(({ topic }) => topic));
  for (const topic of ["versions", "fencing", "replaced log", "restored log"]) {
    assert(topics.has(topic), topic);
  }
  assert(topics.size >= 25);
  assert.equal(new Set(names(cases)).size, cases.length);
});

Deno.test("eventStoreConformance() leaves the long cases out if it is to be quick", () => {
  const whole = names(eventStoreConformance({ setUp }));
  const quick = names(eventStoreConformance({ setUp }, { quick: true }));
  assert(quick.length < whole.length);
  assert(quick.every((name) => whole.includes(name)));
  assert(!quick.includes("random histories go as in the model"));
});

Deno.test("eventStoreConformance() names which cases a store cannot run for what it lacks", () => {
  assert(eventStoreConformance({ setUp }).every(({ lacking }) => lacking === undefined));
  const cases = eventStoreConformance({ setUp, lacks: ["snapshots"] });
  const lacking = cases.filter((candidate) => candidate.lacking === "snapshots");
  assert(lacking.length > 0);
  assert(lacking.every(({ topic }) => topic === "snapshots"));
});

Deno.test("a case closes what it opened and removes its backends, also where it fails", async () => {
  const events: string[] = [];
  const counted = (): BackendUnderTest => {
    events.push("set up");
    return {
      open: (options) => {
        events.push("opened");
        return new class extends InMemoryEventStore {
          override async close(): Promise<void> {
            await super.close();
            events.push("closed");
          }
          override getLatestVersion(): Promise<number> {
            return Promise.reject(new Error("broken"));
          }
        }(options);
      },
      dispose: () => void events.push("removed"),
    };
  };
  const [found] = eventStoreConformance({ setUp: counted }).filter(({ name }) =>
    name === "an actor without events is at version 0"
  );
  await assert.rejects(found!.run(), /broken/);
  assert.deepEqual(events, ["set up", "opened", "closed", "removed"]);
});
