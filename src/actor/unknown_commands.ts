/**
 * Commands that are called again after nothing was learned of them.
 *
 * @module
 */

import { OutcomeUnknownError } from "../store/errors.ts";
import type { ActorRequest, SendRequest } from "./reference.ts";

/** How many are remembered. */
const MAX_REMEMBERED = 1_000;

/** Remembers the latest commands of unknown outcome: another process may still store them when they are called again. */
export class UnknownCommands {
  readonly #keys = new Set<string>();

  /** Sends a request, marked if it repeats such a command. */
  async send(request: ActorRequest, send: SendRequest): Promise<unknown> {
    const { actorId, id, signal } = request;
    if (id === undefined) return await send(request);
    const key = `${actorId} ${id}`;
    try {
      const answer = await send(this.#keys.has(key) ? { ...request, mayBeStored: true } : request);
      this.#keys.delete(key);
      return answer;
    } catch (error) {
      if (error instanceof OutcomeUnknownError || signal?.aborted) this.#note(key);
      throw error;
    }
  }

  #note(key: string): void {
    this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      break;
    }
  }
}
