/**
 * Scenes: what takes more than one call, held against the model.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  AetherError,
  CommitTooLargeError,
  EventTooLargeError,
  StoreClosedError,
  type StoredEvent,
  VersionConflictError,
} from "@flowmade-one/aether";
import type { StoreUnderTest } from "@flowmade-one/aether/testing";
import { assertEvents } from "../../src/testing/cases/agreement.ts";
import { allOf } from "../../src/testing/support.ts";
import type { Call } from "./call.ts";
import { CALLS } from "./calls.ts";
import { make } from "./hostile.ts";
import { assertFrozen } from "./hostile_call.ts";
import { copied, followed, positions } from "./log_scenes.ts";
import { append, appending, type Of, type Stage } from "./stage.ts";
import type { Scene } from "./steps.ts";

/** Plays a scene. */
export async function play(scene: Scene, stage: Stage): Promise<void> {
  switch (scene.kind) {
    case "concurrent":
      return await concurrent(scene, stage);
    case "mutated":
      return await mutated(scene, stage);
    case "left":
      return await left(scene, stage);
    case "aborted":
      return await aborted(scene, stage);
    case "large":
      return await large(scene, stage);
    case "positions":
      return await positions(scene, stage);
    case "followed":
      return await followed(scene, stage);
    case "copied":
      return await copied(scene, stage);
    case "closed":
      return await closed(scene, stage);
    case "opened":
      return await opened(scene, stage);
  }
}

/** Of several appends at one version, exactly one is stored; the log has them in the order of their positions. */
async function concurrent(
  { writers }: Of<"concurrent">,
  { stores, reference, number }: Stage,
): Promise<void> {
  const attempts = writers.map(({ actor, on }, index) => ({
    actor,
    store: stores[on]!,
    ...appending(reference, actor, number + index),
  }));
  const begun = attempts.map(({ store, actor, event, options }) => store.append(actor, [event], options));
  const outcomes = await Promise.allSettled(begun);
  const won = attempts.flatMap((attempt, index) => {
    const outcome = outcomes[index]!;
    if (outcome.status === "fulfilled") return [{ attempt, stored: outcome.value }];
    const { reason } = outcome;
    assert(reason instanceof VersionConflictError, `a rival is refused with ${String(reason)}`);
    assert.equal(reason.currentVersion, reference.latest(attempt.actor) + 1);
    return [];
  });
  assert.deepEqual(
    won.map(({ attempt }) => attempt.actor).toSorted(),
    [...new Set(writers.map(({ actor }) => actor))].toSorted(),
    "the winners, one an actor",
  );
  won.sort((a, b) => a.stored[0]!.position < b.stored[0]!.position ? -1 : 1);
  for (const { attempt: { actor, event, options }, stored } of won) {
    const verdict = reference.append(actor, [event], options.expectedVersion, options.fencingToken);
    assertEvents(stored, verdict.stored ?? []);
  }
}

/** What is passed in may be changed as soon as the call has begun, and changes nothing. */
async function mutated(
  { actor, on, json }: Of<"mutated">,
  { stores, reference, number }: Stage,
): Promise<void> {
  const { event, options } = appending(reference, actor, number, { json, list: [1] });
  const kept = structuredClone(event);
  const list = [event];
  const saving = stores[on]!.append(actor, list, options);
  const data = event.data as { json: unknown; list: unknown[] };
  data.list.push("later");
  data.json = "changed";
  event.id = "changed";
  list.push(event);
  options.expectedVersion = 77;
  const stored = await saving;
  data.list.push("even later");
  const expected = reference.latest(actor);
  const verdict = reference.append(actor, [kept], expected, options.fencingToken);
  assertEvents(stored, verdict.stored ?? []);
  assertFrozen(stored[0]);
  assert.deepEqual(await stores[1 - on]!.getEvents(actor, expected + 1), stored);
}

/** An iteration that is left early, asked several times at once, and asked again after it has ended. */
async function left({ on, read, taken }: Of<"left">, { stores, reference }: Stage): Promise<void> {
  const store = stores[on]!;
  const iterable: AsyncIterable<unknown> = read === "readAll"
    ? store.readAll()
    : read === "readEvents"
    ? store.readEvents("a")
    : store.listActors();
  const iterator = iterable[Symbol.asyncIterator]();
  const results = await allOf(Array.from({ length: taken }, () => iterator.next()));
  const items = results.filter(({ done }) => !done).map(({ value }) => value);
  const source = read === "readAll"
    ? reference.log
    : read === "readEvents"
    ? reference.events("a")
    : reference.actorIds;
  assert.equal(items.length, Math.min(taken, source.length));
  if (read !== "listActors") {
    assertEvents(items as StoredEvent[], (source as typeof reference.log).slice(0, taken));
  }
  await iterator.return?.();
  await iterator.return?.();
  assert.equal((await iterator.next()).done, true);
}

