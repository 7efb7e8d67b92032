/**
 * The contract that every event store keeps.
 *
 * @module
 */

import type { Event, EventInput, EventOf, NewEvent, StoredEvent } from "../event/types.ts";
import type { Subscription } from "../event/subscription.ts";
import type {
  ActorSummary,
  AppendOptions,
  DeleteSnapshotsOptions,
  Finding,
  ListActorsOptions,
  ReadAllOptions,
  ReadEventsOptions,
  SaveOptions,
  StoreLimits,
  SubscribeOptions,
  VerificationReport,
  VerifyOptions,
} from "./method_options.ts";
import type { Snapshot, SnapshotInput } from "./snapshot.ts";

export type * from "./method_options.ts";

/**
 * A subscription to a store's global log.
 *
 * @typeParam T The stored events that it delivers.
 *
 * @category Stores
 */
export interface LogSubscription<T> extends Subscription<T> {
  /**
   * Resolves with `true` when the loop has done with every event that is in the log at the time of the call and asks for
   * the next one, and with `false` if the subscription ends before. The loop must be running: it takes the events.
   *
   * @throws {StoreClosedError} If the store is closed.
   *
   * @example Start to answer once the history is read
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * const orders = new Set<string>();
   * await using subscription = store.subscribe();
   * const loop = (async () => {
   *   for await (const { actorId } of subscription) orders.add(actorId);
   * })();
   * assert(await subscription.caughtUp());
   * assert(orders.has("order-1"));
   * await subscription.close();
   * await loop;
   * ```
   */
  caughtUp(): Promise<boolean>;
}

/**
 * An append-only store of events: each actor's history in the order of its versions, and one global log of all.
 *
 * Every method rejects with {@linkcode StoreClosedError} after `close()`, with {@linkcode InvalidArgumentError} for an
 * argument out of range, and with {@linkcode BackendError} where the backend refused or could not be reached. Those that
 * give something to iterate over throw for an argument at once, and for the rest when they are iterated.
 *
 * @typeParam E The union of the events it holds.
 *
 * @category Stores
 */
export interface EventStore<E extends Event = Event> extends AsyncDisposable {
  /** The most that one commit may hold. */
  readonly limits: StoreLimits;

  /**
   * Saves one event under a version of the caller's choice, above the actor's latest; a gap is allowed.
   *
   * @throws {VersionConflictError} If the version is not above the actor's latest.
   * @throws {InvalidEventError | EventTooLargeError} If the event cannot be stored as it is.
   * @throws {FencedError} If a newer fencing token is stored for the actor.
   * @throws {OutcomeUnknownError} If the store could not learn whether it was stored.
   *
   * @example Number events oneself
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * const { position } = await store.saveEvent({
   *   id: "evt-1",
   *   eventType: "OrderPlaced",
   *   actorId: "order-1",
   *   version: 1,
   *   data: { total: 5 },
   *   timestamp: new Date(),
   * });
   * assert.equal(position, await store.getLastPosition());
   * ```
   */
  saveEvent(event: EventInput<E>, options?: SaveOptions): Promise<StoredEvent<E>>;

  /**
   * Saves events of one or several actors in one commit: all, or none. The result is grouped by actor, in order of
   * first appearance.
   *
   * @throws {VersionConflictError} If a version is not above its actor's latest.
   * @throws {InvalidEventError | EventTooLargeError | CommitTooLargeError} If they cannot be stored as they are.
   * @throws {FencedError} If a newer fencing token is stored for one of the actors.
   * @throws {OutcomeUnknownError} If the store could not learn whether they were stored.
   *
   * @example Two actors in one commit
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.saveEvents([
   *   { actorId: "account-1", version: 1, eventType: "Withdrawn", data: { amount: 5 } },
   *   { actorId: "account-2", version: 1, eventType: "Deposited", data: { amount: 5 } },
   * ]);
   * assert.equal(await store.getLatestVersion("account-2"), 1);
   * ```
   */
  saveEvents(events: readonly EventInput<E>[], options?: SaveOptions): Promise<StoredEvent<E>[]>;

