import assert from "node:assert/strict";
import {
  Coordinator,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  NatsEventBus,
  type Warning,
} from "../../mod.ts";
import { startNatsCluster, startNatsServer } from "../support/nats_server.ts";

/** Opens everything at once, and closes it. */
async function openAll(url: string, replicas: 1 | 3 | undefined): Promise<Record<string, readonly string[]>> {
  const codes: Record<string, string[]> = {
    store: [],
    leases: [],
    checkpoints: [],
    coordinator: [],
    bus: [],
  };
  const onWarning = (name: string) => ({ code }: Warning): unknown => codes[name]!.push(code);
  const options = (name: string): {
    readonly onWarning: (warning: Warning) => void;
    readonly replicas?: 1 | 3;
  } => ({ onWarning: onWarning(name), ...(replicas && { replicas }) });
  const opened = await Promise.all([
    JetStreamEventStore.open(url, { ...options("store"), namespace: `r${replicas ?? 0}` }),
    JetStreamLeases.open(url, { ...options("leases"), bucket: `leases${replicas ?? 0}` }),
    JetStreamCheckpoints.open(url, { ...options("checkpoints"), bucket: `checkpoints${replicas ?? 0}` }),
    Coordinator.join(url, { ...options("coordinator"), cluster: `c${replicas ?? 0}`, shardCount: 4 }),
    NatsEventBus.open(url, { onWarning: onWarning("bus") }),
  ]);
  for (const each of opened) await each[Symbol.asyncDispose]();
  return codes;
}

Deno.test("all that is opened while a cluster elects its leaders waits; replicas that are left out there are reported", async () => {
  await using cluster = await startNatsCluster(3);
  // All servers start again: they have no leaders for some seconds.
  await Promise.all(cluster.servers.map((server) => server.kill()));
  const restarted = Promise.all(cluster.servers.map((server) => server.restart()));
  while (
    !await Deno.connect({ hostname: "127.0.0.1", port: cluster.servers[0]!.port }).then(
      (socket) => (socket.close(), true),
      () => false,
    )
  ) await new Promise((resolve) => setTimeout(resolve, 5));
  const three = await openAll(cluster.url, 3);
  await restarted;
  assert.deepEqual(Object.values(three).flat(), []);
  assert.deepEqual(Object.values(await openAll(cluster.url, 1)).flat(), []);
  const leftOut = ["replicas-left-out"];
  assert.deepEqual(await openAll(cluster.url, undefined), {
    store: leftOut,
    leases: leftOut,
    checkpoints: leftOut,
    coordinator: leftOut,
    bus: [],
  });
});

Deno.test("replicas that are left out on a single server are not reported", async () => {
  await using server = await startNatsServer();
  assert.deepEqual(Object.values(await openAll(server.url, undefined)).flat(), []);
});
