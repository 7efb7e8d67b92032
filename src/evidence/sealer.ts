/**
 * Sealing: new events become leaves, full tiles are written as they come, and then a checkpoint is signed over them.
 *
 * The argument: a leaf follows from the log and the secret of the seal, so that all sealers write the same files. A checkpoint
 * replaces the one before by compare-and-set, after everything that it commits to is durable. So a sealer can end at any
 * moment: what is in the place beyond its checkpoint is written again. The first checkpoint, of an empty tree, is written before all
 * other files: if it is missing later, it was removed, and the seal is not begun again over what it had.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { StoredEvent } from "../event/types.ts";
import { type RawLog, rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import { isEqual } from "./bytes.ts";
import { SealError } from "./errors.ts";
import { encodeLeaf, Salts } from "./leaf.ts";
import { type Checkpoint, parseCheckpoint, signCheckpoint, type SignedCheckpoint } from "./note.ts";
import type { SealPlace } from "./place.ts";
import type { SealSettings } from "./seal_options.ts";
import {
  atPlace,
  hasEntries,
  makeSecrets,
  readCheckpoint,
  readEdge,
  readLeaf,
  readSecrets,
  replaceCheckpoint,
  type Secrets,
  trusted,
} from "./sealed_tree.ts";
import { checkSealedEnd } from "./sealed_end.ts";
import { LeftBehind, Superseded, TileWriter } from "./tile_writer.ts";
import { MAX_ENTRY_BYTES, RightEdge, type TileFile } from "./tiles.ts";
import { emptyRoot } from "./tree.ts";

/** Leaves between two checkpoints of a long run. */
const CHECKPOINT_EVERY = 65_536;
/** Files that are written at the same time. */
const MAX_WRITES = 64;
/** By how much the clock may be behind the last checkpoint: clocks that are synchronised are set back a little now and then. */
const MAX_CLOCK_SKEW = 60_000;

/**
 * What is sealed.
 *
 * @category Evidence
 */
export interface SealReport {
  /** The name of the log. */
  readonly origin: string;
  /** How many events are sealed. */
  readonly size: number;
  /** How many of them this call sealed. */
  readonly added: number;
  /** The root of the tree, as base64. */
  readonly root: string;
  /** The position of the last event that is sealed; `undefined` if there is none. */
  readonly position: string | undefined;
  /** The text of the checkpoint. Give it to others: it is what they can hold the log to. */
  readonly checkpoint: string;
}

/** A tree that is being continued. */
interface State {
  readonly checkpoint: SignedCheckpoint;
  /** The bytes of the checkpoint. */
  readonly bytes: Uint8Array;
  readonly edge: RightEdge;
  /** The position of the last leaf. */
  position: string | undefined;
}

const decoder = new TextDecoder();

/** Seals a log into a place. */
export class Sealer {
  readonly #log: RawLog;
  readonly #place: SealPlace;
  readonly #settings: SealSettings;
  #salts: Salts | undefined;
  readonly #tiles: TileWriter;
  #state: State | undefined;
  /** The checkpoint that was signed to replace what other sealers have left. */
  #claim: Uint8Array | undefined;
  #replaced: string[] = [];
  #added = 0;
  #guard: () => void = () => {};

  constructor(store: EventStore, place: SealPlace, settings: SealSettings) {
    this.#log = rawLogOf(store);
    this.#place = place;
    this.#settings = settings;
    this.#tiles = new TileWriter(place);
  }