  /**
   * Appends events to an actor's history in one commit, numbered on from its latest version.
   *
   * With a numeric `expectedVersion` and events that carry ids it can be repeated: the same events (ids, types, data)
   * found right after that version are its result, and nothing is stored twice.
   *
   * @throws {VersionConflictError} If the actor is not at the expected version.
   * @throws {InvalidEventError | EventTooLargeError | CommitTooLargeError} If they cannot be stored as they are.
   * @throws {FencedError} If a newer fencing token is stored for the actor.
   * @throws {OutcomeUnknownError} If the store could not learn whether they were stored.
   *
   * @example Say which version was seen
   * ```ts
   * import { InMemoryEventStore, VersionConflictError } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * const placed = [{ id: "request-17", eventType: "OrderPlaced", data: { total: 5 } }];
   * const [event] = await store.append("order-1", placed, { expectedVersion: 0 });
   * assert.equal(event?.version, 1);
   *
   * // The same again is no conflict, because the event has an id; another event at this version is one.
   * assert.deepEqual(await store.append("order-1", placed, { expectedVersion: 0 }), [event]);
   * const shipped = [{ eventType: "OrderShipped", data: null }];
   * await assert.rejects(store.append("order-1", shipped, { expectedVersion: 0 }), VersionConflictError);
   * ```
   */
  append(actorId: string, events: readonly NewEvent<E>[], options: AppendOptions): Promise<StoredEvent<E>[]>;

  /**
   * Stores a fencing token for an actor, alone: for an owner that must read before it writes. From then on commits
   * under a lower token, or none, are refused. The token that is already the newest is accepted again.
   *
   * @throws {FencedError} If a newer token is stored for the actor.
   *
   * @example Take over before reading
   * ```ts
   * import { FencedError, InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.takeOver("order-1", 8); // the fencing token of the lease that was just acquired
   *
   * const placed = [{ eventType: "OrderPlaced", data: { total: 5 } }];
   * const late = store.append("order-1", placed, { expectedVersion: 0, fencingToken: 7 });
   * await assert.rejects(late, FencedError);
   * await store.append("order-1", placed, { expectedVersion: 0, fencingToken: 8 });
   * ```
   */
  takeOver(actorId: string, token: number): Promise<void>;

  /**
   * An actor's events from a version on, in order; 0 and 1 mean all. An actor without events has none.
   *
   * @throws {DamagedHistoryError | HistoryTruncatedError} If a part of the history is damaged or gone.
   *
   * @example Read what happened
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * await store.append("order-1", [{ eventType: "OrderShipped", data: null }], { expectedVersion: 1 });
   * const [shipped] = await store.getEvents("order-1", 2);
   * assert.equal(shipped?.eventType, "OrderShipped");
   * ```
   */
  getEvents(actorId: string, fromVersion?: number): Promise<StoredEvent<E>[]>;

