/**
 * The root of Aether's errors, and the errors that every part of the library shares.
 *
 * @module
 */

import { isInstance, registerClass } from "./copies.ts";

/**
 * The base class of every error that Aether throws on purpose. Catch a subclass to handle one condition; catch this
 * one to distinguish Aether's errors from the rest. The `name` of an error is that of its class, also in a minified
 * program.
 *
 * @example Tell Aether's errors apart
 * ```ts
 * import { AetherError, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const error = await store.getEvents("").catch((error: unknown) => error);
 * assert(error instanceof AetherError);
 * assert.equal(error.name, "InvalidArgumentError");
 * ```
 *
 * @category Errors and warnings
 */
export class AetherError extends Error {
  static {
    registerClass(this, "AetherError");
  }

  /**
   * Makes `instanceof` recognise errors of another copy of this library in the same program, for this class and every
   * class that extends it.
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isInstance(this, value);
  }
}

/**
 * An option or an argument is outside its documented range. Nothing was done.
 *
 * @category Errors and warnings
 */
export class InvalidArgumentError extends AetherError {
  static {
    registerClass(this, "InvalidArgumentError");
  }

  /** The name of the option or argument, such as `actorId` or `options.limit`. */
  readonly argument: string;

  /** Creates the error from the argument and what it must be. */
  constructor(argument: string, message: string, options?: ErrorOptions) {
    super(`${argument}: ${message}`, options);
    this.argument = argument;
  }
}

/**
 * A store (of events, of checkpoints or of leases) cannot be opened as asked.
 *
 * @example Say what is to be done, and end
 * ```ts
 * import { AetherError, DenoKvEventStore, StoreOpenError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * try {
 *   await using store = await DenoKvEventStore.open("/no/such/folder/events.kv");
 * } catch (error) {
 *   if (!(error instanceof StoreOpenError)) throw error;
 *   assert(error instanceof AetherError && error.message.includes("/no/such/folder/events.kv"));
 * }
 * ```
 *
 * @category Stores
 */
export class StoreOpenError extends AetherError {
  static {
    registerClass(this, "StoreOpenError");
  }
}

/** What was closed, and what to do. */
const CLOSED = {
  store:
    "The event store is closed. A store that is declared with `await using` at the top level of a program is closed " +
    "when the module has run: in a server, declare it with `const`, and close it when the server shuts down.",
  bus: "The bus is closed. Open a new one, or close this one later.",
  leases: "The lease store is closed. Open a new one, or close this one later.",
  coordinator: "The coordinator has left its cluster. Join again with a new one.",
  host: "The actor host or client is closed. Start a new one, or close this one later.",
  vault: "The vault is closed. Open a new one, or close this one after the stores that use it.",
  connection: "The connection or the database is closed by its owner. Open it again, and then what uses it.",
} as const;

/**
 * What was called is closed, or the connection or the database that it uses. Nothing was done.
 *
 * @example A bus that is closed
 * ```ts
 * import { ClosedError, LocalEventBus } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const bus = new LocalEventBus();
 * await bus.close();
 * const event = { eventType: "OrderPlaced", actorId: "order-1", version: 1, data: null };
 * const error = await bus.publish("orders", event).catch((error: unknown) => error);
 * assert(error instanceof ClosedError && error.reason === "bus");
 * ```
 *
 * @category Errors and warnings
 */
export class ClosedError extends AetherError {
  static {
    registerClass(this, "ClosedError");
  }

  /** What is closed. A `connection` may also be a database handle. */
  readonly reason: "store" | "bus" | "leases" | "coordinator" | "host" | "vault" | "connection";

  /** Creates the error; its message describes what to do. */
  constructor(
    reason: "store" | "bus" | "leases" | "coordinator" | "host" | "vault" | "connection",
    options?: ErrorOptions,
  ) {
    super(CLOSED[reason], options);
    this.reason = reason;
  }
}

/**
 * The event store was closed before the call, or during a read.
 *
 * @example A store that is closed
 * ```ts
 * import { InMemoryEventStore, StoreClosedError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const store = new InMemoryEventStore();
 * await store.close();
 * await assert.rejects(store.getEvents("order-1"), StoreClosedError);
 * ```
 *
 * @category Stores
 */
export class StoreClosedError extends ClosedError {
  static {
    registerClass(this, "StoreClosedError");
  }

