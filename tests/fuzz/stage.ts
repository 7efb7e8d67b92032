/**
 * Where scenes play, and what they have in common.
 *
 * @module
 */

import type { StoreUnderTest } from "@flowmade-one/aether/testing";
import { assertEvents } from "../../src/testing/cases/agreement.ts";
import type { ReferenceStore } from "../../src/testing/cases/reference.ts";
import type { Scene } from "./steps.ts";

/** A scene of a kind. */
export type Of<K extends Scene["kind"]> = Scene & { readonly kind: K };

/** Where a scene plays. */
export interface Stage {
  /** Two stores over one backend, or one twice. */
  readonly stores: readonly StoreUnderTest[];
  /** The model. */
  readonly reference: ReferenceStore;
  /** Opens another store over the backend. */
  readonly open: (options: Record<string, unknown>) => Promise<StoreUnderTest>;
  /** A number that no other scene has, nor the nine after it. */
  readonly number: number;
}

/** What an append of one event takes, under the newest token. */
export function appending(
  reference: ReferenceStore,
  actorId: string,
  number: number,
  data: unknown = number,
): {
  readonly event: { id: string; eventType: string; data: unknown };
  readonly options: { expectedVersion: number; fencingToken?: number };
} {
  const fencingToken = reference.token(actorId);
  return {
    event: { id: `scene-${number}`, eventType: number % 3 === 0 ? "Third" : "Other", data },
    options: { expectedVersion: reference.latest(actorId), ...(fencingToken && { fencingToken }) },
  };
}

/** Appends to the store, and to the model what the store says it has stored. */
export async function append(
  store: StoreUnderTest,
  reference: ReferenceStore,
  actorId: string,
  number: number,
): Promise<void> {
  const { event, options } = appending(reference, actorId, number);
  const stored = await store.append(actorId, [event], options);
  const verdict = reference.append(actorId, [event], options.expectedVersion, options.fencingToken);
  assertEvents(stored, verdict.stored ?? []);
}
