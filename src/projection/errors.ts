/**
 * The conditions of projections that a caller would handle.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";
import { FencedError } from "../store/errors.ts";
import { segmentOf } from "./layout.ts";

/**
 * Names one version of a projection.
 *
 * @category Projections
 */
export interface ProjectionId {
  /** The projection's name. */
  readonly name: string;
  /** Its version. */
  readonly version: number;
}

/**
 * The event that a projection could not handle.
 *
 * @category Projections
 */
export interface FailedEvent {
  /** Its position in the global log. */
  readonly position: string;
  /** Its id. */
  readonly eventId: string;
  /** Its type. */
  readonly eventType: string;
  /** Its actor. */
  readonly actorId: string;
  /** Its version among the actor's events. */
  readonly eventVersion: number;
  /** If one stored event is handed out as several: which of them it is, from 0. */
  readonly part?: number | undefined;
  /** Its key, if the projection has a key of its own: later events of the key may wait behind it. */
  readonly key?: string | undefined;
}

/**
 * A checkpoint was changed by another process since it was read. Nothing was stored.
 *
 * @category Projections
 */
export class CheckpointConflictError extends AetherError {
  static {
    registerClass(this, "CheckpointConflictError");
  }

  /** Always `"CheckpointConflictError"`. */
  override readonly name = "CheckpointConflictError";
  /** The projection. */
  readonly projection: ProjectionId;

  /** Names the projection. */
  constructor(projection: ProjectionId, options?: ErrorOptions) {
    super(`The checkpoint of ${show(projection)} was changed by another process: read it again`, options);
    this.projection = segmentOf(projection).id;
  }
}

/**
 * A stored checkpoint cannot be read. It was left as it is.
 *
 * @category Projections
 */
export class DamagedCheckpointError extends AetherError {
  static {
    registerClass(this, "DamagedCheckpointError");
  }

  /** Always `"DamagedCheckpointError"`. */
  override readonly name = "DamagedCheckpointError";
  /** The projection. */
  readonly projection: ProjectionId;

  /** Names the projection and what is wrong. */
  constructor(projection: ProjectionId, reason: string, options?: ErrorOptions) {
    super(
      `The checkpoint of ${
        show(projection)
      } cannot be read (${reason}): restore it from a backup, or delete it with ` +
        "deleteCheckpoint() to begin again",
      options,
    );
    this.projection = segmentOf(projection).id;
  }
}

/**
 * Another worker, or a projection with another filter, uses the checkpoint. Nothing was handled or deleted that is not part of
 * the checkpoint.
 *
 * @example Delete a checkpoint only if no worker runs the projection
 * ```ts
 * import { deleteCheckpoint, InMemoryCheckpoints, InMemoryEventStore, ProjectionInUseError, runProjection } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const projection = { name: "totals", checkpoints: new InMemoryCheckpoints(), handle: () => {} };
 * await using run = runProjection(store, projection);
 * while (run.state !== "live") await new Promise((resolve) => setTimeout(resolve, 1));
 * try {
 *   await deleteCheckpoint(projection);
 * } catch (error) {
 *   if (!(error instanceof ProjectionInUseError)) throw error;
 *   assert.equal(error.reason, "running");
 * }
 * ```
 *
 * @category Projections
 */
export class ProjectionInUseError extends AetherError {
  static {
    registerClass(this, "ProjectionInUseError");
  }

  /** Always `"ProjectionInUseError"`. */
  override readonly name = "ProjectionInUseError";
  /** The projection. */
  readonly projection: ProjectionId;
  /**
   * `running`: a worker runs it. `taken-over`: another worker goes on in the place of this one. `other-filter`: its name and
   * version are those of a projection with another filter. `replaced`: a later version has taken over.
   */
  readonly reason: "running" | "taken-over" | "other-filter" | "replaced";

  /** Names the projection, what uses it, and what to do. */
  constructor(
    projection: ProjectionId,
    reason: ProjectionInUseError["reason"],
    advice: string,
    options?: ErrorOptions,
  ) {
    super(`${show(projection)} ${USES[reason]}: ${advice}`, options);
    this.projection = projection;
    this.reason = reason;
  }
}

/** What to do after another worker has taken a projection over. */
export const STOP_THIS = "stop this worker. What it had not committed is not part of the checkpoint";

const USES: Readonly<Record<ProjectionInUseError["reason"], string>> = {
  "running": "is run by a worker",
  "taken-over": "was taken over by another worker",
  "replaced": "was replaced by a later version",
  "other-filter": "has a checkpoint of another filter",
};

