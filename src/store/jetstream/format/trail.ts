/**
 * The trail: the stream sequences of an actor's earlier commits, so that a history is fetched by sequence instead of
 * being searched for, which costs the server a scan of the whole stream.
 *
 * The sequences stand in levels. Level 0 names the latest commits one by one. Whenever sixteen have come together they
 * are a block, and the level above names the last of them alone: its own trail names the fifteen others. Sixteen blocks
 * make a block of the next level, and so on. So a trail holds a few dozen numbers, and every commit is reached from the
 * latest one in as many steps as there are levels.
 *
 * @module
 */

/** How many commits make a block, and how many blocks one of the next level. */
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
  /** 0: it stands for itself; above: for a block too, whose other commits its own trail names below this level. */
  readonly level: number;
}

/** How many commits an entry of a level stands for. */
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

  /** The sequence of the commit before; 0 without one. */
  get previous(): number {
    for (const level of this.#levels) if (level.length > 0) return level[level.length - 1]!;
    return 0;
  }

  /** The trail of the commit that follows one at a sequence which has this trail. */
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

  /** What it names, in the order of the stream. With a level, only what stands below it: the rest of a block. */
  entries(below = this.#levels.length): TrailEntry[] {
    const entries: TrailEntry[] = [];
    for (let level = Math.min(below, this.#levels.length) - 1; level >= 0; level--) {
      for (const sequence of this.#levels[level]!) entries.push({ sequence, level });
    }
    return entries;
  }

  /** Its text: levels from the lowest, the first number of each as it is, the others as what they add. */
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

  /** Reads its text back; `undefined` if it is none, or does not name commits in the order of the stream. */
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
