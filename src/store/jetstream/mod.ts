/**
 * The event store on NATS JetStream: for production, on one server or on a cluster of three.
 *
 * It needs nats-server 2.12.1 or newer. **Events are kept for one year by default**: open the store with
 * `{ retention: "forever" }` to keep them all.
 *
 * A program that connects to `nats://127.0.0.1:4222` needs `--allow-net=127.0.0.1:4222`, and no other permission; for a
 * cluster, the address of each server.
 *
 * **A lost end.** Stored bytes that change are found by checksums, chains and sequences. A server that has to rebuild its
 * index cuts a stream's file off at the first message that its own checksum refuses, and does not report it
 * (nats-server 2.15.1, one replica, `index.db` gone). Open stores therefore mark the end of the log in the bucket next to
 * the stream, every five seconds while it grows and when they are closed. A log that ends before its mark is refused with
 * {@linkcode LogReplacedError}, until an operator opens it with `acceptLostTail: true`. What cannot be noticed: commits that
 * were stored after the last mark, by a program that was killed; and a copy of stream and bucket that were restored
 * together. A store that was open, a snapshot, a checkpoint, or `verify({ expectedPosition })` with the last position that
 * your application has kept notices these too.
 *
 * @example Save and read
 * ```ts ignore
 * import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
 *
 * await using store = await JetStreamEventStore.open("nats://localhost:4222", { replicas: 3, retention: "forever" });
 * await store.append("order.123", [{ eventType: "OrderPlaced", data: { total: 99.99 } }], { expectedVersion: 0 });
 * const history = await store.getEvents("order.123");
 * ```
 *
 * @module
 */

import { InvalidArgumentError } from "../../errors.ts";
import type { Event } from "../../event/types.ts";
import { BackedEventStore } from "../backed_event_store.ts";
import { abortable } from "../../abortable.ts";
import { checkActorId, checkToken } from "../check_options.ts";
import { StoreClosedError } from "../errors.ts";
import { checkFlag, checkKnown, checkSignal, type OptionNames, readOptions } from "../../options.ts";
import {
  checkAtLeast,
  checkDuration,
  type EventStoreOptions,
  setUpStore,
  STORE_OPTIONS,
  type StoreSetup,
} from "../store_options.ts";
import type { JetStreamBackend } from "./backend.ts";
import type { ConnectOptions } from "../../nats/connect.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { jetStreamAddress, type JetStreamAddressOptions } from "../../nats/jetstream/address.ts";
import { offerSide } from "../../side_storage.ts";
import { type JetStreamSettings, openJetStreamBackend } from "./open.ts";
import { type Retention, SHORTEST_RETENTION } from "./retention/retention.ts";
import { requireSubjectPrefix } from "../../event/subject.ts";
import type { PreservationReport } from "./retention/expiring_actors.ts";
import type { RepairOptions, RepairResult } from "./write/repair.ts";
import { describe } from "../../text.ts";

export * from "../mod.ts";
export type { ConnectOptions } from "../../nats/connect.ts";
export type { JetStreamAddressOptions } from "../../nats/jetstream/address.ts";
export type {
  NatsConnection,
  NatsMessage,
  NatsMessageHeaders,
  NatsPublishOptions,
  NatsRequestOptions,
  NatsServerInfo,
  NatsStatus,
  NatsStatusIterable,
  NatsSubscription,
  NatsSubscriptionOptions,
} from "../../nats/connection.ts";
export { NotConnectedError, PayloadTooLargeError } from "../../nats/errors.ts";
export { JetStreamApiError, NoAnswerError, StreamNotFoundError } from "../../nats/jetstream/api_errors.ts";
export type { NoAnswer } from "../../nats/jetstream/reply_inbox.ts";
export type { Retention } from "./retention/retention.ts";
export { type PreservationReport } from "./retention/expiring_actors.ts";
export { type RepairOptions, type RepairResult } from "./write/repair.ts";

/**
 * What a store on JetStream can be opened with.
 *
 * @category Stores
 */
