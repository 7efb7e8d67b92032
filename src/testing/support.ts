/**
 * Small tools of the conformance cases.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { EventInput, NewEvent, StoredEvent } from "../event/types.ts";
import type { EventStore, SnapshotStore } from "../store/types.ts";
import type { CaseContext } from "./context.ts";
import type { StoreUnderTest } from "./harness.ts";

/** An event to append. */
export function happened(data: unknown = null, more: Partial<NewEvent> = {}): NewEvent {
  return { eventType: "Happened", data, ...more };
}

/** An event to save under a version. */
export function happenedTo(
  actorId: string,
  version: number,
  data: unknown = null,
  more: Partial<NewEvent> = {},
): EventInput {
  return { actorId, version, ...happened(data, more) };
}

/** Events with ids of their own, whose data count up from 1. */
export function counted(count: number, idPrefix: string): NewEvent[] {
  return Array.from({ length: count }, (_, index) => happened(index + 1, { id: `${idPrefix}-${index + 1}` }));
}

/** Saves `count` events of an actor that is new, one a commit; their data count up from 1. */
export async function history(store: EventStore, actorId: string, count: number): Promise<StoredEvent[]> {
  const stored: StoredEvent[] = [];
  for (let version = 1; version <= count; version++) {
    stored.push(...await store.append(actorId, [happened(version)], { expectedVersion: version - 1 }));
  }
  return stored;
}

/** All that an iteration hands out; also what it throws before it begins comes as a rejection. */
export async function all<T>(iterable: () => AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable()) items.push(item);
  return items;
}

/** The whole global log. */
export function wholeLog(store: EventStore): Promise<StoredEvent[]> {
  return all(() => store.readAll());
}

/** The data of events, in order. */
export function dataOf(events: readonly StoredEvent[]): unknown[] {
  return events.map(({ data }) => data);
}

/** The versions of events, in order. */
export function versionsOf(events: readonly StoredEvent[]): number[] {
  return events.map(({ version }) => version);
}

/** A class of errors. */
type ErrorClass<T extends Error> = abstract new (...args: never[]) => T;

/**
 * Asserts that an action rejects with an error of a class, with these fields, and returns the error.
 *
 * @param what Names the action in the failure.
 */
export async function refused<T extends Error>(
  action: () => unknown,
  errorClass: ErrorClass<T>,
  fields: Partial<T> = {},
  what = "the call",
): Promise<T> {
  let error: unknown;
  try {
    await action();
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) {
    assert.fail(`${what} resolves, and was to be refused with ${errorClass.name}`);
  }
  if (!(error instanceof errorClass)) {
    assert.fail(`${what} is refused with ${String(error)}, and was to be with ${errorClass.name}`);
  }
  assert.notEqual(error.message, "", `${what}: the error has no message`);
  for (const [field, expected] of Object.entries(fields)) {
    assert.deepEqual(error[field as keyof T], expected, `${what}: the field "${field}" of ${error.name}`);
  }
  return error;
}

/** Asserts that an action leaves the log and an actor as they were. */
export async function changesNothing(
  store: EventStore,
  actorIds: readonly string[],
  action: () => Promise<unknown>,
): Promise<void> {
  const look = async (): Promise<unknown> => ({
    lastPosition: await store.getLastPosition(),
    actors: await Promise.all(
      actorIds.map(async (id) => [await store.getLatestVersion(id), await store.getEvents(id)]),
    ),
  });
  const before = await look();
  await action();
  assert.deepEqual(await look(), before, "something was stored");
}

/** Waits for what must happen, with a bound. */
export async function within<T>(context: CaseContext, what: string, promise: Promise<T>): Promise<T> {
  const { patience } = context.effort;
  const late = Promise.withResolvers<never>();
  const fail = (): void =>
    late.reject(new assert.AssertionError({ message: `${what}: not within ${patience} ms` }));
  const timer = setTimeout(fail, patience);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A promise that is awaited later: until then, its failure is not reported. */
export function begun<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Waits for all, failed or not, and then fails as the first one that did. */
export async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

/** Takes the next `count` items, and leaves the iterator open. */
export function take<T>(
  context: CaseContext,
  iterator: AsyncIterator<T, unknown>,
  count: number,
): Promise<T[]> {
  return begun(takeAll(context, iterator, count));
}

async function takeAll<T>(
  context: CaseContext,
  iterator: AsyncIterator<T, unknown>,
  count: number,
): Promise<T[]> {
  const items: T[] = [];
  while (items.length < count) {
    const result = await within(context, `item ${items.length + 1} of ${count}`, iterator.next());
    if (result.done) assert.fail(`it ended after ${items.length} of ${count} items`);
    items.push(result.value);
  }
  return items;
}

/**
 * A position of the same log that it has not reached: a digit before those that count the last events is raised.
 * Positions are text of a fixed width that `<` orders, so this holds for every store.
 */
export function aheadOf(earlier: string, later: string): string {
  let index = 0;
  while (earlier[index] === later[index]) index++;
  for (index--; index >= 0; index--) {
    if (/[0-8]/.test(later[index]!)) return later.slice(0, index) + "9" + later.slice(index + 1);
  }
  assert.fail(`the positions ${earlier} and ${later} have no digit to raise`);
}

/** A store that keeps snapshots. */
export type SnapshottingStore = StoreUnderTest & SnapshotStore;

/** Asserts that a store keeps snapshots. */
export function snapshotting(store: StoreUnderTest): SnapshottingStore {
  assert(
    store.saveSnapshot && store.getLatestSnapshot && store.deleteSnapshots,
    'it is no SnapshotStore: declare that it lacks "snapshots"',
  );
  return store as SnapshottingStore;
}

/** Lets everything that is ready run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
