/**
 * Sealing: new events become leaves, full tiles are written as they come, and then a checkpoint is signed over them.
 *
 * The argument: a leaf follows from the log and the secret of the seal, so that all sealers write the same files. A checkpoint
 * replaces the one before by compare-and-set, after everything that it commits to is durable. So a sealer can end at any
 * moment: what is in the place beyond its checkpoint is written again.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { HistoryTruncatedError, InvalidPositionError } from "../store/errors.ts";
import { type RawLog, rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import { isEqual } from "./bytes.ts";
import { SealError } from "./errors.ts";
import { digestOf, encodeLeaf, Salts, storedText } from "./leaf.ts";
import { signCheckpoint, type SignedCheckpoint } from "./note.ts";
import type { SealPlace } from "./place.ts";
import type { SealSettings } from "./seal_options.ts";
import {
  atPlace,
  makeSecrets,
  readCheckpoint,
  readEdge,
  readLeaf,
  readSecrets,
  replaceCheckpoint,
  trusted,
} from "./sealed_tree.ts";
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
  readonly checkpoint: SignedCheckpoint | undefined;
  /** The bytes of the checkpoint. */
  readonly bytes: Uint8Array | undefined;
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
      const bytes = await readCheckpoint(this.#place, signal);
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

  /** Reads how far the seal is, and whether the log continues it. */
  async #load(bytes: Uint8Array | undefined, signal: AbortSignal | undefined): Promise<State> {
    const { origin, signers } = this.#settings;
    const checkpoint = bytes && trusted(bytes, { origin, keys: [signers[0]!.publicKey] });
    const secrets = await this.#secrets(checkpoint, signal);
    this.#salts = new Salts(secrets.saltKey);
    if (!checkpoint || checkpoint.size === 0) {
      return { checkpoint, bytes, edge: new RightEdge(), position: undefined };
    }
    const edge = await readEdge(this.#place, checkpoint, signal);
    const { position } = await readLeaf(this.#place, edge.size, edge.size - 1, signal);
    await this.#checkLast(edge.size, position, signal);
    return { checkpoint, bytes, edge, position };
  }

  async #secrets(
    checkpoint: SignedCheckpoint | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly saltKey: Uint8Array }> {
    const { origin } = this.#settings;
    let secrets = await readSecrets(this.#place, signal);
    if (!secrets) {
      if (checkpoint) {
        throw new SealError(
          "damaged",
          "private/seal.json of the seal is missing, which its salts follow from.",
        );
      }
      const isEmpty = await atPlace("The place cannot be read.", signal, () => this.#place.isEmpty(signal));
      // Another sealer may have begun in between.
      if (!isEmpty && !await readSecrets(this.#place, signal)) {
        throw new SealError("not-empty", "The place holds files, and no seal.");
      }
      secrets = await makeSecrets(this.#place, origin, signal);
    }
    if (secrets.origin === origin) return secrets;
    throw new SealError(
      "other-origin",
      `The place holds the seal of "${secrets.origin}", not of "${origin}".`,
    );
  }

  /**
   * Compares the last leaf with the event in the log.
   *
   * @throws {SealError} If the log is not the one that was sealed.
   */
  async #checkLast(size: number, position: string, signal: AbortSignal | undefined): Promise<void> {
    const last = await readLeaf(this.#place, size, size - 1, signal);
    const before = size === 1 ? undefined : await readLeaf(this.#place, size, size - 2, signal);
    try {
      for await (const event of this.#log.read(before?.position ?? this.#settings.from, signal)) {
        const isSame = event.position === position && event.actorId === last.actorId &&
          digestOf(this.#salts!.of(size - 1), storedText(event)) === last.digest;
        if (isSame) return;
        throw new SealError(
          "other-log",
          `The log holds another event than the last one that is sealed, ${position}.`,
        );
      }
    } catch (error) {
      // Retention has removed the event before the last leaf: the position of the last leaf is all that can be checked.
      if (error instanceof HistoryTruncatedError) {
        return await this.#log.checkPosition(position).catch(positionError);
      }
      throw positionError(error);
    }
    throw new SealError("ahead", `The log ends before ${position}, which is sealed.`);
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
    // An empty log is sealed too: the checkpoint shows that it was empty.
    if (state.checkpoint && state.edge.size === state.checkpoint.size) return true;
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
    this.#tiles.write(file, { bytes, isOwn: bytes !== undefined && isEqual(bytes, this.#claim) }, signal);
  }

  /** Signs a checkpoint over what was added; returns false if another sealer was first. */
  async #publish(state: State, signal: AbortSignal | undefined): Promise<boolean> {
    const { origin, signers } = this.#settings;
    const time = this.#time(state.checkpoint);
    for (const file of state.edge.partials()) this.#write(file, state, signal);
    await this.#tiles.settle();
    this.#guard();
    const { edge } = state;
    const bytes = await signCheckpoint({ origin, size: edge.size, root: edge.root() }, time, signers);
    if (!await replaceCheckpoint(this.#place, bytes, state.bytes, signal)) return false;
    this.#added += edge.size - (state.checkpoint?.size ?? 0);
    this.#state = { ...state, checkpoint: trusted(bytes, { keys: [], origin }), bytes };
    await this.#removePartials(signal);
    this.#settings.onProgress?.({ events: edge.size });
    return true;
  }

  /**
   * Signs the present checkpoint again. Sealers that began with it cannot publish, so that what they have left may be replaced.
   */
  async #claimPlace({ checkpoint, bytes }: State, signal: AbortSignal | undefined): Promise<void> {
    const { origin, signers } = this.#settings;
    this.#guard();
    const { size, root } = checkpoint ?? { size: 0, root: emptyRoot() };
    const before = Date.parse(checkpoint?.time ?? "") || 0;
    const time = Math.max(this.#time(checkpoint), before + 1);
    const claim = await signCheckpoint({ origin, size, root }, time, signers);
    if (await replaceCheckpoint(this.#place, claim, bytes, signal)) this.#claim = claim;
  }

  /** The time of a checkpoint, which is never before that of the one before. */
  #time(checkpoint: SignedCheckpoint | undefined): number {
    const now = Date.now();
    const before = checkpoint?.time === undefined ? NaN : Date.parse(checkpoint.time);
    if (!(before > now)) return now;
    if (before - now <= MAX_CLOCK_SKEW) return before;
    throw new SealError(
      "clock",
      `The clock of this machine shows ${new Date(now).toISOString()}, and the last checkpoint is of ${
        checkpoint!.time
      }.`,
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
    const { origin, size, root } = checkpoint!;
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

/** What a position that the log refuses means for a seal. */
function positionError(error: unknown): never {
  if (!(error instanceof InvalidPositionError)) throw error;
  if (error.reason === "ahead") {
    throw new SealError("ahead", "The log ends before the last event that is sealed.", { cause: error });
  }
  throw new SealError("other-log", "The log does not hold the last event that is sealed.", { cause: error });
}
