/**
 * The stores that worker processes share: Deno KV, one server, and a cluster of three with everything replicated.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import {
  DenoKvCheckpoints,
  DenoKvEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
} from "../../../mod.ts";
import { kvFolder } from "../../support/kv_file.ts";
import { type NatsServer, startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import type { Random } from "../../support/random.ts";
import type { Counted } from "../support.ts";
import type { Site } from "./jobs.ts";
import { CONNECTION, CREDENTIALS } from "./poison.ts";
import type { WorkerOrder } from "./worker.ts";

/** A store with its read models, as this process sees it. */
export interface Stage extends Site, AsyncDisposable {
  /** Where workers find it. */
  readonly order: Pick<WorkerOrder, "file" | "servers" | "scope">;
  /** Opens another one that shares nothing with this one but the servers. */
  another(scope: string): Promise<Stage>;
  /** Makes the store fail for a while, and resolves when that is over. */
  disturb(random: Random): Promise<void>;
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Everything in one file of Deno KV. */
async function denoKv(): Promise<Stage> {
  await using resources = new AsyncDisposableStack();
  const { file } = resources.use(await kvFolder());
  const model = await Deno.openKv(file);
  resources.defer(() => model.close());
  const withModel = resources.use(await DenoKvCheckpoints.open(model));
  const store = resources.use(await DenoKvEventStore.open<Counted>(file, { pollInterval: 5 }));
  const owned = resources.move();
  return {
    store,
    beside: withModel,
    withModel,
    model,
    order: { file },
    another: denoKv,
    // Another program holds the file: nobody can write, nor read.
    disturb: async (random) => {
      using database = new DatabaseSync(file);
      database.exec("PRAGMA busy_timeout = 10000; BEGIN EXCLUSIVE");
      await pause(random.between(0, 1500));
      database.exec("ROLLBACK");
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Events, checkpoints and leases on NATS servers, read models in Deno KV. */
async function jetStream(size: 1 | 3, shared?: readonly NatsServer[], scope = "default"): Promise<Stage> {
  await using resources = new AsyncDisposableStack();
  const config = { authorization: { users: [{ user: CREDENTIALS.user, password: CREDENTIALS.pass }] } };
  const servers: readonly NatsServer[] = shared ??
    (size === 1
      ? [resources.use(await startNatsServer({ config }))]
      : resources.use(await startNatsCluster(size, { config })).servers);
  const urls = servers.map(({ url }) => url);
  const options = { ...CONNECTION, replicas: size };
  const { file } = resources.use(await kvFolder());
  const model = await Deno.openKv(file);
  resources.defer(() => model.close());
  const withModel = resources.use(await DenoKvCheckpoints.open(model));
  const store = resources.use(
    await JetStreamEventStore.open<Counted>(urls, { ...options, namespace: scope }),
  );
  const beside = resources.use(
    await JetStreamCheckpoints.open(urls, { ...options, bucket: `checkpoints-${scope}` }),
  );
  // Or the first worker makes the bucket.
  await (await JetStreamLeases.open(urls, { ...options, bucket: `leases-${scope}` })).close();
  const owned = resources.move();
  return {
    store,
    beside,
    withModel,
    model,
    order: { file, servers: urls, scope },
    another: (scope) => jetStream(size, servers, scope),
    disturb: async (random) => {
      const server = random.pick(servers);
      if (random.chance(0.4)) {
        await server.suspend();
        await pause(random.between(0, 3000));
        server.resume();
      } else {
        await server.kill();
        await pause(random.between(0, 1000));
        await server.restart();
      }
      await server.ready();
      await refuseCredentials(servers, random.between(0, 1500));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The servers refuse everybody's credentials for a while. */
async function refuseCredentials(servers: readonly NatsServer[], milliseconds: number): Promise<void> {
  const change = async (from: string, to: string): Promise<void> => {
    for (const server of servers) await server.reconfigure(`"${from}"`, `"${to}"`);
  };
  await change(CREDENTIALS.pass, "other");
  await pause(milliseconds);
  await change("other", CREDENTIALS.pass);
}

/** Every stage. */
export const STAGES: Readonly<Record<string, () => Promise<Stage>>> = {
  "Deno KV": denoKv,
  JetStream: () => jetStream(1),
  "JetStream on three servers": () => jetStream(3),
};
