/**
 * Scenes about the log: positions that were tampered with, and subscriptions.
 *
 * @module
 */

import assert from "node:assert/strict";
import { copyEvents, InMemoryEventStore, InvalidPositionError, type StoredEvent } from "@flowmade-one/aether";
import { assertEvents } from "../../src/testing/cases/agreement.ts";
import { all, wholeLog } from "../../src/testing/support.ts";
import { uncounted } from "./observed.ts";
import { append, type Of, type Stage } from "./stage.ts";

/** A position that was tampered with is refused, or is a place in this log all the same. */
export async function positions({ on, index, edit }: Of<"positions">, { stores }: Stage): Promise<void> {
  const store = stores[on]!;
  const log = await wholeLog(store);
  const sound = log.length === 0 ? "000000000000-0000" : log[index % log.length]!.position;
  const at = edit.at % (sound.length + 1);
  const after = sound.slice(0, at) + edit.insert + sound.slice(at + edit.remove);
  const read = await all(() => store.readAll({ after })).then(
    (events) => ({ events }),
    (error: unknown) => ({ error }),
  );
  if ("error" in read) {
    assert(
      read.error instanceof InvalidPositionError,
      `after ${JSON.stringify(after)}: ${String(read.error)}`,
    );
    assert(!log.some(({ position }) => position === after), "a position of the log is refused");
    const last = log.at(-1)?.position ?? "";
    const verified = await store.verify({ expectedPosition: after }).then(
      ({ ok }) => ok,
      (error: unknown) => error,
    );
    if (typeof verified !== "boolean") assert(verified instanceof InvalidPositionError, String(verified));
    else assert.equal(verified, after <= last, `verify with ${JSON.stringify(after)} expected`);
  } else assert.deepEqual(read.events, log.filter(({ position }) => position > after));
  await using subscription = store.subscribe({ after });
  const ready = await subscription.ready.then(() => true, (error: unknown) => error);
  if (ready !== true) assert(ready instanceof InvalidPositionError, String(ready));
  assert.equal(ready === true, !("error" in read), "readAll and subscribe do not agree on a position");
}

/** A subscription delivers what is stored, and then what comes, once and in order. */
export async function followed(
  { on, after, writes, prefix }: Of<"followed">,
  { stores, reference, number }: Stage,
): Promise<void> {
  const store = stores[on]!;
  const log = await wholeLog(store);
  const begin = Math.min(after, log.length);
  const position = log[begin - 1]?.position;
  await using subscription = store.subscribe({ after: position ?? "start", actorPrefix: prefix });
  for (let write = 0; write < writes; write++) {
    await append(stores[1 - on]!, reference, write % 2 ? "a.b" : "\u20ac", number + write);
  }
  const expected = reference.log.slice(begin).filter(({ actorId }) => actorId.startsWith(prefix));
  const delivered: StoredEvent[] = [];
  const iterator = subscription[Symbol.asyncIterator]();
  while (delivered.length < expected.length) {
    const { value, done } = await iterator.next();
    assert(!done, "a subscription ends by itself");
    delivered.push(value);
  }
  assertEvents(delivered, expected);
  await subscription.close();
  assert.equal((await iterator.next()).done, true);
}

/** The whole log is copied into another store as it is, and a second time nothing is left to copy. */
export async function copied({ on }: Of<"copied">, { stores, reference }: Stage): Promise<void> {
  const store = stores[on]!;
  await using target = new InMemoryEventStore();
  const { events, copied } = await copyEvents(uncounted(store), target);
  assert.deepEqual([events, copied], [reference.log.length, reference.log.length]);
  const placeless = (log: readonly StoredEvent[]): unknown[] => log.map(({ position: _, ...event }) => event);
  assert.deepEqual(placeless(await wholeLog(target)), placeless(await wholeLog(store)));
  assert.equal((await copyEvents(uncounted(store), target)).copied, 0);
}
