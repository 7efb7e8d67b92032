/**
 * Appends with nats.go, the client for Go, by a program that Go compiles when it is first needed.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

/** How long the compilation may take: it downloads the modules. */
const BUILD_MS = 300_000;
/** How long a measurement may take. */
const RUN_MS = 120_000;
const SOURCE = fileURLToPath(new URL("nats_go/", import.meta.url));

/** The compiled program. */
export class NatsGo {
  #folder: string | undefined;
  #runs = 0;

  /** Compiles it; what is missing, if Go or the modules cannot be had. */
  async build(): Promise<string | undefined> {
    this.#folder = await Deno.makeTempDir();
    try {
      const { success, stderr } = await new Deno.Command("go", {
        args: ["build", "-buildvcs=false", "-o", `${this.#folder}/nats_go`, "."],
        cwd: SOURCE,
        signal: AbortSignal.timeout(BUILD_MS),
      }).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
    } catch (error) {
      return `put go on the PATH, and let it download the modules of tests/bench/nats_go (${error})`;
    }
    return undefined;
  }

  /** Publishes so many messages with an expectation, so many at once: messages a second. */
  async rate(url: string, stream: string, count: number, inFlight: number): Promise<number> {
    const { success, stdout, stderr } = await new Deno.Command(`${this.#folder}/nats_go`, {
      args: [url, stream, `go-${++this.#runs}`, String(count), String(inFlight)],
      signal: AbortSignal.timeout(RUN_MS),
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return Number(new TextDecoder().decode(stdout));
  }

  /** Removes it. */
  async close(): Promise<void> {
    if (this.#folder !== undefined) await Deno.remove(this.#folder, { recursive: true });
  }
}
