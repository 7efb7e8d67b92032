/** A server answers for a value that it cannot read as if there were none. That is not taken for a free place. */

import assert from "node:assert/strict";
import {
  BackendError,
  DamagedCheckpointError,
  deleteCheckpoint,
  InMemoryEventStore,
  JetStreamCheckpoints,
  projectionStatuses,
  projectOnce,
  Vault,
} from "@flowmade-one/aether";
import { startNatsServer } from "../support/nats_server.ts";
import { streamFiles } from "../store/jetstream/stream_files.ts";

const event = { eventType: "Happened", data: { name: "Ann" } };
const masterKey = { id: "2026", secret: new Uint8Array(32) };

Deno.test("values that the server cannot read are no free places: leases, checkpoints, keys of persons", async (t) => {
  await using server = await startNatsServer();
  await using working = await JetStreamCheckpoints.open(server.url);
  // It is renewed after the test.
  const lease = await (await working.leases()).acquire("job", {
    ttl: 60_000,
    renewEvery: 19_000,
    holder: "first holder",
  });
  await using store = new InMemoryEventStore();
  await store.append("order", [event], { expectedVersion: 0 });
  const handled: string[] = [];
  const projection = {
    name: "mails",
    handle: ({ actorId }: { actorId: string }): void => void handled.push(actorId),
  };
  const personal = { Happened: { personal: { fields: ["name"] } } } as const;
  const newVault = (): Promise<Vault> => Vault.onJetStream(server.url, { masterKey });
  {
    await projectOnce(store, { ...projection, checkpoints: working });
    await projectOnce(store, { ...projection, checkpoints: working, name: "other" });
    await using vault = await newVault();
    await using withPersons = new InMemoryEventStore({ vault, events: personal });
    await withPersons.append("ann", [event], { expectedVersion: 0 });
  }

  await server.shutdown();
  await flipLast(server, "KV_aether_projections", "first holder");
  await flipLast(server, "KV_aether_projections", '"mails"');
  await flipLast(server, "KV_aether_vault", '{"key":');
  await server.restart();

  await t.step("a lease has no second holder", async () => {
    await using others = await JetStreamCheckpoints.open(server.url);
    assert.equal(await (await others.leases()).tryAcquire("job", { ttl: 60_000 }), undefined);
    assert(lease.isHeld);
  });
  await t.step("a projection does not begin again unless its checkpoint is deleted", async () => {
    await using checkpoints = await JetStreamCheckpoints.open(server.url);
    await assert.rejects(projectOnce(store, { ...projection, checkpoints }), DamagedCheckpointError);
    assert.deepEqual(handled, ["order", "order"]);
    const statuses = await projectionStatuses(store, checkpoints);
    assert.deepEqual(statuses.map(({ problem }) => problem instanceof DamagedCheckpointError).sort(), [
      false,
      true,
    ]);
    // The server stores it, and acknowledges no write to that key any more.
    assert.equal(await deleteCheckpoint({ ...projection, checkpoints }), true);
  });
  await t.step("a person gets no second key", async () => {
    await using vault = await newVault();
    await using withPersons = new InMemoryEventStore({ vault, events: personal });
    for (let attempt = 1; attempt <= 2; attempt++) {
      await assert.rejects(withPersons.append("ann", [event], { expectedVersion: 0 }), BackendError);
    }
    await assert.rejects(vault.forget("ann", withPersons), BackendError);
  });
});

/** Changes a bit of the last text of this kind that is stored. */
async function flipLast(
  server: Awaited<ReturnType<typeof startNatsServer>>,
  stream: string,
  marker: string,
): Promise<void> {
  const block = (await streamFiles(server, stream)).blocks.at(-1)!;
  const bytes = await Deno.readFile(block);
  const at = new TextDecoder("latin1").decode(bytes).lastIndexOf(marker);
  assert(at >= 0, `${marker} is not stored in ${stream}`);
  bytes[at] = bytes[at]! ^ 1;
  await Deno.writeFile(block, bytes);
}
