/**
 * Processes that write and read, and that are killed and started again.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";

/** A program in its place: whoever is killed is followed by another one. */
export class ProgramInPlace {
  readonly name: string;
  readonly #program: string;
  readonly #argumentsOf: (incarnation: number) => unknown;
  #incarnation = 0;
  #process: Deno.ChildProcess | undefined;
  #errors: Promise<string> = Promise.resolve("");

  /** @param program The file beside this one. */
  constructor(name: string, program: string, argumentsOf: (incarnation: number) => unknown) {
    this.name = name;
    this.#program = fileURLToPath(new URL(program, import.meta.url));
    this.#argumentsOf = argumentsOf;
  }

  /** Starts it, and waits until it works. */
  async start(): Promise<void> {
    const text = JSON.stringify(this.#argumentsOf(this.#incarnation++));
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", this.#program, text],
      stdin: "piped", // it ends when this process does
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#process = process;
    this.#errors = new Response(process.stderr).text();
    const { promise, resolve } = Promise.withResolvers<void>();
    void (async () => {
      let said = "";
      for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
        if ((said += text).includes("ready")) resolve();
      }
      resolve();
    })();
    await promise;
  }

  /** Kills it with SIGKILL, and starts it again. */
  async killAndStart(): Promise<void> {
    this.signal("SIGKILL");
    const { signal } = await this.#process!.status;
    assert.equal(signal, "SIGKILL", `${this.name} had ended by itself: ${await this.#errors}`);
    await this.#ended();
    await this.start();
  }

  /** Sends it a signal. One that has ended by itself is asked for the reason by who waits for its end. */
  signal(signal: Deno.Signal): void {
    try {
      this.#process?.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /** Asks it to finish what it has begun, and waits for that. */
  async finish(): Promise<void> {
    this.signal("SIGTERM");
    const { success } = await this.#process!.status;
    assert(success, `${this.name}: ${await this.#errors}`);
    await this.#ended();
  }

  /** Ends it, whatever it does. */
  async end(): Promise<void> {
    this.signal("SIGKILL");
    await this.#process?.status;
    await this.#ended();
  }

  async #ended(): Promise<void> {
    await this.#errors;
    const process = this.#process;
    this.#process = undefined;
    await process?.stdin.close().catch(() => {}); // nobody reads it any more
  }
}
