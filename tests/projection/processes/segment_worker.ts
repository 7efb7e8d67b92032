/**
 * A process that works on segments: `deno run ... segment_worker.ts ORDER`. It prints a line whenever what it does changes.
 *
 * @module
 */

import {
  DenoKvCheckpoints,
  DenoKvEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
  type KvTransaction,
  type Projection,
  runProjection,
} from "../../../mod.ts";
import type { Counted } from "../support.ts";

/** What it does. */
export interface SegmentOrder {
  /** Where events and read model are in Deno KV. */
  readonly file: string;
  /** Where events and checkpoints are in NATS: the handler then only waits. */
  readonly url?: string;
  /** In how many segments; one worker has all events without. */
  readonly segments?: number;
  /** How long a handler waits, in milliseconds. */
  readonly wait?: number;
}

/** An entry of the read model: every time that an event was handled, in the order of its actor's. */
export interface HandledEntry {
  readonly positions: readonly string[];
}

/** The projection whose read model shows what was handled, and in which order. */
export function handledEvents(
  checkpoints: DenoKvCheckpoints,
  segments: number,
): Projection<Counted, KvTransaction> {
  return {
    name: "handled",
    checkpoints,
    segments,
    checkpointInterval: 50,
    handle: async ({ actorId, position }, { transaction }) => {
      const key = ["handled", actorId];
      const { positions } = await transaction.get<HandledEntry>(key) ?? { positions: [] };
      transaction.set(key, { positions: [...positions, position] });
    },
  };
}

if (import.meta.main) {
  const { file, url, segments, wait } = JSON.parse(Deno.args[0]!) as SegmentOrder;
  const options = { leaseTtl: 2_000, onWarning: (): void => {} };
  const run = url === undefined
    ? runProjection(
      await DenoKvEventStore.open<Counted>(file, { pollInterval: 20 }),
      handledEvents(await DenoKvCheckpoints.open(file), segments!),
      options,
    )
    : runProjection(await JetStreamEventStore.open<Counted>(url), {
      name: "waiting",
      checkpoints: await JetStreamCheckpoints.open(url),
      ...(segments !== undefined && { segments }),
      handle: () => new Promise((resolve) => setTimeout(resolve, wait)),
    }, options);
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