  /** Creates the error; its message describes what to do. */
  constructor(options?: ErrorOptions) {
    super("store", options);
  }
}

/**
 * A setting that is other than it must be.
 *
 * @category Errors and warnings
 */
export interface SettingDifference {
  /** The setting, such as `deny_delete` of a stream or `shardCount` of a cluster. */
  readonly setting: string;
  /** What it must be, or what was asked for. */
  readonly expected: unknown;
  /** What it is. */
  readonly actual: unknown;
}

/** What to do about a difference. */
const MISMATCH = {
  stream:
    "Open the store with the options that it was created with, have an operator change the stream, or choose " +
    "another namespace.",
  bucket: "Use another name, or have an operator change the bucket.",
  cluster: "All nodes of a cluster use the same settings, which cannot be changed later.",
} as const;

/**
 * A stream, a bucket or a cluster exists and is configured differently than was asked. Nothing was changed.
 *
 * @example A node that was configured differently
 * ```ts
 * import { ConfigurationMismatchError, Coordinator, InMemoryBucket } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const cluster = new InMemoryBucket();
 * await using _other = await Coordinator.join(cluster, { shardCount: 64 });
 * try {
 *   await using _late = await Coordinator.join(cluster, { shardCount: 128 });
 * } catch (error) {
 *   if (!(error instanceof ConfigurationMismatchError)) throw error;
 *   assert.deepEqual(error.differences, [{ setting: "shardCount", expected: 128, actual: 64 }]);
 * }
 * ```
 *
 * @category Errors and warnings
 */
export class ConfigurationMismatchError extends AetherError {
  static {
    registerClass(this, "ConfigurationMismatchError");
  }

  /** What is configured differently. */
  readonly reason: "stream" | "bucket" | "cluster";
  /** The name of the stream or bucket; `undefined` for a cluster. */
  readonly subject: string | undefined;
  /** Every setting that differs. */
  readonly differences: readonly SettingDifference[];

  /** Lists the differences. */
  constructor(
    reason: "stream" | "bucket" | "cluster",
    subject: string | undefined,
    differences: readonly SettingDifference[],
    options?: ErrorOptions,
  ) {
    const list = differences.map(({ setting, expected, actual }) =>
      `${setting} is ${shown(actual)}, and must be ${shown(expected)}`
    );
    const what = subject === undefined ? `The ${reason}` : `The ${reason} "${subject}"`;
    super(`${what} exists and is configured differently: ${list.join("; ")}. ${MISMATCH[reason]}`, options);
    this.reason = reason;
    this.subject = subject;
    this.differences = differences;
  }
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? "unset";
}

/** What a {@linkcode BackendError} is made with. */
interface BackendErrorOptions extends ErrorOptions {
  /** What kind of failure it is. @default {"refused"} */
  readonly reason?: BackendError["reason"] | undefined;
}

/**
 * The backend (a NATS server, a database) refused an operation or could not be reached. A save of events that rejects
 * with it was not stored. The `cause` is the backend's own error.
 *
 * @example No server at an address
 * ```ts
 * import { BackendError, JetStreamEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * try {
 *   await using _store = await JetStreamEventStore.open("nats://127.0.0.1:1");
 * } catch (error) {
 *   if (!(error instanceof BackendError)) throw error;
 *   assert.equal(error.reason, "unreachable");
 *   assert.match(error.message, /127\.0\.0\.1:1/);
 * }
 * ```
 *
 * @category Stores
 */
export class BackendError extends AetherError {
  static {
    registerClass(this, "BackendError");
  }

  /** What was asked of the backend, such as `"connect"`, `"append"` or `"publish"`. */
  readonly operation: string;
  /**
   * `unreachable`: there is no connection or no answer; try again later. `denied`: the server refuses the credentials, or
   * the user has no permission. `refused`: the backend cannot do it, as its message explains. `untrusted`: the connection
   * could not be encrypted. `unsupported`: the server is too old, or does not run JetStream for the account.
   * `too-large`: a message is larger than the server's `max_payload`.
   */
  readonly reason: "unreachable" | "denied" | "refused" | "untrusted" | "unsupported" | "too-large";

  /** Names the operation and describes what to do. */
  constructor(operation: string, message: string, options: BackendErrorOptions = {}) {
    const { reason = "refused", ...rest } = options;
    super(`${operation}: ${message}`, rest);
    this.operation = operation;
    this.reason = reason;
  }
}
