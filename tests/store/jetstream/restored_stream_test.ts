/** A stream that was restored without the bucket of its snapshots. */

import assert from "node:assert/strict";
import {
  DamagedHistoryError,
  execute,
  JetStreamEventStore,
  LogReplacedError,
  replay,
} from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../../support/nats_server.ts";

const decider = {
  initialState: (): number => 0,
  evolve: (total: number, { data }: { readonly data: unknown }): number => total + (data as number),
  decide: (by: number) => [{ eventType: "Added", data: by }],
  snapshot: { kind: "total", schemaVersion: 1, every: 5 },
};

Deno.test("a snapshot of a lost part of the stream is refused, and one of a higher schema version takes its place", async () => {
  await using server = await startNatsServer();
  const stream = `${server.storageFolder}/$G/streams/aether_default`;
  const copy = async (from: string, to: string): Promise<void> => {
    await server.shutdown();
    await new Deno.Command("rm", { args: ["-rf", to] }).output();
    await new Deno.Command("cp", { args: ["-a", from, to] }).output();
    await server.restart();
  };
  const add = async (count: number, by: number): Promise<void> => {
    await using store = await JetStreamEventStore.open(server.url);
    for (let index = 0; index < count; index++) await execute(store, "account", decider, by);
  };
  await add(3, 1);
  await copy(stream, `${server.storageFolder}-copy`);
  await add(4, 10);
  await copy(`${server.storageFolder}-copy`, stream);
  await assert.rejects(JetStreamEventStore.open(server.url), LogReplacedError);
  await using store = await JetStreamEventStore.open(server.url, { acceptLostTail: true });
  assert.equal((await store.getLatestSnapshot("account", "total"))?.version, 5);
  await assert.rejects(replay(store, "account", decider), DamagedHistoryError); // it is ahead
  for (let version = 3; version < 8; version++) {
    const events = [{ eventType: "Added", data: 100 }];
    await store.append("account", events, { expectedVersion: version });
    await assert.rejects(replay(store, "account", decider), DamagedHistoryError, `at ${version + 1}`);
    await assert.rejects(execute(store, "account", decider, 1), DamagedHistoryError, `at ${version + 1}`);
  }
  const raised = { ...decider, snapshot: { kind: "total", schemaVersion: 2, every: 5 } };
  const options = { onWarning: (): void => {} };
  const { state, version } = await execute(store, "account", raised, 1, options);
  assert.deepEqual([state, version], [504, 9]);
  const again = await replay(store, "account", raised, options);
  assert.deepEqual([again.state, again.snapshotVersion], [504, 9]);
});
