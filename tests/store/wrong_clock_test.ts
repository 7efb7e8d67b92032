/** Stores whose option `now` returns what is no time. */

import assert from "node:assert/strict";
import { ActorHost, defineActor, type Event } from "@flowmade-one/aether/actor";
import { DenoKvEventStore, InMemoryEventStore } from "../../mod.ts";

type Done = Event<"Done", null>;

const WRONG: Readonly<Record<string, unknown>> = {
  "a number": 1_767_225_600_000,
  "an invalid Date": new Date(NaN),
  undefined: undefined,
};

for (const [what, returned] of Object.entries(WRONG)) {
  Deno.test(`a clock that returns ${what} is refused by name: saves, snapshots, actors`, async () => {
    const now = (): Date => returned as Date;
    await using memory = new InMemoryEventStore<Done>({ now });
    await using kv = await DenoKvEventStore.open<Done>(":memory:", { now });
    for (const store of [memory, kv]) {
      const refused = { name: "InvalidArgumentError", argument: "options.now" };
      const done = { eventType: "Done", data: null } as const;
      await assert.rejects(store.append("job-1", [done], { expectedVersion: 0 }), refused);
      const snapshot = { actorId: "job-1", kind: "job", schemaVersion: 1, version: 1, state: 1 };
      await assert.rejects(store.saveSnapshot(snapshot), refused);
      const job = defineActor("job", {
        decider: {
          initialState: () => 0,
          evolve: (sum: number, _: Done) => sum + 1,
          decide: (_: "do") => [done],
        },
      });
      await using host = await ActorHost.start({ store, actors: [job] });
      await assert.rejects(host.client.get(job, "job-1").call("do"), refused);
      assert.equal(await store.getLatestVersion("job-1"), 0);
    }
  });
}
