/**
 * The progress of long work: a bar on a terminal, a line now and then elsewhere.
 *
 * @module
 */

import type { SingleBar } from "cli-progress";
import { plural } from "./output.ts";
import type { Terminal } from "./terminal.ts";

/** Between two lines, in milliseconds. */
const LINE_INTERVAL = 2_000;
/** How wide a bar is, at most and at least. */
const BAR_WIDTH = 30;
const LEAST_BAR_WIDTH = 5;
/** The room of the text next to the bar. */
const TEXT_WIDTH = 60;

/** Shows the progress of long work until it is disposed of. */
export interface Progress extends Disposable {
  /** Shows how many events have come through a phase. */
  update(phase: string, events: number): void;
}

/** Begins to show progress. */
export async function showProgress(terminal: Terminal): Promise<Progress> {
  if (!Deno.stderr.isTerminal()) return new Lines(terminal);
  const { default: { SingleBar } } = await import("cli-progress");
  const { stderr } = await import("node:process");
  const barsize = Math.max(LEAST_BAR_WIDTH, Math.min(BAR_WIDTH, (stderr.columns || 80) - TEXT_WIDTH));
  const options = {
    stream: stderr,
    barsize,
    barCompleteChar: "#",
    barIncompleteChar: "-",
    clearOnComplete: true,
    // Ctrl-C is the command's to handle.
    gracefulExit: false,
    hideCursor: false,
    etaBuffer: 100,
  };
  return new Bars((format) => new SingleBar({ ...options, format }));
}

class Lines implements Progress {
  readonly #terminal: Terminal;
  #noted = performance.now();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(phase: string, events: number): void {
    const now = performance.now();
    if (now - this.#noted < LINE_INTERVAL) return;
    this.#noted = now;
    this.#terminal.note(`${phase}: ${plural(events, "event")}`);
  }

  [Symbol.dispose](): void {}
}

/** A bar for each phase. How many events the first ones will have is not known: nothing counts a log before. */
class Bars implements Progress {
  readonly #newBar: (format: string) => SingleBar;
  #bar: SingleBar | undefined;
  #phase = "";
  #most = 0;

  constructor(newBar: (format: string) => SingleBar) {
    this.#newBar = newBar;
  }

  update(phase: string, events: number): void {
    if (phase !== this.#phase) this.#begin(phase);
    this.#most = Math.max(this.#most, events);
    this.#bar!.update(events, { events: plural(events, "event") });
  }

  /** The last phase goes through all events again. */
  #begin(phase: string): void {
    this[Symbol.dispose]();
    this.#phase = phase;
    const isKnown = phase === "verifying" && this.#most > 0;
    const share = isKnown ? " [{bar}] {percentage} %," : ":";
    this.#bar = this.#newBar(`${phase}${share} {events}, {duration_formatted}`);
    this.#bar.start(this.#most, 0, { events: plural(0, "event") });
  }

  /** Takes the bar away. */
  [Symbol.dispose](): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
