/**
 * Whether the stream of a store is still the log that was opened. A stream that was deleted, or replaced by another one of the
 * same name, is another log: positions and versions of the first have no meaning in it.
 *
 * @module
 */

import { LogReplacedError, otherLog } from "../../errors.ts";
import { StreamNotFoundError } from "../../../nats/jetstream/api_errors.ts";
import type { StreamConfig, StreamInfo } from "../../../nats/jetstream/api_types.ts";
import type { JetStreamRequests } from "../../../nats/jetstream/requests.ts";
import type { Layout } from "../format/layout.ts";
import type { ObservedConfig } from "./observed_config.ts";

/** The stream's metadata that names the log. */
export const LOG_ID = "aether-log";
/** The stream's metadata that names the format of what it holds. */
export const LOG_FORMAT = "aether-format";

/** The id of the log that a stream holds; `undefined` if it holds none. */
export function logIdOf({ metadata }: StreamConfig): string | undefined {
  return (metadata as Readonly<Record<string, string>> | undefined)?.[LOG_ID];
}

/** Compares the stream with the log that was opened. */
export class StreamIdentity {
  readonly #requests: JetStreamRequests;
  readonly #layout: Layout;
  readonly #config: ObservedConfig;
  #isReplaced = false;

  /** @param config Notes the configuration with each answer about the stream. */
  constructor(requests: JetStreamRequests, layout: Layout, config: ObservedConfig) {
    this.#requests = requests;
    this.#layout = layout;
    this.#config = config;
  }

  /** Whether the log was deleted or replaced when it was last checked. */
  get isReplaced(): boolean {
    return this.#isReplaced;
  }

  /**
   * Asks about the stream, once.
   *
   * @throws {LogReplacedError} If the stream is not the log that was opened.
   */
  async info(): Promise<StreamInfo> {
    const { stream, logId } = this.#layout;
    const info = await this.found(() => this.#requests.streamInfo(stream));
    this.#isReplaced = logIdOf(info.config) !== logId;
    if (this.#isReplaced) throw this.#replacedError();
    this.#config.note(info.config);
    return info;
  }

  /**
   * Asks something of the stream, once. A stream that does not exist is a log that was deleted.
   *
   * @throws {LogReplacedError} If the stream does not exist.
   */
  async found<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof StreamNotFoundError)) throw error;
      this.#isReplaced = true;
      throw this.#replacedError({ cause: error });
    }
  }

  /**
   * Checks that the log was not replaced, as far as it can be known now: an election passes.
   *
   * @throws {LogReplacedError} If the stream is another log, or does not exist.
   */
  async assertNotReplaced(): Promise<void> {
    try {
      await this.info();
    } catch (error) {
      if (error instanceof LogReplacedError) throw error;
    }
  }

  #replacedError(options?: ErrorOptions): LogReplacedError {
    return otherLog(`stream "${this.#layout.stream}"`, "server", options);
  }
}