  /**
   * Seals what the log has by now.
   *
   * @param guard Throws if this sealer may not go on.
   */
  async seal(signal: AbortSignal | undefined, guard: () => void = () => {}): Promise<SealReport> {
    this.#guard = guard;
    this.#added = 0;
    for (;;) {
      const bytes = await readCheckpoint(this.#place, signal) ?? await this.#begin(signal);
      // Another sealer may have gone on, or a witness may have added its signature.
      if (!this.#state || !isEqual(bytes, this.#state.bytes)) this.#state = undefined;
      try {
        const state = this.#state ??= await this.#load(bytes, signal);
        if (await this.#continue(state, signal)) return this.#report();
      } catch (error) {
        const state = this.#state;
        // What is in memory is ahead of what is stored.
        this.#state = undefined;
        this.#replaced = [];
        await this.#tiles.settle().catch(() => {});
        if (error instanceof LeftBehind) await this.#claimPlace(state!, signal);
        else if (!(error instanceof Superseded)) throw error;
      }
      this.#state = undefined;
    }
  }

  /** Begins a seal in an empty place: with a checkpoint that shows that nothing is sealed yet. */
  async #begin(signal: AbortSignal | undefined): Promise<Uint8Array> {
    const fault = await this.#assess(signal);
    if (!fault) {
      const bytes = await this.#sign({ size: 0, root: emptyRoot() }, Date.now(), signal);
      this.#guard();
      await replaceCheckpoint(this.#place, bytes, undefined, signal);
    }
    // It may be that of another sealer, which has begun in between.
    const bytes = await readCheckpoint(this.#place, signal);
    if (bytes) return bytes;
    throw fault ?? new SealError("place", "The checkpoint was written, and is not found.");
  }

  /** Why a seal cannot be begun in a place without a checkpoint. */
  async #assess(signal: AbortSignal | undefined): Promise<SealError | undefined> {
    if (await readSecrets(this.#place, signal)) {
      return await hasEntries(this.#place, signal)
        ? new SealError("damaged", "The checkpoint of the seal is missing.")
        : undefined;
    }
    const isEmpty = await atPlace("The place cannot be read.", signal, () => this.#place.isEmpty(signal));
    return isEmpty ? undefined : new SealError("not-empty", "The place holds files, and no seal.");
  }

  /** Reads how far the seal is, and whether the log continues it. */
  async #load(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<State> {
    const { origin, signers } = this.#settings;
    const checkpoint = trusted(bytes, { origin, keys: [signers[0]!.publicKey] });
    const { saltKey } = await this.#secrets(checkpoint, signal);
    this.#salts = new Salts(saltKey);
    if (checkpoint.size === 0) {
      return { checkpoint, bytes, edge: new RightEdge(), position: undefined };
    }
    const edge = await readEdge(this.#place, checkpoint, signal);
    const { size } = edge;
    const last = await readLeaf(this.#place, size, size - 1, signal);
    const before = size === 1
      ? this.#settings.from
      : (await readLeaf(this.#place, size, size - 2, signal)).position;
    await checkSealedEnd(this.#log, { size, last, before, salts: this.#salts }, signal);
    return { checkpoint, bytes, edge, position: last.position };
  }

  async #secrets({ size }: SignedCheckpoint, signal: AbortSignal | undefined): Promise<Secrets> {
    const { origin } = this.#settings;
    let secrets = await readSecrets(this.#place, signal);
    if (!secrets && size > 0) {
      throw new SealError(
        "damaged",
        "private/seal.json of the seal is missing, which its salts follow from.",
      );
    }
    secrets ??= await makeSecrets(this.#place, origin, signal);
    if (secrets.origin === origin) return secrets;
    throw new SealError(
      "other-origin",
      `The place holds the seal of "${secrets.origin}", not of "${origin}".`,
    );
  }

  /** Adds what the log has; returns false if another sealer was first. */
  async #continue(state: State, signal: AbortSignal | undefined): Promise<boolean> {
    let since = state.edge.size;
    for await (const event of this.#log.read(state.position ?? this.#settings.from, signal)) {
      this.#append(state, event, signal);
      if (this.#tiles.pending >= MAX_WRITES) await this.#tiles.settle();
      if (state.edge.size - since < CHECKPOINT_EVERY) continue;
      if (!await this.#publish(state, signal)) return false;
      state = this.#state!;
      since = state.edge.size;
    }
    if (state.edge.size === state.checkpoint.size) return true;
    return await this.#publish(state, signal);
  }

  #append(state: State, event: StoredEvent, signal: AbortSignal | undefined): void {
    const leaf = encodeLeaf(event, this.#salts!.of(state.edge.size));
    if (leaf.length > MAX_ENTRY_BYTES) {
      throw new SealError("place", `The event at ${event.position} takes ${leaf.length} bytes as a leaf.`);
    }
    state.edge.append(leaf, (file, partials) => {
      this.#write(file, state, signal);
      this.#replaced.push(partials);
    });
    state.position = event.position;
  }

  #write(file: TileFile, { bytes }: State, signal: AbortSignal | undefined): void {
    this.#guard();
    this.#tiles.write(file, { bytes, isOwn: isEqual(bytes, this.#claim) }, signal);
  }

  /** Signs a checkpoint over what was added; returns false if another sealer was first. */
  async #publish(state: State, signal: AbortSignal | undefined): Promise<boolean> {
    const time = this.#time(state.checkpoint);
    for (const file of state.edge.partials()) this.#write(file, state, signal);
    await this.#tiles.settle();
    const { edge } = state;
    const bytes = await this.#sign({ size: edge.size, root: edge.root() }, time, signal);
    this.#guard();
    if (!await replaceCheckpoint(this.#place, bytes, state.bytes, signal)) return false;
    this.#added += edge.size - state.checkpoint.size;
    this.#state = { ...state, checkpoint: parseCheckpoint(bytes), bytes };
    await this.#removePartials(signal);
    this.#settings.onProgress?.({ events: edge.size });
    return true;
  }

  /**
   * Signs the present checkpoint again. Sealers that began with it cannot publish, so that what they have left may be replaced.
   */
  async #claimPlace({ checkpoint, bytes }: State, signal: AbortSignal | undefined): Promise<void> {
    const before = Date.parse(checkpoint.time ?? "") || 0;
    const claim = await this.#sign(checkpoint, Math.max(this.#time(checkpoint), before + 1), signal);
    this.#guard();
    if (await replaceCheckpoint(this.#place, claim, bytes, signal)) this.#claim = claim;
  }

  /** Signs a checkpoint; a signing function that does not answer is not waited for after an abort. */
  #sign(
    { size, root }: Pick<Checkpoint, "size" | "root">,
    time: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const { origin, signers } = this.#settings;
    return abortable(signCheckpoint({ origin, size, root }, time, signers), signal);
  }

  /** The time of a checkpoint, which is never before that of the one before. */
  #time(checkpoint: SignedCheckpoint): number {
    const now = Date.now();
    const before = checkpoint.time === undefined ? NaN : Date.parse(checkpoint.time);
    if (!(before > now)) return now;
    if (before - now <= MAX_CLOCK_SKEW) return before;
    throw new SealError(
      "clock",
      `The clock of this machine shows ${
        new Date(now).toISOString()
      }, and the last checkpoint is of ${checkpoint.time}.`,
    );
  }

  /** Removes partial files that full ones have replaced. What is left by a failure takes space and does no harm. */
  async #removePartials(signal: AbortSignal | undefined): Promise<void> {
    const folders = this.#replaced.splice(0);
    if (!this.#place.removeFolder) return;
    await Promise.allSettled(folders.map((path) => this.#place.removeFolder!(path, signal)));
  }

  #report(): SealReport {
    const { checkpoint, bytes, position } = this.#state!;
    const { origin, size, root } = checkpoint;
    return {
      origin,
      size,
      added: this.#added,
      root: root.toBase64(),
      position,
      checkpoint: decoder.decode(bytes),
    };
  }
}
