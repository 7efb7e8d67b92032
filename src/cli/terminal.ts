/**
 * Where a command prints to. It waits for a reader that is slow, and ends at an interrupt all the same.
 *
 * @module
 */

import { CommandFailure, ExitCode } from "./failure.ts";

/** Where a command prints to. */
export interface Terminal {
  /** Prints a line of the result. */
  print(line: string): void;
  /** Prints a line about the work: progress, warnings. */
  note(line: string): void;
  /**
   * Waits while much of what was printed has not been taken: to be called after each line of a result of any length.
   *
   * @throws {CommandFailure} If the reader reads no more, as `head` does; the reason of the signal if that fires.
   */
  room(): Promise<void>;
  /** Waits until all that was printed has been taken. */
  flush(): Promise<void>;
  /** Prints bytes as they are, and waits until they have been taken. */
  write(bytes: Uint8Array): Promise<void>;
  /** How wide a line may be; `undefined` if it is no terminal. */
  readonly columns: number | undefined;
  /** Whether the lines may have colours. */
  readonly hasColours: boolean;
}

/** How wide a terminal is that does not report it. */
const DEFAULT_COLUMNS = 80;
/** How many characters may wait to be taken. */
const MAX_WAITING = 65_536;
/** How long to wait for a reader whose pipe is full and non-blocking, in milliseconds. */
const FULL_PIPE_WAIT = 5;
/** How many bytes a pipe takes whole or not at all: PIPE_BUF of Linux. */
const PIECE_BYTES = 4_096;
const NEWLINE = 0x0a;
/** How long what a command that was interrupted prints last may take, in milliseconds. */
const LAST_TIME = 250;

/** An output of this process. */
type Output = Pick<typeof Deno.stdout, "write">;

/** The terminal of this process. It has colours if it is a real one, and NO_COLOR is not set. */
export class ProcessTerminal implements Terminal {
  readonly columns: number | undefined;
  readonly hasColours: boolean;
  readonly #hide: (text: string) => string;
  readonly #signal: AbortSignal;
  readonly #encoder = new TextEncoder();
  #waiting: { readonly to: Output; readonly text: string }[] = [];
  #characters = 0;
  #writing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param hide Hides secrets in what is noted.
   * @param signal Ends every wait for a reader.
   */
  constructor(hide: (text: string) => string, signal: AbortSignal) {
    const isTerminal = Deno.stdout.isTerminal();
    this.columns = isTerminal ? Deno.consoleSize().columns || DEFAULT_COLUMNS : undefined;
    this.hasColours = isTerminal && !Deno.noColor;
    this.#hide = hide;
    this.#signal = signal;
  }

  print(line: string): void {
    this.#put(Deno.stdout, line);
  }

  note(line: string): void {
    this.#put(Deno.stderr, this.#hide(line));
  }

  async room(): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#failure || this.#characters >= MAX_WAITING) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#writing) await this.#unlessInterrupted(this.#writing);
    if (this.#failure) throw this.#failure.error;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#unlessInterrupted(writeAll(Deno.stdout, bytes));
  }

  /** Waits until all has been taken, at the end of a command; not for long if it was interrupted. */
  async finish(): Promise<void> {
    if (this.#signal.aborted && this.#writing) await Promise.race([this.#writing, lastTime()]);
    await this.flush();
  }

  /** Notes a line at the end of a command that was interrupted: what waits before it is given up. */
  async noteLast(line: string): Promise<void> {
    this.#waiting = [];
    const written = writeAll(Deno.stderr, this.#encoder.encode(`${this.#hide(line)}\n`)).catch(() => {});
    await Promise.race([written, lastTime()]);
  }

  #put(to: Output, line: string): void {
    if (this.#failure) throw this.#failure.error;
    this.#waiting.push({ to, text: `${line}\n` });
    this.#characters += line.length + 1;
    this.#writing ??= this.#write();
  }

  /** Writes what waits, in order; what was printed meanwhile, at once. */
  async #write(): Promise<void> {
    try {
      await Promise.resolve(); // for the lines that are printed next to the first one
      while (this.#waiting.length > 0) {
        const { to } = this.#waiting[0]!;
        const other = this.#waiting.findIndex((line) => line.to !== to);
        const lines = this.#waiting.splice(0, other < 0 ? this.#waiting.length : other);
        const text = lines.map((line) => line.text).join("");
        await writeAll(to, this.#encoder.encode(text));
        this.#characters -= text.length;
      }
    } catch (error) {
      this.#failure = { error };
      this.#waiting = [];
    } finally {
      this.#writing = undefined;
    }
  }

  /** Like `abortable`, whose module a look at an actor does not load otherwise. */
  async #unlessInterrupted(work: Promise<void>): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const end = (): void => reject(this.#signal.reason);
    this.#signal.throwIfAborted();
    this.#signal.addEventListener("abort", end);
    try {
      await Promise.race([work, promise]);
    } finally {
      this.#signal.removeEventListener("abort", end);
    }
  }
}

function lastTime(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LAST_TIME));
}

/**
 * Writes all bytes. A write that waits for a reader does not hold up the process: an interrupt still ends it. A pipe that
 * another process has made non-blocking, as Node.js does, refuses what it has no room for.
 *
 * @throws {CommandFailure} If the reader reads no more.
 */
async function writeAll(to: Output, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    try {
      at += await to.write(pieceOf(bytes, at));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new CommandFailure("", ExitCode.outputClosed);
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await new Promise((resolve) => setTimeout(resolve, FULL_PIPE_WAIT));
    }
  }
}

/**
 * What is written at once: whole lines, or a part of a long one. The system takes so much whole or not at all; if it took a
 * part of more and then refused the rest, the runtime would not say how much that was, and it would be printed twice.
 */
function pieceOf(bytes: Uint8Array, at: number): Uint8Array {
  const piece = bytes.subarray(at, at + PIECE_BYTES);
  const lines = piece.lastIndexOf(NEWLINE) + 1;
  return lines > 0 ? piece.subarray(0, lines) : piece;
}