/**
 * A handler's attempt failed, or what it wrote was refused. Nothing of it was written, and the failure policy applies to the
 * event.
 *
 * @example A key that Deno KV does not take
 * ```ts
 * import { DenoKvCheckpoints, HandlerError, InMemoryEventStore, listParked, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * using kv = await Deno.openKv(":memory:");
 * await using checkpoints = await DenoKvCheckpoints.open(kv);
 * await projectOnce(store, {
 *   name: "titles",
 *   checkpoints,
 *   handle: {
 *     OrderPlaced(_, { transaction }) {
 *       assert.throws(() => transaction.set(["title", "x".repeat(3_000)], true), HandlerError);
 *       transaction.set(["title", "x".repeat(2_000)], true);
 *     },
 *   },
 * });
 * assert.deepEqual(await listParked({ name: "titles", checkpoints }), []);
 * ```
 *
 * @category Projections
 */
export class HandlerError extends AetherError {
  static {
    registerClass(this, "HandlerError");
  }

  /** Always `"HandlerError"`. */
  override readonly name = "HandlerError";
  /**
   * `timeout`: it did not return in time. `process-ended`: the process ended each time that it handled the event.
   * `transaction-over`: it used its transaction after its attempt. `transaction-refused`: the database does not take what it
   * wrote, such as a constraint that is checked at the commit, a key, or a statement that would end the transaction.
   * `transaction-too-large`: one event's writes, or the events of its reactions, are more than can be committed together.
   */
  readonly reason:
    | "timeout"
    | "process-ended"
    | "transaction-over"
    | "transaction-refused"
    | "transaction-too-large";

