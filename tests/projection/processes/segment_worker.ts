/**
 * A process that works on segments: `deno run ... segment_worker.ts ORDER`. It prints a line whenever what it does changes.
 *
 * @module
 */

import postgres, { type TransactionSql } from "postgres";
import {
  DenoKvCheckpoints,
  DenoKvEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  type KvTransaction,
  PostgresCheckpoints,
  type Projection,
  type ProjectionRun,
  runProjection,
} from "../../../mod.ts";
import type { Counted } from "../support.ts";

/** What it does. */
export interface SegmentOrder {
  /** Where the read model is in Deno KV; the events too, if there is no NATS server. */
  readonly file: string;
  /** Where events and leases are in NATS. */
  readonly url?: string;
  /** Where the read model is in PostgreSQL. */
  readonly postgres?: string;
  /** In how many segments; one worker has all events without. */
  readonly segments?: number;
  /** How long a handler waits that does nothing else, with checkpoints in NATS, in milliseconds. */
  readonly wait?: number;
}

/** The table of the read model in PostgreSQL: every time that an event was handled, in order. */
export const HANDLED_TABLE = "CREATE TABLE handled (n BIGSERIAL PRIMARY KEY, actor TEXT, position TEXT)";

const HANDLED = { name: "handled", checkpointInterval: 50 };

/** Notes in Deno KV what was handled, and in which order: each time under a key of its own, so that no value grows. */
async function inKv(file: string): Promise<Projection<Counted, KvTransaction>> {
  return {
    ...HANDLED,
    checkpoints: await DenoKvCheckpoints.open(file),
    handle: async ({ actorId, position }, { transaction }) => {
      const times = await transaction.get<number>(["times", actorId]) ?? 0;
      transaction.set(["handled", actorId, times], position);
      transaction.set(["times", actorId], times + 1);
    },
  };
}

/** The same in PostgreSQL. */
async function inPostgres(url: string): Promise<Projection<Counted, TransactionSql>> {
  return {
    ...HANDLED,
    checkpoints: await PostgresCheckpoints.open(postgres(url, { max: 8, onnotice: () => {} })),
    handle: async ({ actorId, position }, { transaction }) => {
      await transaction`INSERT INTO handled (actor, position) VALUES (${actorId}, ${position})`;
    },
  };
}

async function start(order: SegmentOrder): Promise<ProjectionRun> {
  const { file, url, segments, wait } = order;
  const divided = { ...(segments !== undefined && { segments }) };
  const options = { leaseTtl: 2_000, onWarning: (): void => {} };
  if (url === undefined) {
    const store = await DenoKvEventStore.open<Counted>(file, { pollInterval: 20 });
    return runProjection(store, { ...await inKv(file), ...divided }, options);
  }
  const store = await JetStreamEventStore.open<Counted>(url);
  if (wait !== undefined) {
    return runProjection(store, {
      name: "waiting",
      checkpoints: await JetStreamCheckpoints.open(url),
      ...divided,
      handle: () => new Promise((resolve) => setTimeout(resolve, wait)),
    }, options);
  }
  if (order.postgres !== undefined) {
    const leases = await JetStreamLeases.open(url);
    return runProjection(store, { ...await inPostgres(order.postgres), ...divided }, { ...options, leases });
  }
  return runProjection(
    store,
    { ...notedOutside(file, await JetStreamCheckpoints.open(url)), ...divided },
    options,
  );
}

/** Notes outside of the transaction what was handled, with checkpoints in NATS: at least once. */
function notedOutside(file: string, checkpoints: JetStreamCheckpoints): Projection<Counted> {
  const opening = Deno.openKv(file);
  return {
    ...HANDLED,
    checkpoints,
    handle: async ({ actorId, position }) => {
      const kv = await opening;
      const { value, versionstamp } = await kv.get<number>(["times", actorId]);
      const noted = await kv.atomic()
        .check({ key: ["times", actorId], versionstamp })
        .set(["handled", actorId, value ?? 0], position)
        .set(["times", actorId], (value ?? 0) + 1)
        .commit();
      if (!noted.ok) throw new Error("another process notes an event of the actor at this moment");
    },
    failure: { retries: 1_000, firstDelay: 1, longestDelay: 20 },
  };
}

if (import.meta.main) {
  const run = await start(JSON.parse(Deno.args[0]!) as SegmentOrder);
  Deno.addSignalListener("SIGTERM", async () => {
    await run.close();
    Deno.exit(0);
  });
  let state = "";
  setInterval(() => {
    if (run.state === state) return;
    state = run.state;
    console.log(state);
  }, 10);
  try {
    await run.finished;
  } catch (error) {
    // Another process has changed the number of segments: it is started again with that.
    console.error((error as Error).message);
    Deno.exit(1);
  }
}
