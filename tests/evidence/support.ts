/** What the tests of seals share. */

import assert from "node:assert/strict";
import {
  generateSealKey,
  SealError,
  type SealFault,
  SealFolder,
  type SealKey,
} from "../../src/evidence/mod.ts";
import type { EventStore } from "../../src/store/mod.ts";

/** The name of the log in the tests. */
export const ORIGIN = "example.com/orders";

/** A key, and a folder for a seal that is removed at the end. */
export interface SealFixture extends AsyncDisposable {
  readonly path: string;
  readonly folder: SealFolder;
  readonly keys: SealKey;
  readonly signer: { readonly key: string };
  readonly key: string;
}

/** Makes a key and an empty folder. */
export async function sealFixture(): Promise<SealFixture> {
  const path = await Deno.makeTempDir({ prefix: "aether seal " });
  const keys = generateSealKey(ORIGIN);
  return {
    path,
    folder: new SealFolder(path),
    keys,
    signer: { key: keys.privateKey },
    key: keys.publicKey,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** Appends events of several actors, and returns their positions. */
export async function fill(store: EventStore, count: number, actors = 7, text = "x"): Promise<string[]> {
  const positions: string[] = [];
  const versions = new Map<string, number>();
  for (let from = 0; from < count;) {
    const actorId = `order-${from % actors}`;
    const size = Math.min(count - from, 1 + from % 50);
    const events = Array.from({ length: size }, (_, at) => ({
      eventType: at % 2 === 0 ? "OrderPlaced" : "OrderShipped",
      data: { total: from + at, note: text },
      metadata: { userId: "user-1" },
    }));
    const stored = await store.append(actorId, events, { expectedVersion: versions.get(actorId) ?? "any" });
    versions.set(actorId, stored.at(-1)!.version);
    positions.push(...stored.map(({ position }) => position));
    from += size;
  }
  return positions;
}

/** Expects a `SealError` with a reason. */
export async function refusesWith(reason: SealError["reason"], work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => {
    assert(error instanceof SealError, String(error));
    assert.equal(error.reason, reason, error.message);
    return true;
  });
}

/** Faults in short. */
export function shortly(faults: readonly SealFault[]): string[] {
  return faults.map(({ kind, actorId, version, path, fields }) =>
    [kind, path ?? `${actorId}@${version}`, ...fields ?? []].join(" ")
  ).sort();
}
