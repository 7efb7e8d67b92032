/**
 * The conditions of projections that a caller would handle.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";
import { FencedError } from "../store/errors.ts";

/** Names one version of a projection. */
export interface ProjectionId {
  /** The projection's name. */
  readonly name: string;
  /** Its version. */
  readonly version: number;
}

/** The event that a projection could not handle. */
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
}

/** A checkpoint was changed by somebody else since it was read. Nothing was stored. */
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
    super(`The checkpoint of ${show(projection)} was changed by somebody else: read it again`, options);
    this.projection = projection;
  }
}

/** A stored checkpoint cannot be read. It was left as it is. */
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
    this.projection = projection;
  }
}

/** Another worker has taken the projection over. What this one had not committed is not part of the checkpoint. */
export class ProjectionFencedError extends AetherError {
  static {
    registerClass(this, "ProjectionFencedError");
  }

  /** Always `"ProjectionFencedError"`. */
  override readonly name = "ProjectionFencedError";
  /** The projection. */
  readonly projection: ProjectionId;

  /** Names the projection. */
  constructor(projection: ProjectionId, options?: ErrorOptions) {
    super(`Another worker has taken ${show(projection)} over: stop this one`, options);
    this.projection = projection;
  }
}

/** A worker runs the projection, so that its checkpoint cannot be deleted. Nothing was deleted. */
export class ProjectionInUseError extends AetherError {
  static {
    registerClass(this, "ProjectionInUseError");
  }

  /** Always `"ProjectionInUseError"`. */
  override readonly name = "ProjectionInUseError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** What uses it. */
  readonly reason: "running";

  /** Names the projection and what uses it. */
  constructor(projection: ProjectionId, reason: "running", options?: ErrorOptions) {
    super(`A worker runs ${show(projection)}: close every run of it first`, options);
    this.projection = projection;
    this.reason = reason;
  }
}

/** The name and version of a projection are taken by one with another filter. Nothing was handled. */
export class ProjectionNameTakenError extends AetherError {
  static {
    registerClass(this, "ProjectionNameTakenError");
  }

  /** Always `"ProjectionNameTakenError"`. */
  override readonly name = "ProjectionNameTakenError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** The filter of the checkpoint, as JSON. */
  readonly storedFilter: string;
  /** The filter of the projection that was to run, as JSON. */
  readonly filter: string;

  /** Names the projection and both filters. */
  constructor(projection: ProjectionId, storedFilter: string, filter: string) {
    super(
      `The checkpoint of ${
        show(projection)
      } is that of the filter ${storedFilter}, and not of ${filter}: events would ` +
        "be missed. Give the projection its next version, or another name; or declare continueFrom: " +
        `${projection.version}, to go on without the events that were left out`,
    );
    this.projection = projection;
    this.storedFilter = storedFilter;
    this.filter = filter;
  }
}

/** A handler did not return in time. */
export class HandlerTimeoutError extends AetherError {
  static {
    registerClass(this, "HandlerTimeoutError");
  }

  /** Always `"HandlerTimeoutError"`. */
  override readonly name = "HandlerTimeoutError";
  /** How long it was given, in milliseconds. */
  readonly timeout: number;

  /** Names the time. */
  constructor(timeout: number) {
    super(
      `The handler did not return within ${timeout} ms: end its work when context.signal fires, or raise handlerTimeout`,
    );
    this.timeout = timeout;
  }
}

/** The process ended each time that it handled an event. */
export class ProcessEndedError extends AetherError {
  static {
    registerClass(this, "ProcessEndedError");
  }

  /** Always `"ProcessEndedError"`. */
  override readonly name = "ProcessEndedError";

  /** Names how often. */
  constructor(times: number) {
    super(
      `The process ended ${times} time(s) while it handled the event: look for what ends it, such as an exit, ` +
        "an error that is not caught, endless work or too little memory",
    );
  }
}

/** A handler used its transaction after its turn was over. Nothing was written. */
export class TransactionOverError extends AetherError {
  static {
    registerClass(this, "TransactionOverError");
  }

  /** Always `"TransactionOverError"`. */
  override readonly name = "TransactionOverError";

  /** Says so. */
  constructor() {
    super("The handler's turn is over, and its transaction with it: await all that the handler begins");
  }
}

