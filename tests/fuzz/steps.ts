/**
 * What a fuzzed history is made of: the steps of the model's own random histories, hostile calls, and scenes.
 *
 * @module
 */

import fc from "fast-check";
import { ACTORS, type Step, step } from "../../src/testing/cases/steps.ts";
import { CALLS, type Method } from "./calls.ts";
import { HOSTILE, type HostileName, type Recipe } from "./hostile.ts";
import { type Fault, FAULTS } from "./fault_steps.ts";
import type { DoorCall } from "./door_call.ts";
import { type DoorName, DOORS } from "./doors.ts";
import type { HostileCall } from "./hostile_call.ts";

/** Something that takes more than one call. */
export type Scene =
  | { readonly kind: "concurrent"; readonly writers: readonly { actor: string; on: number }[] }
  | { readonly kind: "mutated"; readonly actor: string; readonly on: number; readonly json: unknown }
  | {
    readonly kind: "left";
    readonly on: number;
    readonly read: "readAll" | "readEvents" | "listActors";
    taken: number;
  }
  | { readonly kind: "aborted"; readonly on: number; readonly method: Method; readonly when: number }
  | {
    readonly kind: "large";
    readonly on: number;
    readonly actor: string;
    readonly over: number;
    filler: string;
  }
  | { readonly kind: "positions"; readonly on: number; readonly index: number; readonly edit: Edit }
  | {
    readonly kind: "followed";
    readonly on: number;
    readonly after: number;
    readonly writes: number;
    prefix: string;
  }
  | { readonly kind: "copied"; readonly on: number }
  | { readonly kind: "closed"; readonly calls: readonly Method[] }
  | { readonly kind: "opened"; readonly option: string; readonly value: Recipe };

/** A change to a position's text. */
export interface Edit {
  /** Where. */
  readonly at: number;
  /** How many characters go. */
  readonly remove: number;
  /** What comes. */
  readonly insert: string;
}

/** A step of a fuzzed history. */
export type FuzzStep =
  | Step
  | { readonly kind: "door"; readonly on: number; readonly pass: DoorCall }
  | { readonly kind: "call"; readonly on: number; readonly call: HostileCall }
  | Fault
  | Scene;

const on = fc.nat({ max: 1 });
/** Actor ids that are sound and look as if they were not. */
const actor = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...ACTORS) },
  fc.constantFrom(
    "*",
    ">",
    "a.>",
    "..",
    "a.",
    ".a",
    "\0",
    "__proto__",
    "constructor",
    "=2E",
    "=-",
    "a\r\nb",
    "\u{1f600}",
  ),
  { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 8 }) },
);
/** Text of any code units, so that surrogates may stand alone. */
const text = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 0xffff }),
    fc.integer({ min: 0x20, max: 0x7e }),
    fc.integer({ min: 0xd800, max: 0xdfff }),
  ),
  { maxLength: 12 },
).map((units) => String.fromCharCode(...units));

const soundText = fc.string({ unit: "binary", maxLength: 12 });
const key = fc.oneof(soundText, fc.constantFrom("__proto__", "constructor", "toJSON", "length", "then", "0"));
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, "", 2 ** 53, 5e-324, 1.7976931348623157e308),
    soundText,
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => Object.is(value, -0) ? 0 : value),
    fc.array(tie("json"), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie("json")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
}));
const dress = fc.constantFrom(
  "plain" as const,
  "frozen" as const,
  "sealed" as const,
  "without prototype" as const,
  "getters" as const,
  "with undefined" as const,
);
const recipe: fc.Arbitrary<Recipe> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("hostile" as const),
      name: fc.constantFrom(...Object.keys(HOSTILE) as HostileName[]),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("text" as const), text }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("number" as const),
      number: fc.oneof(fc.double(), fc.integer()),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("json" as const), json, dress }) },
);
const method = fc.constantFrom(...Object.keys(CALLS) as Method[]);

const hostileCall = fc.record({
  kind: fc.constant("call" as const),
  on,
  call: fc.record({ method, place: fc.nat({ max: 50 }), value: recipe, actor }),
});

const doorCall = fc.record({
  kind: fc.constant("door" as const),
  on,
  pass: fc.record({
    door: fc.constantFrom(...Object.keys(DOORS) as DoorName[]),
    place: fc.nat({ max: 50 }),
    value: recipe,
  }),
});

const scene: fc.Arbitrary<Scene> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("concurrent" as const),
      writers: fc.array(fc.record({ actor, on }), { minLength: 2, maxLength: 10 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("mutated" as const), actor, on, json }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("left" as const),
      on,
      read: fc.constantFrom("readAll" as const, "readEvents" as const, "listActors" as const),
      taken: fc.nat({ max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("aborted" as const), on, method, when: fc.nat({ max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("large" as const),
      on,
      actor,
      over: fc.integer({ min: -1_200, max: 200 }),
      filler: fc.constantFrom("x", "\u20ac", '"', "\0"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("positions" as const),
      on,
      index: fc.nat({ max: 30 }),
      edit: fc.record({
        at: fc.nat({ max: 60 }),
        remove: fc.nat({ max: 2 }),
        insert: fc.oneof(fc.constantFrom("", "0", "1", "9", "a", "f", "-", "G", "\0"), text),
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("followed" as const),
      on,
      after: fc.nat({ max: 20 }),
      writes: fc.nat({ max: 3 }),
      prefix: fc.constantFrom("", "a", "a."),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("copied" as const), on }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("closed" as const), calls: fc.array(method, { maxLength: 5 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("opened" as const),
      option: fc.constantFrom("namespace", "bus", "events", "now", "newId", "onWarning"),
      value: recipe,
    }),
  },
);

/** Any step. */
export const fuzzStep: fc.Arbitrary<FuzzStep> = fc.oneof(
  { weight: 50, arbitrary: step },
  { weight: 100, arbitrary: hostileCall },
  { weight: 10, arbitrary: doorCall },
  { weight: 30, arbitrary: scene },
  { weight: 3, arbitrary: FAULTS.replaced },
  { weight: 3, arbitrary: FAULTS.restored },
  { weight: 3, arbitrary: FAULTS.damaged },
  { weight: 1, arbitrary: FAULTS.flushed }, // it starts a process
);