  /**
   * An actor's events in bounded memory, in either direction.
   *
   * @throws {DamagedHistoryError | HistoryTruncatedError} If a part of the history is damaged or gone.
   *
   * @example The latest event of a type
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "PriceSet", data: { price: 5 } }], { expectedVersion: 0 });
   * await store.append("order-1", [{ eventType: "PriceSet", data: { price: 6 } }], { expectedVersion: 1 });
   * let price: unknown;
   * for await (const { eventType, data } of store.readEvents("order-1", { direction: "backward" })) {
   *   if (eventType !== "PriceSet") continue;
   *   price = data;
   *   break;
   * }
   * assert.deepEqual(price, { price: 6 });
   * ```
   */
  readEvents(actorId: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent<E>>;

  /**
   * The version of an actor's latest event; 0 if it never had one.
   *
   * @example Whether an actor exists
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * assert.equal(await store.getLatestVersion("order-1"), 0);
   * ```
   */
  getLatestVersion(actorId: string): Promise<number>;

  /**
   * The global log in commit order, up to its end at the time of the call, in bounded memory.
   *
   * @throws {InvalidPositionError} If `after` is no position of this log.
   * @throws {DamagedHistoryError | HistoryTruncatedError} If a part of the log is damaged or gone.
   *
   * @example Read a part of the log
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * await store.append("order-2", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * const page = [];
   * for await (const event of store.readAll({ eventTypes: ["OrderPlaced"], limit: 1 })) page.push(event);
   * const rest = await Array.fromAsync(store.readAll({ after: page[0]!.position }));
   * assert.deepEqual(rest.map(({ actorId }) => actorId), ["order-2"]);
   * ```
   */
  readAll<T extends E["eventType"] = E["eventType"]>(
    options?: ReadAllOptions<T>,
  ): AsyncIterable<StoredEvent<EventOf<E, T>>>;

  /**
   * The position of the last event of the global log; nothing while it is empty.
   *
   * @example Remember how far the log went
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * const expectedPosition = await store.getLastPosition();
   * if (expectedPosition === undefined) throw new Error("the log is empty");
   * // Kept outside the store, it finds a lost tail later.
   * assert((await store.verify({ expectedPosition })).ok);
   * ```
   */
  getLastPosition(): Promise<string | undefined>;

  /**
   * The global log from a position on, and then every event as it is stored: no gap and no duplicate in between.
   *
   * Its loop throws {@linkcode InvalidPositionError}, {@linkcode DamagedHistoryError} or
   * {@linkcode HistoryTruncatedError} as `readAll` does, and ends normally when the store is closed.
   *
   * @example Go on where the last run ended
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * let checkpoint: string | undefined; // loaded from where it was kept
   * await using subscription = store.subscribe({ after: checkpoint ?? "start", actorPrefix: "order-" });
   * for await (const { actorId } of subscription) {
   *   checkpoint = subscription.position; // moves past events that the filter leaves out, too
   *   assert.equal(actorId, "order-1");
   *   break; // a real one goes on
   * }
   * ```
   */
  subscribe<T extends E["eventType"] = E["eventType"]>(
    options?: SubscribeOptions<T>,
  ): LogSubscription<StoredEvent<EventOf<E, T>>>;

  /**
   * Every actor that has events, once, in no particular order.
   *
   * @example Every order
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * for await (const { actorId, latestVersion } of store.listActors({ actorPrefix: "order-" })) {
   *   assert.deepEqual([actorId, latestVersion], ["order-1", 1]);
   * }
   * ```
   */
  listActors(options?: ListActorsOptions): AsyncIterable<ActorSummary>;

  /**
   * Reads everything and reports what is damaged, missing or out of order.
   *
   * @example Check every night
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * const { ok, events, faults } = await store.verify();
   * for (const { message } of faults) console.error(message);
   * assert.deepEqual([ok, events], [true, 1]);
   * ```
   */
  verify(options?: VerifyOptions): Promise<VerificationReport>;

  /**
   * Describes what weakens this store's promises as it is set up.
   *
   * @example Look at a store when the program starts
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * for (const { severity, message, advice } of await store.diagnose()) {
   *   console.log(`${severity}: ${message} ${advice}`);
   * }
   * ```
   */
  diagnose(): Promise<Finding[]>;

  /**
   * Finishes the saves that are in flight and refuses what comes after. Reads in progress reject at once with
   * {@linkcode StoreClosedError}; subscriptions end. It can be called again.
   */
  close(): Promise<void>;
}

/**
 * A store of snapshots: what was computed from an actor's history, kept to shorten the next replay.
 *
 * @category Stores
 */
export interface SnapshotStore {
  /**
   * Keeps a snapshot in place of an older one of the same actor and kind.
   *
   * @throws {InvalidArgumentError} If it cannot be stored as it is, or the actor has not reached its version.
   *
   * @example Keep a state
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * await store.saveSnapshot({
   *   actorId: "order-1",
   *   kind: "total",
   *   schemaVersion: 1, // of the state's shape
   *   version: 1, // of the last event in it
   *   state: { total: 5 },
   * });
   * const snapshot = await store.getLatestSnapshot<{ total: number }>("order-1", "total");
   * assert.equal(snapshot?.state.total, 5);
   * ```
   */
  saveSnapshot<S>(snapshot: SnapshotInput<S>): Promise<void>;

  /**
   * The snapshot of an actor and kind; `undefined` if there is none that can be read.
   *
   * @example Read on from a snapshot
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * const snapshot = await store.getLatestSnapshot<number>("order-1", "total");
   * const later = await store.getEvents("order-1", (snapshot?.version ?? 0) + 1);
   * assert.equal(later.length, 1);
   * ```
   */
  getLatestSnapshot<S = unknown>(actorId: string, kind: string): Promise<Snapshot<S> | undefined>;

  /**
   * Deletes the snapshots of a kind, those of all actors and schema versions. A snapshot that is saved meanwhile may be kept.
   * Events are not changed. An actor whose first events have expired can be replayed from a snapshot only, and keeps its version
   * if all of them have expired.
   *
   * @returns How many were deleted.
   *
   * @example Delete what no program reads any more
   * ```ts
   * import { InMemoryEventStore } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using store = new InMemoryEventStore();
   * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
   * const order = { actorId: "order-1", version: 1, schemaVersion: 1 };
   * await store.saveSnapshot({ ...order, kind: "total", state: { total: 5 } });
   * assert.equal(await store.deleteSnapshots("total"), 1);
   * assert.equal(await store.getLatestSnapshot("order-1", "total"), undefined);
   * ```
   */
  deleteSnapshots(kind: string, options?: DeleteSnapshotsOptions): Promise<number>;
}
