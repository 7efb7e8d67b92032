/**
 * The event store that is the same over every backend.
 *
 * @module
 */

import { actorIdFault, type DraftContext, draftEvent, MAX_ACTOR_ID_BYTES } from "../event/draft.ts";
import { InvalidEventError } from "../event/errors.ts";
import { compileFilter } from "../event/filter.ts";
import type { EventRegistry } from "../event/registry.ts";
import { partOf } from "../event/upcast.ts";
import type { Event, EventInput, EventOf, NewEvent, StoredEvent } from "../event/types.ts";
import { listOf } from "../short_lived.ts";
import type { TelemetrySource } from "../telemetry.ts";
import type { AnnouncementCounts, Announcer } from "./announcer.ts";
import type { StorageBackend } from "./backend.ts";
import { checkActorId, checkFromVersion, checkKind, checkToken } from "./check_options.ts";
import {
  type CheckedLogRead,
  checkSubscription,
  readDeleteSnapshots,
  readHistoryRead,
  readListing,
  readLogRead,
  readVerification,
} from "./read_options.ts";
import { readAppend, readSave } from "./save_options.ts";
import { checkGivenVersions, divideByActor, draftAll } from "./draft_events.ts";
import { abortable } from "../abortable.ts";
import { flatten, type FlattenOptions, passing, type Restore } from "./buffered_iteration.ts";
import { CommitPart } from "./commit.ts";
import { Lifetime } from "./lifetime.ts";
import { type ObservedRead, observeIteration, observeRead, observeTaking } from "./observation.ts";
import type { FullStoreSetup, StoreSetup } from "./store_options.ts";
import { verifyFor } from "./verification.ts";
import { PersonalBackend } from "./personal_backend.ts";
import { PersonalCodec } from "./personal_data.ts";
import type { PersonalVault } from "./personal_vault.ts";
import type { Warn } from "../warning.ts";
import { rawLogOver } from "./backed_raw_log.ts";
import { offerRawLog } from "./raw_log.ts";
import { underName } from "./operation.ts";
import { readBackward, readForward } from "./read_log.ts";
import { Saver } from "./saver.ts";
import { type Snapshot, type SnapshotInput, validateSnapshot } from "./snapshot.ts";
import { positionOf } from "./snapshot_position.ts";
import { FollowingSubscription } from "./subscription.ts";
import type {
  ActorSummary,
  AppendOptions,
  DeleteSnapshotsOptions,
  EventStore,
  Finding,
  ListActorsOptions,
  LogSubscription,
  ReadAllOptions,
  ReadEventsOptions,
  SaveOptions,
  SnapshotStore,
  StoreLimits,
  SubscribeOptions,
  VerificationReport,
  VerifyOptions,
} from "./types.ts";

/**
 * An event store over a {@linkcode StorageBackend}. It keeps all of the contract that does not depend on where events
 * are stored; the stores of this library are this class over their backends.
 *
 * @typeParam E The union of the events it holds.
 *
 * @example What every store offers
 * ```ts
 * import type { BackedEventStore } from "@flowmade-one/aether/backend";
 * import { InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * // An EventStore and a SnapshotStore in one.
 * await using store: BackedEventStore = new InMemoryEventStore({ namespace: "tenant-7" });
 * assert.equal(store.namespace, "tenant-7");
 * ```
 */
export class BackedEventStore<E extends Event = Event> implements EventStore<E>, SnapshotStore {
  /** The namespace that its events are in. */
  readonly namespace: string;
  readonly #backend: StorageBackend;
  readonly #registry: EventRegistry;
  readonly #announcer: Announcer | undefined;
  readonly #saver: Saver<E>;
  readonly #telemetry: TelemetrySource;
  readonly #drafting: DraftContext;
  readonly #subscriptions = new Set<{ close(): Promise<void> }>();
  readonly #lifetime = new Lifetime();
  #closed: Promise<void> | undefined;

