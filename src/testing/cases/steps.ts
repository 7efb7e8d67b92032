/**
 * The steps of random histories.
 *
 * @module
 */

import fc from "fast-check";

/** Few actors, so that steps meet; one is a prefix of another, two differ by an escape. */
export const ACTORS = ["a", "a.b", "a b", "\u20ac"];

/** A step of a history. Versions are chosen relative to the latest one, so that most of them are near the edge. */
export type Step =
  & { readonly on: number }
  & (
    | {
      kind: "append";
      actor: string;
      count: number;
      expected: number | "any" | "exists";
      token: number | undefined;
      ids: boolean;
    }
    | { kind: "repeat"; earlier: number; token: number | undefined }
    | { kind: "save"; parts: { actor: string; ahead: number }[]; token: number | undefined }
    | { kind: "oversize"; actor: string; unit: "actors" | "events" }
    | { kind: "takeOver"; actor: string; token: number }
    | { kind: "read"; actor: string; from: number; to: number; limit: number | undefined; backward: boolean }
    | { kind: "readAll"; after: number; limit: number | undefined; prefix: string | undefined }
    | { kind: "snapshot"; actor: string; ahead: number }
    | { kind: "reopen" }
  );

const actor = fc.constantFrom(...ACTORS);
const token = fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined, freq: 3 });
const on = fc.nat({ max: 1 });
const limit = fc.option(fc.nat({ max: 5 }), { nil: undefined });

/** Any step. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      on,
      kind: fc.constant("append" as const),
      actor,
      count: fc.integer({ min: 1, max: 4 }),
      expected: fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        fc.constantFrom("any" as const, "exists" as const, -2, -1, 1),
      ),
      token,
      ids: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ on, kind: fc.constant("repeat" as const), earlier: fc.nat(), token }) },
  {
    weight: 4,
    arbitrary: fc.record({
      on,
      kind: fc.constant("save" as const),
      parts: fc.array(fc.record({ actor, ahead: fc.constantFrom(1, 1, 1, 2, 5, 0, -1) }), {
        minLength: 1,
        maxLength: 5,
      }),
      token,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      on,
      kind: fc.constant("oversize" as const),
      actor,
      unit: fc.constantFrom("actors" as const, "events" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      on,
      kind: fc.constant("takeOver" as const),
      actor,
      token: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      on,
      kind: fc.constant("read" as const),
      actor,
      from: fc.integer({ min: 1, max: 12 }),
      to: fc.integer({ min: 1, max: 20 }),
      limit,
      backward: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      on,
      kind: fc.constant("readAll" as const),
      after: fc.nat({ max: 20 }),
      limit,
      prefix: fc.constantFrom(undefined, "a", "a.", "b"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      on,
      kind: fc.constant("snapshot" as const),
      actor,
      ahead: fc.integer({ min: -2, max: 1 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ on, kind: fc.constant("reopen" as const) }) },
);