export interface JetStreamEventStoreOptions<E extends Event = Event>
  extends EventStoreOptions<E>, JetStreamAddressOptions {
  /**
   * The first levels of every subject and the first part of the stream's name: letters, digits, `_`, `-`, and dots
   * between levels.
   *
   * @default {"aether"}
   */
  readonly prefix?: string;
  /**
   * How long events are kept, in milliseconds, at least 100; or `"forever"`. An existing stream with another
   * retention is refused; without this option, an existing stream is used as it is.
   *
   * @default {one year}
   */
  readonly retention?: Retention;
  /**
   * How many servers keep each event, 1 to 5. An existing stream with another number is refused; without this option,
   * an existing stream is used as it is.
   *
   * @default {1}
   */
  readonly replicas?: number;
  /** How long a save may take before it is given up, in milliseconds. @default {30_000} */
  readonly saveTimeout?: number;
  /** How long a read waits for a connection or for the election of a leader, in milliseconds. @default {15_000} */
  readonly readTimeout?: number;
  /** How long a single answer of the server may take before it is asked again, in milliseconds. @default {5_000} */
  readonly answerTimeout?: number;
  /**
   * How often the server reports to a subscription that it has nothing to deliver, in milliseconds, at least 100: a
   * subscription is created again after two and a half intervals without a report.
   *
   * @default {1_000}
   */
  readonly heartbeat?: number;
  /**
   * At least how many actors' latest versions are kept in memory, for those that were used last; at most twice as many
   * are. A save to another actor reads its version first. At least 1.
   *
   * @default {100_000}
   */
  readonly cachedActors?: number;
  /** How many saves may be under way; more wait. @default {1_024} */
  readonly maxInFlight?: number;
  /**
   * Opens a log that has lost its end, by the mark of the end that stores leave in the bucket next to the stream. The
   * mark is then written again. Without it, opening such a log rejects with {@linkcode LogReplacedError}.
   *
   * @default {false}
   */
  readonly acceptLostTail?: boolean;
  /** How to connect, if a URL is given. */
  readonly connect?: ConnectOptions;
}

/**
 * An event store on NATS JetStream. It keeps the contract of {@linkcode EventStore}.
 *
 * A namespace is a stream; a commit is one message an actor, so that a save is one round trip, and atomic on every
 * number of replicas. Events of several actors are saved as one atomic batch.
 *
 * The subject of an actor is `<prefix>.<namespace>.<log id>.<actor id>`. The log's random id is made with the stream,
 * which has no other subjects: if the stream is deleted and made again while a store is open, the store's saves and
 * reads throw {@linkcode LogReplacedError}, and nothing of it is stored in the new log.
 *
 * @typeParam E The union of the events it holds.
 *
 * @category Stores
 */
export class JetStreamEventStore<E extends Event = Event> extends BackedEventStore<E> {
  readonly #backend: JetStreamBackend;
  /** Fires when the store is closed. */
  readonly #closing = new AbortController();

  private constructor(backend: JetStreamBackend, setup: StoreSetup) {
    super(backend, setup);
    this.#backend = backend;
  }

  /**
   * Opens a store, and creates its stream if there is none.
   *
   * @param urlOrConnection A server's URL, several of them, or a connection of any transport of nats.js, which the caller
   * closes.
   * @param options The namespace, the retention, and more.
   * @throws {BackendError} If the connection cannot be made, or the server has no JetStream or is too old.
   * @throws {LogReplacedError} If the stream has lost its end since a store was last open on it.
   * @throws {ConfigurationMismatchError} If the stream exists and is configured differently.
   * @throws {StoreOpenError} If the server refuses.
   * @throws {InvalidArgumentError} If an option is out of range.
   *
   * @example For production
   * ```ts
   * import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
   *
   * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
   * async function openOrders(url: string) {
   *   const store = await JetStreamEventStore.open(url, {
   *     namespace: "orders",
   *     replicas: 3,
   *     retention: "forever",
   *     connect: { client: { user: "orders", pass: Deno.env.get("NATS_PASSWORD") } },
   *   });
   *   for (const { message, advice } of await store.diagnose()) console.warn(message, advice);
   *   return store;
   * }
   * ```
   */
  static async open<E extends Event = Event>(
    urlOrConnection: string | readonly string[] | NatsConnection,
    options?: JetStreamEventStoreOptions<E>,
  ): Promise<JetStreamEventStore<E>> {
    const settings = readOptions(options, settingsOf);
    const setup = setUpStore(options);
    const backend = await openJetStreamBackend(urlOrConnection, setup, settings);
    const store = new JetStreamEventStore<E>(backend, setup);
    offerSide(store, { now: setup.now, storage: backend.side });
    return store;
  }

