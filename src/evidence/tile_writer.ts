/**
 * Writing the files of a tree.
 *
 * Sealers of one log write the same files, so that it does not matter which of them does. After a log was restored from a backup,
 * a sealer of the log before may still run, or continue after a pause of any length: its files are other ones. So a file is
 * written only if it does not exist. One that a sealer left behind without a checkpoint is replaced under a checkpoint that was
 * signed for it, which no other sealer has begun with.
 *
 * @module
 */

import { isEqual } from "./bytes.ts";
import type { SealPlace } from "./place.ts";
import { atPlace, readCheckpoint, readFile } from "./sealed_tree.ts";
import type { TileFile } from "./tiles.ts";

/** The checkpoint that a sealer continues. */
export interface Basis {
  /** Its bytes. */
  readonly bytes: Uint8Array;
  /** Whether this sealer has signed it, to replace what others have left. */
  readonly isOwn: boolean;
}

/** Another sealer has signed a checkpoint meanwhile. */
export class Superseded extends Error {}

/** A file of another log is in the way, and no checkpoint commits to it. */
export class LeftBehind extends Error {}

/** Writes files, several at a time: they share flushes of the disk. */
export class TileWriter {
  readonly #place: SealPlace;
  #writes: Promise<void>[] = [];

  constructor(place: SealPlace) {
    this.#place = place;
  }

  /** How many files were begun since the last `settle`. */
  get pending(): number {
    return this.#writes.length;
  }

  /** Begins to write a file. */
  write(file: TileFile, basis: Basis, signal: AbortSignal | undefined): void {
    const writing = this.#write(file, basis, signal);
    // It is waited for later, and must not count as unhandled until then.
    writing.catch(() => {});
    this.#writes.push(writing);
  }

  /**
   * Waits until all that was begun is durable.
   *
   * @throws {Superseded | LeftBehind} If it must not be written.
   * @throws {SealError} If it cannot be written.
   */
  async settle(): Promise<void> {
    const results = await Promise.allSettled(this.#writes.splice(0));
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
  }

  async #write({ path, bytes }: TileFile, basis: Basis, signal: AbortSignal | undefined): Promise<void> {
    const replace = (next: Uint8Array, expected: Uint8Array | undefined): Promise<boolean> =>
      atPlace(
        `${path} of the seal cannot be written.`,
        signal,
        () => this.#place.replace(path, next, expected, signal),
      );
    let left: Uint8Array | undefined;
    while (!await replace(bytes, left)) {
      left = await readFile(this.#place, path, signal);
      if (isEqual(left, bytes)) return;
      if (!await this.#isPresent(basis, signal)) throw new Superseded();
      if (left && !basis.isOwn) throw new LeftBehind();
    }
    if (!left || await this.#isPresent(basis, signal)) return;
    // Another sealer has found in it what it needs, and may have signed a checkpoint over it.
    await replace(left, bytes);
    throw new Superseded();
  }

  async #isPresent({ bytes }: Basis, signal: AbortSignal | undefined): Promise<boolean> {
    return isEqual(await readCheckpoint(this.#place, signal), bytes);
  }
}
