/**
 * The configuration of a stream as it was last seen. An operator may change it while the log is open.
 *
 * @module
 */

import type { SettingDifference } from "../../../errors.ts";
import type { StreamConfig } from "../../../nats/jetstream/api_types.ts";
import type { Warn } from "../../../warning.ts";
import { retentionOf } from "../retention/retention.ts";

/** For how long it counts that a stream has a single replica, in milliseconds. */
const SINGLE_VALIDITY = 5_000;

/** What an open store knows of the settings. */
export class ObservedConfig {
  readonly #stream: string;
  readonly #differences: (config: StreamConfig) => readonly SettingDifference[];
  readonly #warn: Warn;
  #config: StreamConfig;
  #seenAt = performance.now();
  #expires: boolean;
  /** The last warning of settings that were changed; empty without one. */
  #changes = "";

  /** Called when the retention has changed. */
  onRetentionChange: () => void = () => {};

  /**
   * @param differences Returns how a configuration differs from what the store needs.
   * @param warn Takes what an operator should know.
   */
  constructor(
    config: StreamConfig,
    stream: string,
    differences: (config: StreamConfig) => readonly SettingDifference[],
    warn: Warn,
  ) {
    this.#config = config;
    this.#stream = stream;
    this.#differences = differences;
    this.#warn = warn;
    this.#expires = this.retention < Infinity;
  }

  /** How long messages are kept, in milliseconds; infinite without a limit. */
  get retention(): number {
    return retentionOf(this.#config);
  }

  /** Whether messages may have expired. */
  get expires(): boolean {
    return this.#expires;
  }

  /** Notes that messages have expired under a retention that was removed. */
  noteExpired(): void {
    this.#expires = true;
  }

  /** Whether several servers keep each message. */
  get isReplicated(): boolean {
    return Number(this.#config.num_replicas ?? 1) > 1;
  }

  /** Whether it was seen a moment ago that a single server keeps each message. */
  get isSingle(): boolean {
    return !this.isReplicated && performance.now() < this.#seenAt + SINGLE_VALIDITY;
  }

  /** Takes the configuration as it is now. */
  note(config: StreamConfig): void {
    const before = this.retention;
    this.#config = config;
    this.#seenAt = performance.now();
    this.#warnOfChanges();
    if (this.retention === before) return;
    this.#expires ||= this.retention < Infinity; // what has expired before stays so
    this.onRetentionChange();
  }

  /** Warns once of settings that the store does not work with: what saves and reads meet then does not name them. */
  #warnOfChanges(): void {
    const changes = this.#differences(this.#config).map(({ setting, expected, actual }) =>
      `${setting} is ${JSON.stringify(actual)}, and must be ${JSON.stringify(expected) ?? "unset"}`
    ).join("; ");
    if (changes === this.#changes) return;
    this.#changes = changes;
    if (changes === "") return;
    const message =
      `The stream "${this.#stream}" was changed: ${changes}. Saves and reads may fail, and events may ` +
      "be lost. Change it back, and find out who changed it.";
    this.#warn({ code: "stream-changed", message });
  }
}
