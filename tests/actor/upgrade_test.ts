/** Hosts of two versions of a definition in one cluster, as while they are updated one after the other. */

import assert from "node:assert/strict";
import {
  ActorClient,
  type ActorDefinition,
  ActorUnavailableError,
  type Decider,
  defineActor,
  type Event,
} from "@flowmade-one/aether/actor";
import { InMemoryBucket } from "@flowmade-one/aether/cluster";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { startNatsServer } from "../support/nats_server.ts";
import { owns, startNode } from "./node.ts";

type Counted = Event<"Counted", { by: number }>;
type Counter = ActorDefinition<number, { by: number }, Counted, { sum: number }>;

const decider: Decider<number, { by: number }, Counted> = {
  initialState: () => 0,
  evolve: (sum, { data }) => sum + data.by,
  decide: ({ by }) => [{ eventType: "Counted", data: { by } }],
};
const queries = { sum: (sum: number): number => sum };
const before: Counter = defineActor("counter", { decider, queries });
const after: Counter = defineActor("counter", { decider, queries, version: 2 });

Deno.test("hosts of two versions answer earlier callers, and a later caller is answered where its version is", async () => {
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore<Counted>({ onWarning: () => {} });
  const bucket = new InMemoryBucket();
  const start = (name: string, definition: Counter): ReturnType<typeof startNode> =>
    startNode({ url: server.url, bucket, name, store, actors: [definition] });
  const old = await start("old", before);
  await owns(old, 16);
  await using updated = await start("updated", after);
  await Promise.all([owns(old, 8), owns(updated, 8)]);
  await using earlier = await ActorClient.connect(server.url, { actors: [before] });
  await using later = await ActorClient.connect(server.url, { actors: [after] });
  const ids = Array.from({ length: 24 }, (_, index) => `counter-${index}`);
  const onOld = ids.filter((id) => old.coordinator.shardFor(id));
  const onUpdated = ids.filter((id) => updated.coordinator.shardFor(id));
  assert.equal(onOld.length + onUpdated.length, ids.length);
  assert.ok(onOld.length > 0 && onUpdated.length > 0);

  for (const caller of [earlier, old.host.client]) {
    await Promise.all(ids.map((id) => caller.get(before, id).call({ by: 1 })));
    assert.equal(await caller.get(before, ids[0]!).query("sum"), await store.getLatestVersion(ids[0]!));
  }
  for (const caller of [later, updated.host.client]) {
    await Promise.all(onUpdated.map((id) => caller.get(after, id).call({ by: 1 })));
    await Promise.all(
      onOld.map((id) =>
        assert.rejects(caller.get(after, id).call({ by: 1 }, { id: "new", timeout: 2_000 }), (error) => {
          assert.ok(error instanceof ActorUnavailableError && error.reason === "definition", String(error));
          return /has version 1 of "counter", and the caller version 2\. Update the hosts/.test(
            error.message,
          );
        })
      ),
    );
  }
  for (const id of onOld) assert.equal(await store.getLatestVersion(id), 2, id);

  // The same calls, while the last host of the earlier version is updated.
  const waiting = onOld.map((id) => later.get(after, id).call({ by: 1 }, { id: "new", timeout: 60_000 }));
  await old[Symbol.asyncDispose]();
  assert.deepEqual(await Promise.all(waiting), onOld.map(() => ({ version: 3, state: 3 })));
  await Promise.all(ids.map((id) => earlier.get(before, id).call({ by: 1 })));
});
