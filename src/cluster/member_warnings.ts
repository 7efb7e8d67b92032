/**
 * What a node reports of what goes wrong in the background.
 *
 * @module
 */
import { BackendError, ClosedError } from "../errors.ts";
import type { Warn } from "../warning.ts";
import type { CheckedOptions } from "./coordinator_options.ts";
import { isUnanswered, NodeNameTakenError, RevisionConflictError, shardMapTooLarge } from "./errors.ts";

/** The warnings of one node. */
export class MemberWarnings {
  readonly #name: string;
  readonly #shardCount: number;
  readonly #warn: Warn;

  constructor({ name, shardCount, warn }: Pick<CheckedOptions, "name" | "shardCount" | "warn">) {
    this.#name = name;
    this.#shardCount = shardCount;
    this.#warn = warn;
  }

  /** Its lease is over, and it joins again. */
  sessionLost(cause: unknown): void {
    this.#warn({
      code: "session-lost",
      message: `The node "${this.#name}" lost its session and joins again.`,
      cause,
    });
  }

  /** It can never join again. */
  cannotJoin(error: unknown): void {
    this.#warn({
      code: error instanceof NodeNameTakenError ? "name-lost" : "left-by-force",
      message: `The node "${this.#name}" cannot join again, and has left. ${messageOf(error)}`,
      cause: error,
    });
  }

  /** It does not learn what it has to give back. */
  watchLost(cause: unknown): void {
    this.#warn({
      code: "watch-lost",
      message: `The node "${this.#name}" cannot watch its cluster, and gives its shards back until it can.`,
      cause,
    });
  }

  /** What keeps the shard map from being stored, except an outage, which the node's own session reports. */
  mapNotStored(error: unknown): void {
    const isReported = isUnanswered(error) || error instanceof ClosedError;
    if (isReported || error instanceof RevisionConflictError) return;
    const cause = error instanceof BackendError && error.reason === "too-large"
      ? shardMapTooLarge(this.#shardCount, { cause: error })
      : error;
    this.#warn({
      code: "map-not-stored",
      message:
        `The node "${this.#name}" leads and cannot store the shard map, so that shards have no owner. ${
          messageOf(cause)
        }`,
      cause,
    });
  }

  /** A record cannot be read. */
  unreadable(key: string): void {
    this.#warn({
      code: "unreadable-record",
      message:
        `The node "${this.#name}" ignores the record "${key}", which is damaged or has a newer format. ` +
        "Use the newest version of the library on every node, or delete the record.",
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}