  /**
   * Builds a store over a backend that is open.
   *
   * @param setup The options of the store with their defaults, by `setUpStore`.
   */
  constructor(backend: StorageBackend, setup: StoreSetup) {
    const { registry, announcer, telemetry, vault } = setup as FullStoreSetup;
    this.namespace = setup.namespace;
    // What carries events to other stores works below, on what is stored.
    this.#backend = vault ? withVault(backend, vault, registry, setup.warn) : backend;
    this.#registry = registry;
    this.#announcer = announcer;
    this.#telemetry = telemetry;
    this.#saver = new Saver({
      namespace: setup.namespace,
      backend: this.#backend,
      registry,
      announcer,
      telemetry,
      lifetime: this.#lifetime,
    });
    this.#drafting = {
      newId: setup.newId,
      now: setup.now,
      bytesPerEvent: backend.limits.bytesPerEvent,
      schemaVersionOf: registry.versionOf,
    };
    offerRawLog(this, rawLogOver(backend, this.limits, this.#drafting, this.#lifetime));
  }

  /** The most that one commit may hold. */
  get limits(): StoreLimits {
    return this.#backend.limits;
  }

  /** What has become of the `EventStored` that this object published; `undefined` if it has no bus. */
  get announcements(): AnnouncementCounts | undefined {
    return this.#announcer?.counts;
  }

  /** Saves one event under a version of the caller's choice. */
  saveEvent(event: EventInput<E>, options?: SaveOptions): Promise<StoredEvent<E>> {
    return promised(() => {
      this.#lifetime.assertOpen();
      const save = readSave(options);
      const draft = draftEvent(event, undefined, this.#drafting);
      const part = new CommitPart(draft.event.actorId, listOf(draft), "given");
      const stored = this.#saver.save("saveEvent", listOf(part), save);
      return stored instanceof Promise ? stored.then(firstOf) : firstOf(stored);
    });
  }

  /** Saves events of one or several actors in one commit: all, or none. */
  saveEvents(events: readonly EventInput<E>[], options?: SaveOptions): Promise<StoredEvent<E>[]> {
    return promised(() => {
      this.#lifetime.assertOpen();
      const save = readSave(options);
      const drafts = draftAll(events, undefined, this.#drafting, this.limits);
      if (drafts.length === 0) return this.#saver.require(save);
      return this.#saver.save("saveEvents", divideByActor(drafts), save);
    });
  }

  /** Appends events to an actor's history in one commit, numbered on from its latest version. */
  append(
    actorId: string,
    events: readonly NewEvent<E>[],
    options: AppendOptions,
  ): Promise<StoredEvent<E>[]> {
    return promised(() => {
      this.#lifetime.assertOpen();
      const fault = actorIdFault(actorId);
      if (fault) throw new InvalidEventError("actorId", fault);
      const { expectedVersion: expected, save } = readAppend(options);
      const drafts = draftAll(events, actorId, this.#drafting, this.#backend.limits);
      if (drafts.length === 0) return this.#saver.require(save, actorId, expected);
      if (typeof expected === "number") checkGivenVersions(drafts, expected);
      return this.#saver.save("append", listOf(new CommitPart(actorId, drafts, expected)), save);
    });
  }

  /** Stores a fencing token for an actor, alone. */
  async takeOver(actorId: string, token: number): Promise<void> {
    this.#lifetime.assertOpen();
    checkActorId(actorId);
    checkToken("token", token);
    await this.#lifetime.track(() => this.#backend.takeOver(actorId, token));
  }

  /** An actor's events from a version on, in order. */
  getEvents(actorId: string, fromVersion = 0): Promise<StoredEvent<E>[]> {
    // Neither an async function nor, without telemetry, a closure: reading a hundred events takes no longer than that.
    try {
      this.#lifetime.assertOpen();
      checkActorId(actorId);
      checkFromVersion("fromVersion", fromVersion);
      const first = Math.max(1, fromVersion);
      const { signal } = this.#lifetime;
      const read = this.#telemetry()
        ? this.#read(
          { operation: "getEvents", actorId },
          () => this.#backend.getEvents(actorId, first, signal),
        )
        : this.#backend.getEvents(actorId, first, signal);
      const events = read instanceof Promise
        ? this.#lifetime.ask(() => read).then((found) => this.#registry.restoreAll(found))
        : this.#registry.restoreAll(read);
      return Promise.resolve(events as StoredEvent<E>[]);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** An actor's events in bounded memory, in either direction. */
  readEvents(actorId: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent<E>> {
    checkActorId(actorId);
    const { signal, onDamage, ...range } = readHistoryRead(options);
    const observed = { operation: "readEvents", actorId } as const;
    const restore = range.direction === "forward" ? this.#restore : this.#restoreBackward;
    const { limit } = range;
    const begin = (ending: AbortSignal): AsyncIterable<readonly StoredEvent[]> =>
      this.#backend.readHistory(actorId, { ...range, onDamage: passing(onDamage), signal: ending });
    return this.#iterate(observed, begin, {
      limit,
      signal,
      restore,
    });
  }

  /** The version of an actor's latest event; 0 if it never had one. */
  async getLatestVersion(actorId: string): Promise<number> {
    this.#lifetime.assertOpen();
    checkActorId(actorId);
    return await this.#lifetime.ask((signal) => {
      const read = (): number | Promise<number> => this.#backend.getLatestVersion(actorId, signal);
      return this.#read({ operation: "getLatestVersion", actorId }, read);
    });
  }

  /** The global log in commit order, up to its end at the time of the call. */
  readAll<T extends E["eventType"] = E["eventType"]>(
    options?: ReadAllOptions<T>,
  ): AsyncIterable<StoredEvent<EventOf<E, T>>> {
    const read = this.#readLog(options);
    const { limit, signal } = read;
    const readIn = read.direction === "forward" ? readForward : readBackward;
    const restore = this.#restoreChosen(read.accepts);
    const begin = (ending: AbortSignal): AsyncIterable<readonly StoredEvent[]> =>
      readIn(this.#backend, read, ending);
    return this.#iterate({ operation: "readAll" }, begin, { limit, signal, restore });
  }

  /** The position of the last event of the global log. */
  async getLastPosition(): Promise<string | undefined> {
    this.#lifetime.assertOpen();
    return await this.#lifetime.ask((signal) => this.#backend.getLastPosition(signal));
  }

  /** The global log from a position on, and then every event as it is stored. */
  subscribe<T extends E["eventType"] = E["eventType"]>(
    options?: SubscribeOptions<T>,
  ): LogSubscription<StoredEvent<EventOf<E, T>>> {
    this.#lifetime.assertOpen();
    checkSubscription(options);
    const { after, filter, chosen, accepts, signal } = this.#readLog(options);
    type Delivered = StoredEvent<EventOf<E, T>>;
    const restoreChosen = this.#restoreChosen(accepts);
    const subscription = new FollowingSubscription<Delivered>({
      follow: (controls) => this.#backend.followLog({ after, filter, onDamage: undefined, ...controls }),
      select: ({ events }) => (chosen ? events.filter(chosen) : events) as readonly Delivered[],
      restore: () => {
        const restore = restoreChosen() as Restore<Delivered> | undefined;
        const telemetry = this.#telemetry();
        return telemetry ? observeTaking(telemetry, this.namespace, restore) : restore;
      },
      positionOf: (event) => partOf(event)?.isLast === false ? undefined : event.position,
      position: after === "start" || after === "first-kept" || after === "end" ? undefined : after,
      signal,
      getLastPosition: () => this.getLastPosition(),
      onEnd: (ended) => this.#subscriptions.delete(ended),
    });
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /** Every actor that has events, once. */
  listActors(options?: ListActorsOptions): AsyncIterable<ActorSummary> {
    const listing = readListing(options);
    const signal = this.#lifetime.until(listing.signal);
    const list = async function* (backend: StorageBackend): AsyncIterable<readonly ActorSummary[]> {
      if ((listing.actorPrefix?.length ?? 0) > MAX_ACTOR_ID_BYTES) return; // no actor's id is as long
      for await (const actor of backend.listActors({ ...listing, signal })) yield [actor];
    };
    return flatten(list(this.#backend), { signal });
  }

  /** Reads everything and reports what is damaged, missing or out of order. */
  async verify(options?: VerifyOptions): Promise<VerificationReport> {
    this.#lifetime.assertOpen();
    const read = readVerification(options);
    read.signal?.throwIfAborted();
    const signal = this.#lifetime.until(read.signal);
    return await this.#lifetime.track(() => abortable(verifyFor({ ...read, signal }, this.#backend), signal));
  }

  /** Describes what weakens this store's promises as it is set up. */
  async diagnose(): Promise<Finding[]> {
    this.#lifetime.assertOpen();
    return await this.#lifetime.ask((signal) => this.#backend.diagnose(signal));
  }

  /** Keeps a snapshot in place of an older one of the same actor and kind. */
  async saveSnapshot<S>(snapshot: SnapshotInput<S>): Promise<void> {
    this.#lifetime.assertOpen();
    const valid = validateSnapshot(snapshot, this.#drafting.now);
    await this.#lifetime.track(async () => {
      const { signal } = this.#lifetime;
      const find = underName("saveSnapshot", () => positionOf(valid, this.#backend, signal));
      const position = await abortable(find, signal); // nothing is sent yet
      await this.#backend.saveSnapshot(
        position === undefined ? valid : Object.freeze({ ...valid, position }),
        signal,
      );
    });
  }

  /** The snapshot of an actor and kind. */
  async getLatestSnapshot<S = unknown>(actorId: string, kind: string): Promise<Snapshot<S> | undefined> {
    this.#lifetime.assertOpen();
    checkActorId(actorId);
    checkKind(kind);
    const read = (signal: AbortSignal): Promise<Snapshot | undefined> =>
      this.#backend.getLatestSnapshot(actorId, kind, signal);
    return await this.#lifetime.ask(read) as Snapshot<S> | undefined;
  }

  /** Deletes the snapshots of a kind, those of all actors. */
  async deleteSnapshots(kind: string, options?: DeleteSnapshotsOptions): Promise<number> {
    this.#lifetime.assertOpen();
    checkKind(kind);
    const { signal } = readDeleteSnapshots(options);
    signal?.throwIfAborted();
    const ending = this.#lifetime.until(signal);
    return await this.#lifetime.track(() => abortable(this.#backend.deleteSnapshots(kind, ending), ending));
  }

  /**
   * Finishes the saves that are in flight and refuses what comes after. Reads in progress reject at once with
   * {@linkcode StoreClosedError}; subscriptions end.
   */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    this.#lifetime.close();
    return this.#closed;
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #finish(): Promise<void> {
    await Promise.all(Array.from(this.#subscriptions, (subscription) => subscription.close()));
    await this.#lifetime.idle();
    await this.#announcer?.close();
    await this.#backend.close();
  }

  /** What brings events to their registered schema versions; `undefined` if all are stored under these. */
  readonly #restore = (): Restore<StoredEvent> | undefined =>
    this.#registry.isIdle ? undefined : (event) => this.#registry.restore(event);

  /** The same for a read in the other direction: also of the events that one stored event is handed out as. */
  readonly #restoreBackward = (): Restore<StoredEvent> | undefined =>
    this.#registry.isIdle
      ? undefined
      : async (event) => [await this.#registry.restore(event)].flat().reverse();

  /** The same, with a filter on the types that events are handed out as. */
  #restoreChosen(
    accepts: ((event: StoredEvent) => boolean) | undefined,
  ): () => Restore<StoredEvent> | undefined {
    if (!accepts) return this.#restore;
    return () => async (event) => [await this.#registry.restore(event)].flat().filter(accepts);
  }

  /** Reads the options of a read of the log. A type that was renamed is stored under other names too. */
  #readLog<T extends string>(
    options: ReadAllOptions<T> | undefined,
  ): CheckedLogRead & { readonly accepts?: ((event: StoredEvent) => boolean) | undefined } {
    const read = readLogRead(options);
    const eventTypes = this.#registry.storedTypes(read.filter.eventTypes);
    if (!eventTypes) return read;
    const filter = { ...read.filter, eventTypes };
    return { ...read, filter, chosen: compileFilter(filter), accepts: read.chosen };
  }

  #read<T>(observed: Omit<ObservedRead, "namespace">, read: () => T | Promise<T>): T | Promise<T> {
    const telemetry = this.#telemetry();
    return telemetry ? observeRead(telemetry, { ...observed, namespace: this.namespace }, read) : read();
  }

  /** Iterates over batches for as long as the store is open. */
  #iterate<T>(
    observed: Omit<ObservedRead, "namespace">,
    begin: (ending: AbortSignal) => AsyncIterable<readonly StoredEvent[]>,
    options: Pick<FlattenOptions<StoredEvent>, "limit" | "signal" | "restore">,
  ): AsyncIterable<T> {
    return {
      [Symbol.asyncIterator]: (): AsyncIterator<T> => {
        this.#lifetime.assertOpen();
        const signal = this.#lifetime.until(options.signal);
        const items = flatten(begin(signal), { ...options, signal }) as AsyncIterator<T>;
        const telemetry = this.#telemetry();
        return telemetry
          ? observeIteration(telemetry, { ...observed, namespace: this.namespace }, items)
          : items;
      },
    };
  }
}

function withVault(
  backend: StorageBackend,
  vault: PersonalVault,
  { personal }: EventRegistry,
  warn: Warn,
): PersonalBackend {
  const codec = new PersonalCodec(vault, personal);
  return new PersonalBackend(backend, codec, vault, warn);
}

function firstOf<T>(items: readonly T[]): T {
  return items[0]!;
}

/** Calls a function as an async function would be called, without the promise that `return await` adds. */
function promised<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    const result = call();
    return result instanceof Promise ? result : Promise.resolve(result);
  } catch (error) {
    return Promise.reject(error);
  }
}
