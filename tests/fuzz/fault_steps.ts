/**
 * Faults of a log for the fuzzer: replaced, restored and grown again, damaged by another program, not flushed. Each is
 * played over a backend of its own, because a history cannot go on after it.
 *
 * @module
 */

import fc from "fast-check";
import type { BackendUnderTest, EventStoreHarness } from "@flowmade-one/aether/testing";
import { CALLS, type Method } from "./calls.ts";

/** What another program stores among what a store has stored. */
export interface Plant {
  /** Which of the stored values or messages it is made from. */
  readonly place: number;
  /** Another value, a copy at another place, the value with other bytes, or with another field. */
  readonly how: "value" | "copy" | "bytes" | "field";
  /** Which field. */
  readonly field: number;
  /** What to put there. */
  readonly json: unknown;
  /** Where bytes are changed, how many go, and what comes. */
  readonly edit: { readonly at: number; readonly removed: number; readonly added: readonly number[] };
}

/** Appends that are made at once, each to its actor, and whether the disk fails to flush meanwhile. */
export interface FlushStep {
  readonly actors: readonly string[];
  readonly fails: boolean;
}

/** What an append of such a step was answered: `"stored"`, or the name of an error. */
export interface FlushAnswer {
  readonly id: string;
  readonly outcome: string;
}

/** What a process was answered, and what is stored after it was killed. */
export interface FlushReport {
  readonly answers: readonly FlushAnswer[];
  readonly stored: readonly string[];
  readonly isWhole: boolean;
}

/** A backend that can be damaged. */
export interface FuzzedBackend extends BackendUnderTest {
  /** Whether a store goes on with its own log after `deleteLog()`, because that one is in its memory. */
  readonly keepsReplacedLogs?: boolean;
  /** Stores what no store has written. */
  plant?(plant: Plant): Promise<void>;
}

/** How the fuzzer gets its stores. */
export interface FuzzHarness extends EventStoreHarness {
  setUp(): FuzzedBackend | Promise<FuzzedBackend>;
  /** Lets a process append while flushes fail; `undefined` if that cannot be done here. */
  flush?(steps: readonly FlushStep[]): Promise<FlushReport | undefined>;
}

/** A fault. */
export type Fault =
  | {
    readonly kind: "replaced";
    readonly before: number;
    readonly after: number;
    readonly calls: readonly Method[];
  }
  | { readonly kind: "restored"; readonly kept: number; readonly lost: number; readonly regrown: number }
  | { readonly kind: "damaged"; readonly events: number; readonly plants: readonly Plant[] }
  | { readonly kind: "flushed"; readonly steps: readonly FlushStep[] };

const json = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    -1,
    0.5,
    2 ** 53,
    1e300,
    "\ud800",
    "9".repeat(400),
    "1,2,3",
    "zz",
    Array(1_500).fill(1),
  ),
);

const plant: fc.Arbitrary<Plant> = fc.record({
  place: fc.nat(50),
  how: fc.constantFrom("value" as const, "copy" as const, "bytes" as const, "field" as const),
  field: fc.nat(40),
  json,
  edit: fc.record({
    at: fc.nat(400),
    removed: fc.nat(6),
    added: fc.array(fc.nat(255), { maxLength: 6 }),
  }),
});

const flushStep = fc.record({
  actors: fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 }),
  fails: fc.boolean(),
});

/** Any fault, by its kind. */
export const FAULTS = {
  replaced: fc.record({
    kind: fc.constant("replaced" as const),
    before: fc.integer({ min: 1, max: 8 }),
    after: fc.nat(8),
    calls: fc.array(fc.constantFrom(...Object.keys(CALLS) as Method[]), { minLength: 1, maxLength: 6 }),
  }),
  restored: fc.record({
    kind: fc.constant("restored" as const),
    kept: fc.nat(5),
    lost: fc.nat(5),
    regrown: fc.nat(8),
  }),
  damaged: fc.record({
    kind: fc.constant("damaged" as const),
    events: fc.integer({ min: 1, max: 8 }),
    plants: fc.array(plant, { minLength: 1, maxLength: 3 }),
  }),
  flushed: fc.record({
    kind: fc.constant("flushed" as const),
    steps: fc.array(flushStep, { minLength: 1, maxLength: 5 }),
  }),
} satisfies { [K in Fault["kind"]]: fc.Arbitrary<Fault & { kind: K }> };
