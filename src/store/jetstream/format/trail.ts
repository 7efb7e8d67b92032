/**
 * The trail: the stream sequences of an actor's earlier commits, so that a history is fetched by sequence. A search
 * would cost the server a scan of the whole stream.
 *
 * The sequences are in levels. Level 0 names the latest commits one by one. Sixteen of them are a block: the level above
 * names only the last of them, whose own trail names the fifteen others. Sixteen blocks are a block of the next level,
 * and so on. So a trail has a few dozen numbers, and every commit is reached from the latest one in as many steps as
 * there are levels.
 *
 * @module
 */

/** How many commits are a block, and how many blocks are a block of the next level. */
const BLOCK = 16;

/** Digits of the numbers in a trail. */
const RADIX = 36;

/** More levels than any stream can fill. */
const MAX_LEVELS = 14;

const TRAIL = /^[0-9a-z]+(?:,[0-9a-z]+)*(?:;|$)/;

/** A commit that a trail names. */
export interface TrailEntry {
  /** The stream sequence of the commit. */
  readonly sequence: number;
  /** 0 for a single commit; above, it is the last one of a block, whose others its own trail names below this level. */
  readonly level: number;
}

/** How many commits an entry of a level represents. */
export function entryWeight(level: number): number {
  return BLOCK ** level;
}

/** The earlier commits of an actor. */
export class Trail {
  /** The trail of an actor's first commit. */
  static readonly EMPTY: Trail = new Trail([]);

  readonly #levels: readonly (readonly number[])[];

  private constructor(levels: readonly (readonly number[])[]) {
    this.#levels = levels;
  }

  /** How many commits it leads to. */
  get count(): number {
    let count = 0;
    for (let level = 0; level < this.#levels.length; level++) {
      count += this.#levels[level]!.length * entryWeight(level);
    }
    return count;
  }

  /** The sequence of the latest commit that it names; 0 without one. */
  get previous(): number {
    for (const level of this.#levels) if (level.length > 0) return level[level.length - 1]!;
    return 0;
  }

  /** The trail of the next commit, if this is the trail of the commit at a sequence. */
  after(sequence: number): Trail {
    const levels = this.#levels.slice();
    for (let level = 0;; level++) {
      const entries = levels[level] ?? [];
      if (entries.length < BLOCK - 1) {
        levels[level] = [...entries, sequence];
        return new Trail(levels);
      }
      levels[level] = [];
    }
  }

  /** The commits that it names, in the order of the stream. With a level, only those below it: the rest of a block. */
  entries(below = this.#levels.length): TrailEntry[] {
    const entries: TrailEntry[] = [];
    for (let level = Math.min(below, this.#levels.length) - 1; level >= 0; level--) {
      for (const sequence of this.#levels[level]!) entries.push({ sequence, level });
    }
    return entries;
  }

  /** Its text: the levels from the lowest; the first number of each as it is, the others as differences. */
  encode(): string {
    let text = "";
    for (let level = 0; level < this.#levels.length; level++) {
      if (level > 0) text += ";";
      let previous = 0;
      for (const sequence of this.#levels[level]!) {
        text += previous === 0 ? sequence.toString(RADIX) : "," + (sequence - previous).toString(RADIX);
        previous = sequence;
      }
    }
    return text;
  }

  /** Reads its text; `undefined` if it is malformed, or does not name commits in the order of the stream. */
  static decode(text: string): Trail | undefined {
    if (text === "") return Trail.EMPTY;
    const parts = text.split(";");
    if (parts.length > MAX_LEVELS) return undefined;
    const levels: number[][] = [];
    for (const part of parts) {
      const level: number[] = [];
      if (part !== "") {
        if (!TRAIL.test(part)) return undefined;
        let sequence = 0;
        for (const digits of part.split(",")) {
          const added = parseInt(digits, RADIX);
          sequence += added;
          if (!(added > 0) || !Number.isSafeInteger(sequence)) return undefined;
          level.push(sequence);
        }
        if (level.length >= BLOCK) return undefined;
      }
      levels.push(level);
    }
    let before = Infinity;
    for (const level of levels) {
      if (level.length === 0) continue;
      if (level[level.length - 1]! >= before) return undefined;
      before = level[0]!;
    }
    return new Trail(levels);
  }
}
