/**
 * What is known of the servers that keep a stream: which of them lack messages that others have.
 *
 * @module
 */

import type { Warn } from "../../../warning.ts";
import type { StreamInfo } from "../../../nats/jetstream/api_types.ts";

/** The replicas of one stream. */
export class Replicas {
  readonly #stream: string;
  readonly #warn: Warn;
  readonly #lacking = new Set<number>();
  readonly #damaged = new Set<string>();

  /** @param warn Takes what an operator should know. */
  constructor(stream: string, warn: Warn) {
    this.#stream = stream;
    this.#warn = warn;
  }

  /** Whether another replica had a message that the leader lacked. */
  leaderLacks(sequence: number): boolean {
    return this.#lacking.has(sequence);
  }

  /**
   * Notes that the leader lacks a message that another replica has.
   *
   * @param leader Asks for the leader's name.
   */
  async noteLacking(sequence: number, leader: () => Promise<string | undefined>): Promise<void> {
    if (this.#lacking.has(sequence)) return;
    this.#lacking.add(sequence);
    this.noteDamaged(await leader(), sequence);
  }

  /**
   * Notes that a server lacks messages that another one has, or that it counts itself, and warns of it once.
   *
   * @param server Its name; `undefined` if there is a single one.
   * @param sequence The message that another one has, if it is known.
   * @returns Whether that is new, so that another server may have what this one lacks.
   */
  noteDamaged(server: string | undefined, sequence?: number): boolean {
    if (server === undefined || this.#damaged.has(server)) return false;
    this.#damaged.add(server);
    const what = sequence === undefined
      ? `counts messages of stream "${this.#stream}" that it cannot read`
      : `lacks the message at sequence ${sequence} of stream "${this.#stream}", which another server has`;
    const message =
      `The server "${server}" ${what}. Make another server the leader, remove the stream's data from this ` +
      "one, and let it copy the stream again.";
    this.#warn({ code: "replica-damaged", message });
    return true;
  }

  /**
   * Where a consumer with a filter may run: nothing shows which messages it leaves out because its server lacks them. The
   * leader is as good as what every other read is held against.
   */
  choose({ cluster }: StreamInfo): (server: string) => boolean {
    const servers = [cluster?.leader, ...cluster?.replicas?.map(({ name }) => name) ?? []];
    const sound = servers.filter((name) => name !== undefined && !this.#damaged.has(name));
    if (sound.length === 0 || sound.length === servers.length) return (server) => server === cluster?.leader;
    return (server) => sound.includes(server);
  }
}
