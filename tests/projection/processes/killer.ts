/**
 * A process that handles events, of which one ends it.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import {
  type CheckpointStore,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type Event,
  JetStreamCheckpoints,
  type KvTransaction,
  type Projection,
  projectOnce,
  runProjection,
  SqliteCheckpoints,
} from "../../../mod.ts";

/** What a killer process is told. */
export interface KillerOrder {
  readonly file: string;
  readonly backend: "Deno KV" | "SQLite" | "JetStream";
  readonly url?: string;
  readonly how: "exit" | "reject" | "loop";
  readonly call: "run" | "once";
  readonly then: "park" | "stop";
  readonly retries: number;
}

/** What a killer process says before the event that ends it. */
export const IN_HAND = "in hand";

async function checkpointsOf({ backend, file, url }: KillerOrder): Promise<CheckpointStore<unknown>> {
  if (backend === "SQLite") {
    const database = new DatabaseSync(`${file}.sqlite3`);
    database.exec("PRAGMA busy_timeout = 2000");
    return new SqliteCheckpoints(database);
  }
  return backend === "Deno KV"
    ? await DenoKvCheckpoints.open(`${file}.checkpoints`)
    : await JetStreamCheckpoints.open(url!);
}

/** The projection of a killer process. */
export async function killerOf(
  order: KillerOrder,
  calls: string[] = [],
): Promise<Projection<Event, unknown>> {
  const { how, then, retries } = order;
  return {
    name: "killer",
    checkpoints: await checkpointsOf(order),
    failure: { retries, firstDelay: 1, then, laterEvents: "go-on" },
    handlerTimeout: 500,
    handle: async ({ actorId, eventType }, context) => {
      calls.push(actorId);
      const transaction = context.transaction as KvTransaction & DatabaseSync | undefined;
      if (order.backend === "Deno KV") transaction?.set(["handled", actorId], true);
      if (eventType !== "Bad") return;
      Deno.stdout.writeSync(new TextEncoder().encode(`${IN_HAND}\n`));
      if (how === "exit") Deno.exit(9);
      if (how === "loop") { for (;;); }
      void Promise.reject(new Error("not caught"));
      await new Promise((resolve) => setTimeout(resolve, 200));
    },
  };
}

if (import.meta.main) {
  const order = JSON.parse(Deno.args[0]!) as KillerOrder;
  const store = await DenoKvEventStore.open(order.file);
  const calls: string[] = [];
  const projection = await killerOf(order, calls);
  const say = (word: string): void => {
    console.log(`${word} ${calls.join()}`);
    Deno.exit(0);
  };
  const quiet = { onWarning: () => {} };
  try {
    if (order.call === "once") {
      await projectOnce(store, projection, { budgetMs: 10_000, ...quiet });
    } else {
      const run = runProjection(store, projection, { leaseTtl: 2_000, ...quiet });
      await Promise.race([run.waitFor((await store.getLastPosition())!), run.finished]);
    }
  } catch (error) {
    const { name, cause } = error as Error & { readonly cause?: Error };
    say(`${name}/${cause?.name}`);
  }
  say("done");
}