/**
 * The database does not take what a handler wrote: a constraint that it checks at the commit, a key or value that it refuses, a
 * statement that would end the transaction. Nothing of it was written, and the failure policy applies to the event.
 *
 * @example See why an event was set aside
 * ```ts
 * import { DenoKvCheckpoints, InMemoryEventStore, parked, projectOnce, TransactionRefusedError } from "@flowmade-one/aether";
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
 *       assert.throws(() => transaction.set(["title", "x".repeat(3_000)], true), TransactionRefusedError);
 *       transaction.set(["title", "x".repeat(2_000)], true);
 *     },
 *   },
 * });
 * assert.deepEqual(await parked({ name: "titles", checkpoints }), []);
 * ```
 */
export class TransactionRefusedError extends AetherError {
  static {
    registerClass(this, "TransactionRefusedError");
  }

  /** Always `"TransactionRefusedError"`. */
  override readonly name = "TransactionRefusedError";

  /** Gives the reason. */
  constructor(reason: string, options?: ErrorOptions) {
    super(`What the handler wrote was refused: ${reason}. Correct the handler, and retry the event`, options);
  }
}

/** The writes of earlier events are gone with those of a later one, which alone was refused. */
export class TransactionLostError extends TransactionRefusedError {
  static {
    registerClass(this, "TransactionLostError");
  }
}

/** One event's writes are more than one transaction takes. Nothing of them was written. */
export class TransactionTooLargeError extends AetherError {
  static {
    registerClass(this, "TransactionTooLargeError");
  }

  /** Always `"TransactionTooLargeError"`. */
  override readonly name = "TransactionTooLargeError";
  /** What there is too much of. */
  readonly unit: "writes" | "bytes";
  /** The most that a transaction takes. */
  readonly limit: number;
  /** How much there was. */
  readonly size: number;

  /** Names the unit, the size and the limit. */
  constructor(unit: "writes" | "bytes", size: number, limit: number) {
    super(
      `The handler wrote ${size} ${unit} for one event, and a transaction takes ${limit}: write less an event`,
    );
    this.unit = unit;
    this.limit = limit;
    this.size = size;
  }
}

/**
 * A handler failed as often as its projection allows, and the projection stopped before that event.
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
 *   assert.equal(error.event.actorId, "order-1");
 * }
 * ```
 */
export class ProjectionStoppedError extends AetherError {
  static {
    registerClass(this, "ProjectionStoppedError");
  }

  /** Always `"ProjectionStoppedError"`. */
  override readonly name = "ProjectionStoppedError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** The event. */
  readonly event: FailedEvent;
  /** How often it was tried. */
  readonly attempts: number;

  /** Names the projection, the event and what to do. */
  constructor(projection: ProjectionId, event: FailedEvent, attempts: number, options?: ErrorOptions) {
    super(
      `${show(projection)} stopped before version ${event.eventVersion} ("${event.eventType}") of actor ` +
        `${JSON.stringify(event.actorId)} after ${attempts} attempt(s): ${
          options?.cause instanceof FencedError ? UNFENCED_ADVICE : "correct the handler"
        } and run it again, or declare failure: { then: "park" }`,
      options,
    );
    this.projection = projection;
    this.event = event;
    this.attempts = attempts;
  }
}

/**
 * Why a projection cannot go on: the `Deno.Kv` handle, the database or the NATS connection was closed by its owner; the
 * bucket or table of the checkpoints or leases was deleted and is not made again; the server refuses the credentials.
 */
export type DisconnectionReason = "closed" | "bucket-missing" | "credentials-refused";

const DISCONNECTED: Record<DisconnectionReason, string> = {
  closed:
    "a database handle or a connection that it uses was closed: close the projection first, or open what it " +
    "uses again and run it again",
  "bucket-missing":
    "the bucket or table of its checkpoints or leases does not exist any more: restore it from a backup, or " +
    "open the checkpoints again to make a new one",
  "credentials-refused": "the server refuses its credentials or permissions: correct them and run it again",
};

/**
 * What a projection works with is not reachable, and will not be by waiting. Its `cause` is the failure.
 *
 * @example Tell a closed handle from a handler that failed
 * ```ts
 * import { DenoKvCheckpoints, InMemoryEventStore, ProjectionDisconnectedError, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const kv = await Deno.openKv(":memory:");
 * const checkpoints = await DenoKvCheckpoints.open(kv);
 * kv.close();
 * try {
 *   await projectOnce(store, { name: "totals", checkpoints, handle: () => {} });
 * } catch (error) {
 *   if (!(error instanceof ProjectionDisconnectedError)) throw error;
 *   assert.equal(error.reason, "closed");
 * }
 * ```
 */
