/** Progress for people: a bar on a terminal, a line now and then elsewhere. */

import process from "node:process";
import cliProgress from "cli-progress";
import { formatCount } from "./text.ts";

/** Between two lines, in milliseconds. */
const LINE_INTERVAL = 2000;

const BAR_WIDTH = 20;

/** The progress of one task. Dispose of it to finish the bar. */
export class Progress implements Disposable {
  readonly #label: string;
  readonly #total: number;
  readonly #format: (amount: number) => string;
  readonly #bar = Deno.stdout.isTerminal() ? newBar() : undefined;
  #shown = performance.now();

  /** Names the task, and describes how its amounts are written. */
  constructor(label: string, total: number, format: (amount: number) => string = formatCount) {
    this.#label = label;
    this.#total = total;
    this.#format = format;
    this.#bar?.start(Math.max(total, 1), 0, { label, amounts: "" });
  }

  /** Shows how far the task is, if it is time to. */
  update(done: number): void {
    if (this.#bar) {
      this.#bar.update(done, { amounts: this.#amounts(done) });
      return;
    }
    const now = performance.now();
    if (now - this.#shown < LINE_INTERVAL) return;
    this.#shown = now;
    console.log(`${this.#label}: ${this.#amounts(done)}`);
  }

  #amounts(done: number): string {
    const share = Math.min(1, done / Math.max(this.#total, 1));
    return `${this.#format(done)} of ${this.#format(this.#total)} (${Math.floor(share * 100)} %)`;
  }

  /** Takes the bar away. */
  [Symbol.dispose](): void {
    this.#bar?.stop();
  }
}

function newBar(): InstanceType<typeof cliProgress.SingleBar> {
  return new cliProgress.SingleBar({
    stream: process.stdout,
    format: "{label} [{bar}] {amounts}",
    barsize: BAR_WIDTH,
    barCompleteChar: "#",
    barIncompleteChar: "-",
    clearOnComplete: true,
    // Ctrl-C is the importer's to handle.
    gracefulExit: false,
    hideCursor: false,
  });
}
