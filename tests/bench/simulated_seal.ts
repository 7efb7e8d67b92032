/**
 * A seal of many events, most of which exist only as hashes of the tree.
 *
 * @module
 */

import type { EventStore, SealPlace, SignerSource, StoredEvent } from "../../mod.ts";
import { encodeLeaf, Salts } from "../../src/evidence/leaf.ts";
import { signCheckpoint } from "../../src/evidence/note.ts";
import { openSigner } from "../../src/evidence/signer.ts";
import { encodeBundle, encodeTile, levelSize, rootOfLevels, TILE_WIDTH } from "../../src/evidence/tiles.ts";
import { leafHash, rootOf } from "../../src/evidence/tree.ts";

/** How many bundles have events whose hashes are in the tree. */
const REAL_BUNDLES = 50;

/** What is simulated. */
export interface SimulatedSeal {
  readonly store: EventStore;
  readonly place: SealPlace;
  /** The positions of events that can be proved, each in a bundle of its own. */
  readonly positions: readonly string[];
}

/** Makes a seal of a size. */
export async function simulatedSeal(size: number, source: SignerSource): Promise<SimulatedSeal> {
  const saltKey = new Uint8Array(32);
  const salts = new Salts(saltKey);
  const positionOf = (index: number): string => `0123456789ab-${index.toString(16).padStart(12, "0")}000000`;
  const eventAt = (index: number): StoredEvent => ({
    id: `event-${index}`,
    actorId: `order-${index}`,
    version: 1,
    eventType: "OrderPlaced",
    timestamp: "2026-01-31T12:00:00.000Z",
    data: { total: index, note: "x".repeat(200) },
    position: positionOf(index),
  });
  const entriesOf = (bundle: number): Uint8Array[] =>
    Array.from({ length: Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH) }, (_, at) => {
      const index = bundle * TILE_WIDTH + at;
      return encodeLeaf(eventAt(index), salts.of(index));
    });

  const bundles = levelSize(size, 1);
  const real = new Map(
    Array.from({ length: REAL_BUNDLES }, (_, at) => {
      const bundle = Math.floor(bundles / REAL_BUNDLES * at);
      return [bundle, entriesOf(bundle).map(leafHash)] as const;
    }),
  );
  const filler = Array.from({ length: TILE_WIDTH }, (_, at) => leafHash(new Uint8Array([at])));
  const tiles = new Map<string, Uint8Array>();
  const levels: Uint8Array[][] = [entriesOf(bundles).map(leafHash)];
  let hashes = new Array<Uint8Array>(bundles).fill(rootOf(filler));
  for (const [bundle, leaves] of real) hashes[bundle] = rootOf(leaves);
  for (let level = 1; hashes.length > 0; level++) {
    const above: Uint8Array[] = [];
    for (let from = 0; from < hashes.length; from += TILE_WIDTH) {
      const tile = hashes.slice(from, from + TILE_WIDTH);
      tiles.set(`${level}/${from / TILE_WIDTH}`, encodeTile(tile));
      if (tile.length === TILE_WIDTH) above.push(rootOf(tile));
      else levels[level] = tile;
    }
    levels[level] ??= [];
    hashes = above;
  }
  const signer = await openSigner(source, "source");
  const root = rootOfLevels(levels);
  const checkpoint = await signCheckpoint({ origin: "example.com/orders", size, root }, Date.now(), [signer]);
  const secrets = JSON.stringify({ format: 1, origin: "example.com/orders", saltKey: saltKey.toBase64() });

  // A bundle is made once: a real place has it ready.
  const made = new Map<number, Uint8Array>();
  const read = (path: string): Uint8Array | undefined => {
    if (path === "checkpoint") return checkpoint;
    if (path === "private/seal.json") return new TextEncoder().encode(secrets);
    const [, level = "", digits = ""] = /^tile\/(\w+)\/([x\d/]+)/.exec(path) ?? [];
    const index = Number(digits.replaceAll(/[x/]/g, ""));
    if (level === "entries") {
      const bundle = made.get(index) ?? encodeBundle(entriesOf(index));
      made.set(index, bundle);
      return bundle;
    }
    if (level !== "0") return tiles.get(`${level}/${index}`);
    return encodeTile(index === bundles ? levels[0]! : real.get(index) ?? filler);
  };
  const place = {
    read: (path: string) => Promise.resolve(read(path)),
    replace: () => Promise.resolve(false),
  };
  // Each read begins after an event, and takes one.
  const store = {
    async *readAll({ after }: { readonly after: string }): AsyncGenerator<StoredEvent> {
      const index = after === "start" ? 0 : parseInt(after.slice(13, 25), 16) + 1;
      yield await Promise.resolve(eventAt(index));
    },
  };
  return {
    store: store as unknown as EventStore,
    place: place as unknown as SealPlace,
    positions: [...real.keys()].map((bundle) => positionOf(bundle * TILE_WIDTH + bundle % TILE_WIDTH)),
  };
}