export class ProjectionDisconnectedError extends AetherError {
  static {
    registerClass(this, "ProjectionDisconnectedError");
  }

  /** Always `"ProjectionDisconnectedError"`. */
  override readonly name = "ProjectionDisconnectedError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** Why waiting does not help. */
  readonly reason: DisconnectionReason;

  /** Names the projection and the reason. */
  constructor(projection: ProjectionId, reason: DisconnectionReason, options?: ErrorOptions) {
    super(`${show(projection)} cannot go on: ${DISCONNECTED[reason]}`, options);
    this.projection = projection;
    this.reason = reason;
  }
}

/** There is no room for another parked event, and the projection stopped. */
export class ParkedListFullError extends AetherError {
  static {
    registerClass(this, "ParkedListFullError");
  }

  /** Always `"ParkedListFullError"`. */
  override readonly name = "ParkedListFullError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** The most events that may be parked. */
  readonly limit: number;

  /** Names the projection and the limit. */
  constructor(projection: ProjectionId, limit: number, options?: ErrorOptions) {
    super(`${show(projection)} has ${limit} parked events and stopped: retry or discard them first`, options);
    this.projection = projection;
    this.limit = limit;
  }
}

/**
 * The event that was waited for has not been handled: it was parked, or waits behind a parked event of its actor.
 *
 * @example Tell the caller that the event needs attention
 * ```ts
 * import { EventParkedError, InMemoryCheckpoints, InMemoryEventStore, type Projection, projectOnce, waitFor } from "@flowmade-one/aether";
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
 *   if (!(error instanceof EventParkedError)) throw error;
 *   assert.equal(error.parked.actorId, "order-1");
 * }
 * ```
 */
export class EventParkedError extends AetherError {
  static {
    registerClass(this, "EventParkedError");
  }

  /** Always `"EventParkedError"`. */
  override readonly name = "EventParkedError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** The position that was waited for. */
  readonly position: string;
  /** The parked event. */
  readonly parked: FailedEvent;

  /** Names the projection and both events. */
  constructor(
    { name, version }: ProjectionId,
    position: string,
    { position: parkedAt, eventId, eventType, actorId, eventVersion }: FailedEvent,
  ) {
    const what = parkedAt === position
      ? `The event at position ${position} was parked by`
      : `The event at position ${position} waits behind the event at ${parkedAt}, which was parked by`;
    super(
      `${what} ${show({ name, version })}: correct the cause, then call retryParked() or discardParked()`,
    );
    this.projection = { name, version };
    this.position = position;
    this.parked = { position: parkedAt, eventId, eventType, actorId, eventVersion };
  }
}

/** No event of the projection is parked at a position. */
export class NotParkedError extends AetherError {
  static {
    registerClass(this, "NotParkedError");
  }

  /** Always `"NotParkedError"`. */
  override readonly name = "NotParkedError";
  /** The projection. */
  readonly projection: ProjectionId;
  /** The position. */
  readonly position: string;

  /** Names the projection and the position. */
  constructor(projection: ProjectionId, position: string) {
    super(`${show(projection)} has no parked event at ${JSON.stringify(position)}: list them with parked()`);
    this.projection = projection;
    this.position = position;
  }
}

/**
 * A projection did not come to a position in time. It may still.
 *
 * @example Answer without waiting for ever
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
  /** Where the projection is; nothing if it has not begun. */
  readonly reached: string | undefined;

  /** Names the projection and both positions. */
  constructor(projection: ProjectionId, position: string, reached: string | undefined, timeout: number) {
    super(
      `${show(projection)} did not come to position ${position} within ${timeout} ms; it is at ${
        reached ?? "the start"
      }: ` +
        "see that a worker runs it, and what projectionStatuses() says",
    );
    this.projection = projection;
    this.position = position;
    this.reached = reached;
  }
}

const UNFENCED_ADVICE =
  "its reaction is for an actor that is owned under a fencing token. Declare unfenced: true for the projection, or return " +
  "the reaction with the owner's fencingToken,";

function show({ name, version }: ProjectionId): string {
  return `projection ${JSON.stringify(name)} version ${version}`;
}
