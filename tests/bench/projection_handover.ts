/**
 * How soon the segments of a process that is closed are worked on by another one.
 *
 * @module
 */

import {
  type CheckpointStore,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryStorage,
  JetStreamCheckpoints,
  JetStreamEventStore,
  runProjection,
} from "../../mod.ts";
import { until } from "../projection/support.ts";
import type { Row } from "./harness.ts";

/** What a process has: a store and checkpoints of its own, of the same log. */
interface Side {
  readonly store: EventStore;
  readonly checkpoints: CheckpointStore<unknown>;
}

/** Opens what a process has; it is closed with the stack. */
type Opens = (resources: AsyncDisposableStack) => Promise<Side>;

/** The promise, in milliseconds. */
const PROMISED = 200;
const SEGMENTS = 8;
const ACTORS = Array.from({ length: 24 }, (_, index) => `actor-${index}`);

async function addOneEach(store: EventStore): Promise<void> {
  await Promise.all(
    ACTORS.map((actor) =>
      store.append(actor, [{ eventType: "Added", data: {} }], { expectedVersion: "any" })
    ),
  );
}

/** From the close of one of two processes until the other one has handled an event of each actor, in ms. */
async function handedOver(name: string, open: Opens): Promise<number> {
  await using resources = new AsyncDisposableStack();
  const [here, there] = [await open(resources), await open(resources)];
  let handled = 0;
  const handle = (): void => void handled++;
  const projection = { name, segments: SEGMENTS, handle };
  const first = runProjection(here.store, { ...projection, checkpoints: here.checkpoints });
  await using second = runProjection(there.store, { ...projection, checkpoints: there.checkpoints });
  const owners = async (): Promise<number> => {
    const records = (await there.checkpoints.list()).map(({ id, value }) => ({ id, ...JSON.parse(value) }));
    const own = records.filter(({ id, layout, owner }) => id?.name.startsWith(name) && !layout && owner);
    return own.length === SEGMENTS ? new Set(own.map(({ owner }) => owner.id)).size : 0;
  };
  await addOneEach(here.store);
  await until("both have segments", async () => await owners() === 2);
  await second.waitFor((await there.store.getLastPosition())!);
  handled = 0;
  const begun = performance.now();
  const closing = first.close();
  await addOneEach(there.store);
  await until("the other one handles all", () => handled === ACTORS.length);
  const took = performance.now() - begun;
  await closing;
  return took;
}

let names = 0;

function row(name: string, open: Opens): Row {
  return {
    name: `segments-handover-${name}`,
    unit: "ms",
    goal: { op: "<=", value: 1 },
    baseline:
      `the promise: from the close of a process until another one has handled an event of each of ${ACTORS.length} actors`,
    measureOurs: () => handedOver(`handover ${names++}`, open),
    measureBaseline: () => Promise.resolve(PROMISED),
    rounds: 7,
  };
}

/** The rows, on each store. */
export function handoverRows({ file, url }: { readonly file: string; readonly url: string }): readonly Row[] {
  return [
    row("memory", memory()),
    row("deno-kv", async (resources) => ({
      store: resources.use(await DenoKvEventStore.open(file, { namespace: "handover" })),
      checkpoints: resources.use(await DenoKvCheckpoints.open(file, { namespace: "handover" })),
    })),
    row("jetstream", async (resources) => ({
      store: resources.use(await JetStreamEventStore.open(url, { namespace: "handover" })),
      checkpoints: resources.use(await JetStreamCheckpoints.open(url)),
    })),
  ];
}

/** Both runs share what is in memory. */
function memory(): Opens {
  const storage = new InMemoryStorage();
  const checkpoints = new InMemoryCheckpoints();
  return (resources) =>
    Promise.resolve({ store: resources.use(new InMemoryEventStore({ storage })), checkpoints });
}