/** A signal that fires before the call, or while it runs: nothing is stored, or the call has succeeded. */
async function aborted(
  { on, method, when }: Of<"aborted">,
  { stores, reference, number }: Stage,
): Promise<void> {
  const call: Call = CALLS[method];
  if (!("options.signal" in call.places)) return;
  const controller = new AbortController();
  const reason = { because: "the test says so" };
  const args = call.sound(reference, "a", number);
  args["options"].signal = controller.signal;
  args["expected"] = reference.log.length + 1; // more than there is: only the signal ends it
  if (when === 0) controller.abort(reason);
  const running = call.run(stores[on]!, args).then((result) => ({ result }), (error: unknown) => ({ error }));
  if (when === 2) await Promise.resolve();
  if (when === 3) await new Promise((resolve) => setTimeout(resolve, 0));
  controller.abort(reason);
  const outcome = await running;
  if ("error" in outcome) {
    assert.equal(outcome.error, reason, `${method} is refused with ${String(outcome.error)}`);
    return;
  }
  assert.notEqual(when, 0, `${method} goes on with a signal that has fired`);
  const verdict = call.save?.(reference, call.sound(reference, "a", number));
  if (verdict) assertEvents(outcome.result as StoredEvent[], verdict.stored ?? []);
  else call.check?.(reference, args, outcome.result);
}

/** More than any event's fields take beside its data. */
const ENVELOPE = 1_024;

/** An event about as large as the limit. */
async function large(
  { on, actor, over, filler }: Of<"large">,
  { stores, reference, number }: Stage,
): Promise<void> {
  const store = stores[on]!;
  const limit = Math.min(store.limits.bytesPerEvent, store.limits.bytesPerCommit);
  const each = new TextEncoder().encode(JSON.stringify(filler)).length - 2;
  const data = filler.repeat(Math.max(0, Math.ceil((limit + over) / each)));
  const { event, options } = appending(reference, actor, number, data);
  const outcome = await store.append(actor, [event], options).then(
    (stored) => ({ stored }),
    (error: unknown) => ({ error }),
  );
  if ("error" in outcome) {
    const { error } = outcome;
    assert(error instanceof EventTooLargeError || error instanceof CommitTooLargeError, String(error));
    assert(over > -ENVELOPE - each * 2, `it is refused at ${over} bytes from the limit`);
    return;
  }
  assert(over < 0, `it is taken at ${over} bytes over the limit`);
  reference.append(actor, [event], options.expectedVersion, options.fencingToken);
  assert.deepEqual(await stores[1 - on]!.getEvents(actor, options.expectedVersion + 1), outcome.stored);
}

/** A store that is closed finishes what has begun, and refuses what comes. */
async function closed({ calls }: Of<"closed">, { open, reference, number }: Stage): Promise<void> {
  const store = await open({});
  const saving = append(store, reference, "a", number);
  const closing = [store.close(), store.close()];
  await allOf([saving, ...closing]);
  for (const method of calls) {
    const call: Call = CALLS[method];
    const outcome = await call.run(store, { ...call.sound(reference, "a", number + 1), expected: 1 }).then(
      () => "goes through",
      (error: unknown) => error,
    );
    assert(outcome instanceof StoreClosedError, `${method} on a closed store: ${String(outcome)}`);
  }
}

/** A store that is opened with an option that may not belong there, and used if it opens. */
async function opened({ option, value }: Of<"opened">, { open, reference, number }: Stage): Promise<void> {
  const store = await open({ [option]: make(value) }).catch((error: unknown) => error);
  if (store instanceof Error || typeof store !== "object") {
    assert(store instanceof AetherError, `${option}: ${String(store)}`);
    return;
  }
  if (option === "namespace") return;
  const { event, options } = appending(reference, "a", number);
  const { id: _, ...anonymous } = event;
  const outcome = await (store as StoreUnderTest).append("a", [anonymous], options).then(
    (stored) => ({ stored }),
    (error: unknown) => ({ error }),
  );
  if ("error" in outcome) assert(outcome.error instanceof AetherError, `${option}: ${String(outcome.error)}`);
  else {
    const { stored } = reference.append("a", [anonymous], options.expectedVersion, options.fencingToken);
    assertEvents(outcome.stored, stored ?? []);
  }
}
