/**
 * The events that were handed out behind the checkpoint: which of them are done, and up to where all are.
 *
 * A list in the order of the log. Events that are done next to each other are one entry, so that the list is as long as there are
 * events that are not done, however far the log was handed out meanwhile.
 *
 * @module
 */

import type { DoneRange } from "./record.ts";

/** An event that is not done, or several in a row that are. */
export interface Place {
  /** The position of the event; of several, of the last. */
  position: string;
  isDone: boolean;
  before: Place | undefined;
  behind: Place | undefined;
}

/** What was handed out behind a checkpoint. */
export class Window {
  #first: Place | undefined;
  #last: Place | undefined;
  #head: string | undefined;
  #open = 0;
  #runs = 0;

  /** How many events are not done. */
  get open(): number {
    return this.#open;
  }

  /** How many ranges of events are done behind one that is not. */
  get runs(): number {
    return this.#runs;
  }

  /** The last position that was handed out since the window was last cleared. */
  get head(): string | undefined {
    return this.#head;
  }

  /** The last of the events that are not done, if no event follows it. */
  get last(): Place | undefined {
    return this.#last?.isDone ? undefined : this.#last;
  }

  /** Whether it is the first event that is not done. */
  isFirst(place: Place): boolean {
    return this.#first === place;
  }

  /** Adds an event that is not done. */
  push(position: string): Place {
    this.#open++;
    return this.#append(position, false);
  }

  /**
   * Adds a place up to which everything behind the head is done.
   *
   * @returns The place up to which all is done, if it has moved.
   */
  skip(position: string): string | undefined {
    const last = this.#last;
    if (!last) return this.#head = position;
    if (last.isDone) this.#head = last.position = position;
    else {
      this.#runs++;
      this.#append(position, true);
    }
    return undefined;
  }

  /**
   * Notes that an event is done.
   *
   * @returns The place up to which all is done, if it has moved.
   */
  finish(place: Place): string | undefined {
    this.#open--;
    place.isDone = true;
    this.#runs++;
    const { before, behind } = place;
    if (behind?.isDone) {
      place.position = behind.position;
      this.#remove(behind);
    }
    if (before?.isDone) {
      before.position = place.position;
      this.#remove(place);
      return undefined;
    }
    if (this.#first !== place) return undefined;
    this.#remove(place);
    return place.position;
  }

  /** What is done behind an event that is not. */
  ranges(): DoneRange[] {
    const ranges: DoneRange[] = [];
    for (let place = this.#first; place; place = place.behind) {
      if (place.isDone) ranges.push({ after: place.before!.position, to: place.position });
    }
    return ranges;
  }

  /** Forgets all. */
  clear(): void {
    this.#first = this.#last = this.#head = undefined;
    this.#open = this.#runs = 0;
  }

  #append(position: string, isDone: boolean): Place {
    const before = this.#last;
    const place: Place = { position, isDone, before, behind: undefined };
    if (before) before.behind = place;
    else this.#first = place;
    this.#head = position;
    return this.#last = place;
  }

  /** Removes a place that is done. */
  #remove(place: Place): void {
    const { before, behind } = place;
    if (before) before.behind = behind;
    else this.#first = behind;
    if (behind) behind.before = before;
    else this.#last = before;
    this.#runs--;
  }
}