  /**
   * Remembers the actors whose last events expire soon, so that their versions are not used again. Every open store does
   * it from time to time; call it yourself if no store is open for long.
   *
   * @example From a timer, if no store is open for long
   * ```ts
   * import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
   *
   * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
   * async function preserveOrders(url: string) {
   *   await using store = await JetStreamEventStore.open(url, { namespace: "orders" });
   *   console.log(await store.preserveExpiringActors());
   * }
   * ```
   */
  async preserveExpiringActors(): Promise<PreservationReport> {
    if (this.#closing.signal.aborted) throw new StoreClosedError();
    return await this.#backend.preserveExpiringActors();
  }

  /**
   * Makes an actor writable again that another program has published messages to. Such messages are no commits: a save
   * to the actor, and a read that meets them, rejects with {@linkcode DamagedHistoryError}. The repair stores a commit
   * without events that passes over the messages behind the actor's last commit, however many they are. It appends no
   * event and deletes nothing. The messages stay in the stream, and `verify()` reports them as `repaired`.
   *
   * It can be called while other programs write to the actor or repair it: one of several repairs is stored, and the
   * others skip nothing. For an actor whose latest message is a commit, and for one without messages, nothing is stored.
   *
   * @param actorId The actor.
   * @param options The caller's fencing token, if the actor has one.
   * @throws {DamagedHistoryError} If a commit behind the last one that can be read has changed or is missing: it is not
   * passed over.
   * @throws {FencedError} If the actor has a newer fencing token, or has one and none is given.
   * @throws {LogReplacedError} If the log was deleted or made again.
   * @throws {BackendError} If it could not be stored within `saveTimeout`.
   * @throws {StoreClosedError} If the store is closed.
   *
   * @example Repair what a verification has found
   * ```ts
   * import type { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
   *
   * async function repairAll(store: JetStreamEventStore) {
   *   const actors = new Set((await store.verify()).faults.map(({ actorId }) => actorId));
   *   for (const actorId of actors) {
   *     if (actorId === undefined) continue;
   *     const { version, skipped } = await store.repairActor(actorId);
   *     console.log(`${actorId} goes on after version ${version}, without ${skipped.length} message(s)`);
   *   }
   * }
   * ```
   */
  async repairActor(actorId: string, options?: RepairOptions): Promise<RepairResult> {
    this.#closing.signal.throwIfAborted();
    checkActorId(actorId);
    const { signal, ...save } = readOptions(options, checkRepair);
    signal?.throwIfAborted();
    const ending = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
    return await abortable(this.#backend.repairActor(actorId, { ...save, signal: ending }), ending);
  }

  /** Finishes the saves that are in flight and refuses what comes after. Reads in progress reject; subscriptions end. */
  override close(): Promise<void> {
    this.#closing.abort(new StoreClosedError());
    return super.close();
  }
}

const REPAIR_OPTIONS: OptionNames<RepairOptions> = { fencingToken: true, unfenced: true, signal: true };

function checkRepair(options: RepairOptions): RepairOptions {
  checkKnown(options, REPAIR_OPTIONS);
  const { fencingToken, unfenced } = options;
  if (fencingToken !== undefined) checkToken("options.fencingToken", fencingToken);
  const signal = checkSignal(options.signal);
  return {
    ...(fencingToken !== undefined && { fencingToken }),
    unfenced: checkFlag("options.unfenced", unfenced),
    ...(signal && { signal }),
  };
}

const OPTIONS: OptionNames<JetStreamEventStoreOptions> = {
  ...STORE_OPTIONS,
  prefix: true,
  retention: true,
  replicas: true,
  domain: true,
  apiPrefix: true,
  saveTimeout: true,
  readTimeout: true,
  answerTimeout: true,
  heartbeat: true,
  cachedActors: true,
  maxInFlight: true,
  acceptLostTail: true,
  connect: true,
};

function settingsOf<E extends Event>(options: JetStreamEventStoreOptions<E>): JetStreamSettings {
  checkKnown<object>(options, OPTIONS);
  const {
    prefix = "aether",
    retention,
    replicas,
    domain,
    apiPrefix,
    saveTimeout = 30_000,
    readTimeout = 15_000,
    answerTimeout = 5_000,
    heartbeat = 1_000,
    cachedActors = 100_000,
    maxInFlight = 1_024,
    acceptLostTail = false,
    connect = {},
  } = options;
  if (typeof prefix !== "string") {
    throw new InvalidArgumentError("prefix", `must be a string, and is ${describe(prefix)}`);
  }
  requireSubjectPrefix(prefix);
  if (retention !== undefined && retention !== "forever") {
    checkAtLeast("retention", retention, SHORTEST_RETENTION);
  }
  if (replicas !== undefined && !(Number.isInteger(replicas) && replicas >= 1 && replicas <= 5)) {
    throw new InvalidArgumentError(
      "options.replicas",
      `must be an integer from 1 to 5, and is ${describe(replicas)}`,
    );
  }
  checkDuration("saveTimeout", saveTimeout, 1);
  checkDuration("readTimeout", readTimeout, 0);
  checkDuration("answerTimeout", answerTimeout, 1);
  checkDuration("heartbeat", heartbeat, 100);
  checkAtLeast("cachedActors", cachedActors, 1);
  checkAtLeast("maxInFlight", maxInFlight, 1);
  if (typeof acceptLostTail !== "boolean") {
    throw new InvalidArgumentError(
      "options.acceptLostTail",
      `must be true or false, and is ${describe(acceptLostTail)}`,
    );
  }
  return {
    prefix,
    retention,
    replicas,
    domain,
    address: jetStreamAddress({
      ...(domain !== undefined && { domain }),
      ...(apiPrefix !== undefined && { apiPrefix }),
    }),
    saveTimeout,
    readTimeout,
    answerTimeout,
    heartbeat,
    cachedActors,
    maxInFlight,
    acceptLostTail,
    connect,
  };
}
