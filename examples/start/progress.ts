/** Progress for people: a bar on a terminal, a line now and then elsewhere. */

import { formatCount } from "./text.ts";

/** Between two updates, in milliseconds. */
const BAR_INTERVAL = 100;
const LINE_INTERVAL = 2000;

const BAR_WIDTH = 20;
/** ANSI: to the first column, and erase the line. */
const CLEAR = "\r\x1b[2K";

/** The progress of one task. Dispose of it to finish the bar. */
export class Progress implements Disposable {
  readonly #label: string;
  readonly #total: number;
  readonly #format: (amount: number) => string;
  readonly #onTerminal = Deno.stdout.isTerminal();
  #shown = performance.now();
  #drawn = false;

  /** Names the task, and describes how its amounts are written. */
  constructor(label: string, total: number, format: (amount: number) => string = formatCount) {
    this.#label = label;
    this.#total = total;
    this.#format = format;
  }

  /** Shows how far the task is, if it is time to. */
  update(done: number): void {
    const now = performance.now();
    if (now - this.#shown < (this.#onTerminal ? BAR_INTERVAL : LINE_INTERVAL)) return;
    this.#shown = now;
    const share = Math.min(1, done / Math.max(this.#total, 1));
    const amounts = `${this.#format(done)} of ${this.#format(this.#total)} (${Math.floor(share * 100)} %)`;
    if (!this.#onTerminal) {
      console.log(`${this.#label}: ${amounts}`);
      return;
    }
    const filled = Math.round(share * BAR_WIDTH);
    const bar = "#".repeat(filled) + "-".repeat(BAR_WIDTH - filled);
    write(`${CLEAR}${this.#label} [${bar}] ${amounts}`);
    this.#drawn = true;
  }

  /** Takes the bar away. */
  [Symbol.dispose](): void {
    if (this.#drawn) write(CLEAR);
    this.#drawn = false;
  }
}

function write(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}
