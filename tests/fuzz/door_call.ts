/**
 * One pass through a door with one value in a place where it may not belong.
 *
 * @module
 */

import assert from "node:assert/strict";
import { AetherError } from "@flowmade-one/aether";
import type { Arguments } from "./call.ts";
import { type Door, type DoorName, DOORS } from "./doors.ts";
import { make, type Recipe } from "./hostile.ts";
import { judge } from "./judge.ts";

/** A pass to be made. */
export interface DoorCall {
  /** The door. */
  readonly door: DoorName;
  /** Which of its places. */
  readonly place: number;
  /** What to put there. */
  readonly value: Recipe;
}

/** Makes it. */
export async function passThrough({ door: name, place, value: recipe }: DoorCall): Promise<void> {
  const door: Door = DOORS[name];
  const places = Object.entries(door.places);
  const [path, kind] = places[place % places.length]!;
  const value = make(recipe);
  const judgement = kind === undefined ? "either" : judge(kind, value, recipe);
  const args = door.sound();
  put(args, path, value);
  const what = `${name} with ${JSON.stringify(recipe).slice(0, 200)} as ${path}`;
  const outcome = await door.run(args).then(() => "through", (error: unknown) => error);
  if (outcome === "through") {
    assert.notEqual(judgement, "bad", `${what} is taken`);
    return;
  }
  // What the caller's own function throws, passes.
  if (typeof value === "function" && judgement === "either") return;
  assert(outcome instanceof AetherError, `${what} is refused with ${String(outcome)}`);
  assert.notEqual(judgement, "good", `${what} is refused: ${outcome}`);
}

/** Puts a value into a place of arguments. */
export function put(args: Arguments, path: string, value: unknown, leaveOut = false): void {
  const steps = path.split(".");
  const last = steps.pop()!;
  const target = steps.reduce((object, step) => object[step], args);
  if (leaveOut && value === undefined) delete target[last];
  else target[last] = value;
}
