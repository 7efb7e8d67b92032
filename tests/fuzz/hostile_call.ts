/**
 * One call with one value in a place where it may not belong, held against the model.
 *
 * @module
 */

import assert from "node:assert/strict";
import { AetherError, type StoredEvent } from "@flowmade-one/aether";
import type { StoreUnderTest } from "@flowmade-one/aether/testing";
import { agree, assertEvents } from "../../src/testing/cases/agreement.ts";
import type { ReferenceStore } from "../../src/testing/cases/reference.ts";
import type { Call } from "./call.ts";
import { put } from "./door_call.ts";
import { CALLS, type Method } from "./calls.ts";
import { filtered } from "./reads.ts";
import { make, type Recipe } from "./hostile.ts";
import { judge, type Kind } from "./judge.ts";

/** A call to be made. */
export interface HostileCall {
  /** The method. */
  readonly method: Method;
  /** Which of the method's places. */
  readonly place: number;
  /** What to put there. */
  readonly value: Recipe;
  /** The actor that it is about. */
  readonly actor: string;
}

/**
 * Makes the call.
 *
 * @param number Names what is stored; no other call has it, nor the one after it.
 * @param other Another store over the same backend, which must read what this one stored.
 */
export async function callWith(
  { method, place, value: recipe, actor: drawn }: HostileCall,
  [store, other]: readonly [StoreUnderTest, StoreUnderTest],
  reference: ReferenceStore,
  number: number,
): Promise<void> {
  const call: Call = CALLS[method];
  const places = Object.entries(call.places);
  const [path, kind] = places[place % places.length]!;
  const value = make(recipe);
  const judgement = judge(kind, value, recipe);
  // Nothing follows the last version: other steps keep to actors that can go on.
  const actor = value === Number.MAX_SAFE_INTEGER && kind.includes("version") ? "at the last version" : drawn;
  const args = call.sound(reference, actor, number);
  // The model is given what the store should make of it, and the store a value of its own.
  const understood = call.sound(reference, actor, number);
  if (judgement !== "bad") put(understood, path, understoodAs(kind, value), kind === "member");
  // A subscription to the history ends after this many.
  if (method === "subscribe") {
    args["expected"] = judgement === "good" ? filtered(reference, understood).length : 0;
  }
  put(args, path, value);
  const what = `${method} with ${JSON.stringify(recipe).slice(0, 200)} as ${path}`;
  if (judgement === "good" && call.save) {
    const stored: StoredEvent[] = [];
    await agree(async () => {
      const events = await call.run(store, args) as readonly StoredEvent[];
      stored.push(...events);
      return events;
    }, call.save(reference, understood));
    await readBack(other, stored);
    return;
  }
  const outcome = await call.run(store, args).then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );
  if ("error" in outcome) {
    if (outcome.error instanceof AetherError && judgement !== "good") return;
    // What the caller's own function throws, passes: also where it is a class, or a proxy that was revoked.
    if (typeof value === "function" && (kind === "function" || kind === "optional function")) {
      // An evolve that throws may do so over what has just been stored.
      const stored = await other.getLatestVersion(actor) > reference.latest(actor);
      if (stored) call.save?.(reference, understood);
      return;
    }
    throw new Error(`${what} is refused with ${String(outcome.error)}, and is ${judgement}`, {
      cause: outcome.error,
    });
  }
  assert.notEqual(judgement, "bad", `${what} is taken`);
  if (call.save) {
    const stored = outcome.result as readonly StoredEvent[];
    if (kind === "events" || stored.length === 0) assert.deepEqual(stored, [], what);
    else assertEvents(stored, call.save(reference, understood).stored ?? []);
    await readBack(other, stored);
  } else call.check?.(reference, understood, outcome.result);
}

/** What the other store reads is, in every field, what this one answered. */
async function readBack(other: StoreUnderTest, stored: readonly StoredEvent[]): Promise<void> {
  for (const event of stored) {
    assertFrozen(event);
    const [read] = await other.getEvents(event.actorId, event.version);
    assert.deepEqual(read, event, "it is not read as it was answered");
    assertFrozen(read);
  }
}

/** Nobody can change what was handed out. */
export function assertFrozen(value: unknown): void {
  const pending = [value];
  for (let item = pending.pop(); item !== undefined; item = pending.pop()) {
    if (typeof item !== "object" || item === null) continue;
    assert(Object.isFrozen(item), "a part of an event is not frozen");
    pending.push(...Object.values(item).filter((part) => part !== undefined));
  }
}

/** What a store keeps of a value that it takes. */
function understoodAs(kind: Kind, value: unknown): unknown {
  switch (kind) {
    case "data":
    case "member":
      return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
    case "options":
      return undefined;
    default:
      return value;
  }
}
