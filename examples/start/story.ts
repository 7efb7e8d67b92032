/** `start`: the story of an order, which each run goes on with. */

import { type EventStore, execute, replay } from "@flowmade-one/aether/deno-kv";
import { type DataFolder, STORY_NAMESPACE } from "./data_folder.ts";
import { order, type OrderCommand, type OrderEvent } from "./order.ts";
import { formatPlural, formatTable, formatTime } from "./text.ts";

/** The number of the first order. */
const FIRST_ORDER = 123;

/** Runs one more chapter and returns the exit code. */
export async function runStory(folder: DataFolder): Promise<number> {
  await using store = await folder.open<OrderEvent>(STORY_NAMESPACE);
  console.log(`Events are kept in ${folder.path}, namespace "${STORY_NAMESPACE}".`);
  const before = await findLastOrder(store);
  if (before === undefined) console.log("It is empty: the story begins.\n");
  else {
    const { events } = await replay(store, actorOf(before), order);
    console.log(
      `It has events of an earlier run: going on behind ${actorOf(before)}, which has ${
        formatPlural(events, "event")
      }.\n`,
    );
    // What an earlier run began is brought to its end first, from the place where that run was stopped.
    await tell(store, before, shipment(before));
    await tell(store, before, { type: "deliver", signedBy: "R. Roe" });
  }
  const number = await placeNext(store, (before ?? FIRST_ORDER - 1) + 1);
  await tell(store, number, shipment(number));

  console.log();
  for (const each of before === undefined ? [number] : [before, number]) await showOrder(store, each);
  console.log(
    `\nRun it again to go on, or see a timeline: deno task start show ${actorOf(number)}${folder.argument}`,
  );
  return 0;
}

function actorOf(number: number): string {
  return `order-${number}`;
}

function shipment(number: number): OrderCommand {
  return { type: "ship", carrier: "FastShip", tracking: `FS${number}456` };
}

async function findLastOrder(store: EventStore<OrderEvent>): Promise<number | undefined> {
  let last: number | undefined;
  for await (const { actorId } of store.listActors({ actorPrefix: "order-" })) {
    last = Math.max(last ?? 0, Number(actorId.slice("order-".length)));
  }
  return last;
}

/** Places the next order: under the first number that no other process takes meanwhile. */
async function placeNext(store: EventStore<OrderEvent>, first: number): Promise<number> {
  for (let number = first;; number++) {
    if (await tell(store, number, { type: "place", total: 99.99, items: 3 })) return number;
  }
}

/** Executes a command and reports what came of it; false if nothing did. */
async function tell(store: EventStore<OrderEvent>, number: number, command: OrderCommand): Promise<boolean> {
  const { events } = await execute(store, actorOf(number), order, command);
  for (const { actorId, version, eventType, data } of events) {
    const details = Object.entries(data).map(([name, value]) => `${name} ${value}`).join(", ");
    console.log(`  saved  ${actorId}  version ${version}  ${eventType} (${details})`);
  }
  return events.length > 0;
}

async function showOrder(store: EventStore<OrderEvent>, number: number): Promise<void> {
  const { state, events } = await replay(store, actorOf(number), order);
  const [latest] = await Array.fromAsync(
    store.readEvents(actorOf(number), { direction: "backward", limit: 1 }),
  );
  console.log(`State of ${actorOf(number)} after replaying ${formatPlural(events, "event")}:`);
  console.log(formatTable([
    ["Status:", `${state.status}, since ${formatTime(latest!.timestamp)} UTC`],
    ["Total:", `$${state.total.toFixed(2)}`],
    ["Tracking:", state.tracking],
  ], "  "));
}
