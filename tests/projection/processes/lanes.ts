/**
 * A process that runs a projection with lanes until all is handled, or until it is killed.
 *
 * One argument: a {@linkcode LanesOrder} as JSON. It prints "begun" and "done".
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import {
  DenoKvCheckpoints,
  DenoKvEventStore,
  InMemoryLeases,
  type KvTransaction,
  type Projection,
  runProjection,
  SqliteCheckpoints,
  type StoredEvent,
} from "../../../mod.ts";
import { Window } from "../../../src/projection/window.ts";

/** What a process is to do. */
export interface LanesOrder {
  readonly backend: "Deno KV" | "SQLite";
  /** The database of the events, and of the read model in Deno KV. */
  readonly file: string;
  /** The database of the read model in SQLite. */
  readonly sqlite: string;
  readonly lanes: number;
  /** A fault that the checker must find. */
  readonly variant?: Variant | undefined;
}

/** A checkpoint past events that are not done, a key whose events are not in order, writes outside of the transaction. */
export type Variant = "past-unfinished" | "order-lost" | "outside";

/** Events of this actor take long, so that others are done before them. */
export const SLOW_ACTOR = "slow";

if (import.meta.main) await work(JSON.parse(Deno.args[0]!));

async function work(order: LanesOrder): Promise<void> {
  const { file, lanes, variant } = order;
  if (variant === "past-unfinished") breakWindow();
  await using store = await DenoKvEventStore.open(file, { pollInterval: 5 });
  await using stack = new AsyncDisposableStack();
  const projection = {
    name: "lanes",
    lanes,
    checkpointInterval: 20,
    failure: { retries: 1_000, firstDelay: 2, longestDelay: 20 },
    ...(variant === "order-lost" && { key: ({ id }: StoredEvent) => id }),
  };
  const options = { leases: new InMemoryLeases(), onWarning: (): void => {} };
  const run = order.backend === "Deno KV"
    ? runProjection(store, { ...projection, ...await inKv(order, stack) }, options)
    : runProjection(store, { ...projection, ...inSqlite(order, stack) }, options);
  console.log("begun");
  await run.waitFor((await store.getLastPosition())!, { timeout: 300_000 });
  await run.close();
  console.log("done");
}

/** Mostly at once, now and then later, and now and then in vain. */
async function dwell({ actorId }: StoredEvent): Promise<void> {
  if (actorId === SLOW_ACTOR) await pause(150);
  else if (Math.random() < 0.8) await pause(Math.random() * 3);
  if (Math.random() < 0.02) throw new Error("now and then");
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}

type InKv = Pick<Projection<never, KvTransaction>, "checkpoints" | "handle">;

async function inKv({ file, variant }: LanesOrder, stack: AsyncDisposableStack): Promise<InKv> {
  const kv = stack.adopt(await Deno.openKv(file), (kv) => kv.close());
  const outside = {
    get: async (key: Deno.KvKey) => (await kv.get(key)).value,
    set: (key: Deno.KvKey, value: unknown) => void kv.set(key, value).catch(() => {}),
  } as unknown as KvTransaction;
  return {
    checkpoints: stack.use(await DenoKvCheckpoints.open(kv)),
    handle: async (event: StoredEvent, context) => {
      const transaction = variant === "outside" ? outside : context.transaction;
      const { actorId, version } = event;
      const seen = await transaction.get<number>(["seen", actorId, version]) ?? 0;
      const last = await transaction.get<number>(["last", actorId]) ?? 0;
      transaction.set(["seen", actorId, version], seen + 1);
      if (last !== version - 1) transaction.set(["disorder", actorId, version], last);
      await dwell(event);
      transaction.set(["last", actorId], version);
      // Handlers of different keys change the same one.
      if (version % 8 === 0) {
        transaction.set(["eighths"], (await transaction.get<number>(["eighths"]) ?? 0) + 1);
      }
    },
  };
}

type InSqlite = Pick<Projection<never, DatabaseSync>, "checkpoints" | "handle">;

function inSqlite({ sqlite, variant }: LanesOrder, stack: AsyncDisposableStack): InSqlite {
  const database = stack.adopt(new DatabaseSync(sqlite), (database) => database.close());
  const outside = stack.adopt(new DatabaseSync(sqlite), (database) => database.close());
  return {
    checkpoints: new SqliteCheckpoints(database),
    handle: async (event: StoredEvent, context) => {
      const { actorId, version } = event;
      if (version % 3 > 0) await dwell(event);
      const transaction = variant === "outside" ? outside : context.transaction;
      const row = transaction.prepare("SELECT version FROM last WHERE actor = ?").get(actorId);
      const last = (row as { version: number } | undefined)?.version ?? 0;
      transaction.prepare("INSERT INTO seen VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1")
        .run(actorId, version);
      if (last !== version - 1) {
        transaction.prepare("INSERT INTO disorder VALUES (?, ?)").run(actorId, version);
      }
      if (version % 3 === 0) await dwell(event); // with the transaction in hand
      transaction.prepare("INSERT INTO last VALUES (?1, ?2) ON CONFLICT DO UPDATE SET version = ?2")
        .run(actorId, version);
    },
  };
}

/** The place up to which all is done is taken for that of the event that was done last. */
function breakWindow(): void {
  const { finish } = Window.prototype;
  Window.prototype.finish = function (this: Window, place): string | undefined {
    finish.call(this, place);
    return place.position;
  };
}
