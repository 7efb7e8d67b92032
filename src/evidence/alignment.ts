/**
 * What has become of a sequence: which leaves a log still has in their order, which are missing, which of its events were
 * added.
 *
 * @module
 */

/** How far a leaf or an event that does not come next is searched for, on each side. */
const WINDOW = 2_048;

/** What a side is read from: undefined at its end. */
export type Pull<T> = () => Promise<T | undefined>;

/** What takes the outcome. */
export interface AlignmentSink<L, E> {
  /** They belong together. */
  pair(leaf: L, event: E): void;
  /** The log has no such event here. */
  missing(leaf: L): void;
  /** The seal has no such leaf here; `isBehind`: no leaf at all any more. */
  added(event: E, isBehind: boolean): void;
}

/** A side, of which a part is read ahead. */
class Side<T> {
  readonly #pull: Pull<T>;
  #ahead: T[] = [];
  #from = 0;
  #isOver = false;

  constructor(pull: Pull<T>) {
    this.#pull = pull;
  }

  async first(): Promise<T | undefined> {
    return (await this.window(1))[0];
  }

  /** The next ones, fewer at the end. */
  async window(count: number): Promise<readonly T[]> {
    while (!this.#isOver && this.#ahead.length - this.#from < count) {
      const next = await this.#pull();
      if (next === undefined) this.#isOver = true;
      else this.#ahead.push(next);
    }
    return this.#ahead.slice(this.#from, this.#from + count);
  }

  take(): T {
    const taken = this.#ahead[this.#from++]!;
    if (this.#from > WINDOW) {
      this.#ahead = this.#ahead.slice(this.#from);
      this.#from = 0;
    }
    return taken;
  }
}

/**
 * Aligns two sequences, in bounded memory.
 *
 * @param keyOfLeaf What a leaf and an event have in common; a leaf without a key belongs to any event.
 */
export async function align<L, E>(
  leaves: Pull<L>,
  events: Pull<E>,
  keyOfLeaf: (leaf: L) => string | undefined,
  keyOfEvent: (event: E) => string,
  sink: AlignmentSink<L, E>,
): Promise<void> {
  const [left, right] = [new Side(leaves), new Side(events)];
  for (;;) {
    const leaf = await left.first();
    const event = await right.first();
    if (leaf === undefined && event === undefined) return;
    if (leaf === undefined) sink.added(right.take(), true);
    else if (event === undefined) sink.missing(left.take());
    else if ([undefined, keyOfEvent(event)].includes(keyOfLeaf(leaf))) sink.pair(left.take(), right.take());
    else {
      const skip = nearest(
        (await left.window(WINDOW)).map(keyOfLeaf),
        (await right.window(WINDOW)).map(keyOfEvent),
      );
      for (let count = 0; count < skip.leaves; count++) sink.missing(left.take());
      for (let count = 0; count < skip.events; count++) sink.added(right.take(), false);
    }
  }
}

/** How many of both to pass over until they fit again; all, if they do not within the window. */
function nearest(
  leaves: readonly (string | undefined)[],
  events: readonly string[],
): { readonly leaves: number; readonly events: number } {
  const places = new Map<string, number>();
  for (const [at, key] of events.entries()) if (!places.has(key)) places.set(key, at);
  let best = { leaves: leaves.length, events: events.length };
  for (const [at, key] of leaves.entries()) {
    if (at >= best.leaves + best.events) break;
    const place = key === undefined ? undefined : places.get(key);
    if (place !== undefined && at + place < best.leaves + best.events) best = { leaves: at, events: place };
  }
  return best;
}
