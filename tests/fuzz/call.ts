/**
 * What a method of the public surface is to the fuzzer.
 *
 * @module
 */

import type { StoreUnderTest } from "@flowmade-one/aether/testing";
import type { ReferenceStore, Verdict } from "../../src/testing/cases/reference.ts";
import type { Kind } from "./judge.ts";

/** The arguments of a call, by name. */
// deno-lint-ignore no-explicit-any -- any value may stand anywhere: that is the point
export type Arguments = Record<string, any>;

/** A method. */
export interface Call {
  /** Sound arguments, made anew for each call. */
  readonly sound: (reference: ReferenceStore, actorId: string, number: number) => Arguments;
  /** Where another value can be put in, and what stands there. */
  readonly places: Readonly<Record<string, Kind>>;
  /** Calls it. */
  readonly run: (store: StoreUnderTest, args: Arguments) => Promise<unknown>;
  /** What the model says to a save: it stores, too. */
  readonly save?: (reference: ReferenceStore, args: Arguments) => Verdict;
  /** Holds the result of a read against the model. */
  readonly check?: (reference: ReferenceStore, args: Arguments, result: unknown) => void;
}

/** A fold that counts. */
export const sum = {
  initialState: (): number => 0,
  evolve: (count: number): number => count + 1,
};