  /** Keeps the reason. The message ends with what to do. */
  constructor(reason: HandlerError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** A handler used its transaction after its attempt. Nothing was written. */
export function transactionOver(): HandlerError {
  return new HandlerError(
    "transaction-over",
    "The handler's attempt is over, and its transaction with it: await everything that the handler begins",
  );
}

/** The database does not take what a handler wrote. */
export function transactionRefused(reason: string, options?: ErrorOptions): HandlerError {
  return new HandlerError("transaction-refused", refusedText(reason), options);
}

/** One event's writes are more than a transaction takes. */
export function transactionTooLarge(unit: "writes" | "bytes", size: number, limit: number): HandlerError {
  return new HandlerError(
    "transaction-too-large",
    `The handler wrote ${size} ${unit} for one event, and a transaction takes ${limit}: write less for each event`,
  );
}

/** A handler did not return in time. */
export function handlerTimeout(timeout: number): HandlerError {
  return new HandlerError(
    "timeout",
    `The handler did not return within ${timeout} ms: end its work when context.signal fires, or raise handlerTimeout`,
  );
}

/** The process ended each time that it handled an event. */
export function processEnded(times: number): HandlerError {
  return new HandlerError(
    "process-ended",
    `The process ended ${times} time(s) while it handled the event: look for what ends it, such as an exit, ` +
      "an error that is not caught, endless work or too little memory",
  );
}

/** The writes of earlier events are gone with those of a later one, which alone was refused. */
export class TransactionLostError extends HandlerError {
  static {
    registerClass(this, "TransactionLostError");
  }

  /** Gives the reason. */
  constructor(reason: string, options?: ErrorOptions) {
    super("transaction-refused", refusedText(reason), options);
  }
}

/** Another handler has the transaction at this moment: the handler is called again when that one has ended. */
export class TransactionBusyError extends HandlerError {
  static {
    registerClass(this, "TransactionBusyError");
  }

  /** Resolves when the handler that has it has ended. */
  readonly whenFree: Promise<void>;

  /** Another handler has it until then. */
  constructor(whenFree: Promise<void>) {
    super(
      "transaction-over",
      "Another handler writes at this moment: this one is called again when that one has ended.",
    );
    this.whenFree = whenFree;
  }
}

/** Whether an error is that of writes which the database does not take. */
export function isTransactionRefused(error: unknown): error is HandlerError {
  return error instanceof HandlerError && error.reason === "transaction-refused";
}

function refusedText(reason: string): string {
  return `What the handler wrote was refused: ${reason}. Correct the handler, and retry the event`;
}

/**
 * Why a projection stopped: its handler failed as often as the policy allows, or the event is to be parked and the list of
 * parked events is full; the `Deno.Kv` handle, the database or the NATS connection was closed by its owner; the bucket or table
 * of the checkpoints or leases was deleted and is not made again; the server refuses the credentials.
 *
 * @category Projections
 */
export type StopReason =
  | "handler-failed"
  | "parked-list-full"
  | "closed"
  | "bucket-missing"
  | "credentials-refused";

const DISCONNECTED = {
  "closed":
    "a database handle or a connection that it uses was closed: close the projection first, or open what it " +
    "uses again and run it again",
  "bucket-missing":
    "the bucket or table of its checkpoints or leases does not exist any more: restore it from a backup, or " +
    "open the checkpoints again to make a new one",
  "credentials-refused": "the server refuses its credentials or permissions: correct them and run it again",
} as const;

/** Why waiting does not help: what a projection works with is not reachable. */
export type DisconnectionReason = keyof typeof DISCONNECTED;

/**
 * A projection stopped: before an event that its handler failed on as often as the policy allows, or because what it works
 * with is not reachable and will not be by waiting. Its `cause` is the failure.
 *
 * @example See which event a handler failed on
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, ProjectionStoppedError, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * try {
 *   await projectOnce(store, {
 *     name: "receipts",
 *     checkpoints: new InMemoryCheckpoints(),
 *     handle() {
 *       throw new Error("out of paper");
 *     },
 *     failure: { retries: 0 },
 *   });
 * } catch (error) {
 *   if (!(error instanceof ProjectionStoppedError)) throw error;
 *   assert.equal(error.event?.actorId, "order-1");
 * }
 * ```
 *
 * @example Tell a closed handle from a handler that failed
 * ```ts
 * import { DenoKvCheckpoints, InMemoryEventStore, ProjectionStoppedError, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const kv = await Deno.openKv(":memory:");
 * const checkpoints = await DenoKvCheckpoints.open(kv);
 * kv.close();
 * try {
 *   await projectOnce(store, { name: "totals", checkpoints, handle: () => {} });
 * } catch (error) {
 *   if (!(error instanceof ProjectionStoppedError)) throw error;
 *   assert.equal(error.reason, "closed");
 * }
 * ```
 *
 * @category Projections
 */
export class ProjectionStoppedError extends AetherError {
  static {
    registerClass(this, "ProjectionStoppedError");
  }

  /** Always `"ProjectionStoppedError"`. */
  override readonly name = "ProjectionStoppedError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** Why it stopped. */
  readonly reason: StopReason;
  /** The event that its handler failed on; `undefined` if what it works with is not reachable. */
  readonly event: FailedEvent | undefined;
  /** How often the event was tried; 0 without one. */
  readonly attempts: number;

  /** Keeps what the message describes. {@linkcode stoppedBefore} and {@linkcode disconnected} make it. */
  constructor(
    projection: ProjectionId,
    reason: StopReason,
    message: string,
    options: ErrorOptions & { readonly event?: FailedEvent; readonly attempts?: number } = {},
  ) {
    const { event, attempts = 0, ...rest } = options;
    super(message, rest);
    this.projection = projection;
    this.reason = reason;
    this.event = event;
    this.attempts = attempts;
  }
}

/** A projection stopped before an event. The message names the projection, the event and what to do. */
export function stoppedBefore(
  projection: ProjectionId,
  event: FailedEvent,
  attempts: number,
  options: ErrorOptions & { readonly reason?: "handler-failed" | "parked-list-full" } = {},
): ProjectionStoppedError {
  const { reason = "handler-failed", ...rest } = options;
  const advice = reason === "parked-list-full"
    ? "its list of parked events is full. Retry or discard them, and run it again"
    : `${
      rest.cause instanceof FencedError ? UNFENCED_ADVICE : "correct the handler"
    } and run it again, or declare failure: { then: "park" }`;
  const message =
    `${show(projection)} stopped before version ${event.eventVersion} ("${event.eventType}") of actor ` +
    `${JSON.stringify(event.actorId)} after ${attempts} attempt(s): ${advice}`;
  return new ProjectionStoppedError(projection, reason, message, { ...rest, event, attempts });
}

/** A projection stopped because what it works with is not reachable. */
export function disconnected(
  projection: ProjectionId,
  reason: DisconnectionReason,
  cause: unknown,
): ProjectionStoppedError {
  const message = `${show(projection)} cannot go on: ${DISCONNECTED[reason]}`;
  return new ProjectionStoppedError(projection, reason, message, { cause });
}

/** Whether a projection was stopped by what it works with, and not by an event. */
export function isDisconnected(error: unknown): error is ProjectionStoppedError {
  return error instanceof ProjectionStoppedError && error.reason in DISCONNECTED;
}

/**
 * The event that was waited for is not handled: the projection did not come to it in time, and still may, or the event was
 * parked, or waits behind a parked event of its actor.
 *
 * @example Answer within a limited time
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, ProjectionBehindError, waitFor } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * const position = await store.getLastPosition();
 * const projection = { name: "orders", checkpoints: new InMemoryCheckpoints() };
 * try {
 *   await waitFor(store, projection, position!, { timeout: 10 });
 * } catch (error) {
 *   if (!(error instanceof ProjectionBehindError)) throw error;
 *   assert.equal(error.reached, undefined); // HTTP 503 with Retry-After, say
 * }
 * ```
 *
 * @example Tell the caller that the event needs attention
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, type Projection, ProjectionBehindError, projectOnce, waitFor } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const [placed] = await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * const receipts: Projection = {
 *   name: "receipts",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle() {
 *     throw new Error("out of paper");
 *   },
 *   failure: { retries: 0, then: "park" },
 * };
 * await projectOnce(store, receipts, { onWarning: () => {} });
 * try {
 *   await waitFor(store, receipts, placed!.position);
 * } catch (error) {
 *   if (!(error instanceof ProjectionBehindError && error.reason === "parked")) throw error;
 *   assert.equal(error.parked?.actorId, "order-1");
 * }
 * ```
 *
 * @category Projections
 */
export class ProjectionBehindError extends AetherError {
  static {
    registerClass(this, "ProjectionBehindError");
  }

  /** Always `"ProjectionBehindError"`. */
  override readonly name = "ProjectionBehindError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** The position that was waited for. */
  readonly position: string;
  /** Whether the time was over, or a parked event has to be retried or discarded first. */
  readonly reason: "timeout" | "parked";
  /** Where the projection is; nothing if it has not begun. */
  readonly reached: string | undefined;
  /** The parked event; `undefined` if the time was over. */
  readonly parked: FailedEvent | undefined;

  /** Keeps what the message describes. */
  constructor(
    { name, version }: ProjectionId,
    position: string,
    message: string,
    { reached, parked }: { readonly reached: string | undefined; readonly parked?: FailedEvent },
  ) {
    super(message);
    this.projection = { name, version };
    this.position = position;
    this.reason = parked ? "parked" : "timeout";
    this.reached = reached;
    this.parked = parked;
  }
}

/**
 * A projection did not come to a position in time.
 *
 * @param seen Where it was seen; nothing if its checkpoint was not read in that time.
 */
export function notReached(
  projection: ProjectionId,
  position: string,
  seen: { readonly at: string | undefined } | undefined,
  timeout: number,
): ProjectionBehindError {
  const what = `${show(projection)} did not come to position ${position} within ${timeout} ms`;
  const message = seen
    ? `${what}; it is at ${
      seen.at ?? "the start"
    }: see that a worker runs it, and look at projectionStatuses()`
    : `${what}, or has: its checkpoint could not be read in that time. See that the servers answer, or wait longer`;
  return new ProjectionBehindError(projection, position, message, { reached: seen?.at });
}

/** The event that was waited for was parked, or waits behind a parked one. */
export function heldByParked(
  projection: ProjectionId & { readonly position?: string | undefined },
  position: string,
  { position: parkedAt, eventId, eventType, actorId, eventVersion }: FailedEvent,
): ProjectionBehindError {
  const what = parkedAt === position
    ? `The event at position ${position} was parked by`
    : `The event at position ${position} waits behind the event at ${parkedAt}, which was parked by`;
  const message = `${what} ${
    show(projection)
  }: correct the cause, then call retryParked() or discardParked()`;
  const parked = { position: parkedAt, eventId, eventType, actorId, eventVersion };
  return new ProjectionBehindError(projection, position, message, { reached: projection.position, parked });
}

const UNFENCED_ADVICE =
  "its reaction is for an actor that is owned under a fencing token. Declare unfenced: true for the projection, or return " +
  "the reaction with the owner's fencingToken,";

function show(shown: ProjectionId): string {
  const { id: { name, version }, segment } = segmentOf(shown);
  const projection = `projection ${JSON.stringify(name)} version ${version}`;
  return segment ? `segment ${segment.index} of ${segment.count} of ${projection}` : projection;
}
