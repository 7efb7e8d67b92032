/**
 * Answering requests for the actors of the shards that this process owns.
 *
 * @module
 */

import type { Coordinator } from "../cluster/coordinator.ts";
import type { OwnedShard } from "../cluster/owned_shards.ts";
import { shardOf } from "../cluster/shard_of.ts";
import type { NatsConnection, NatsMessage, NatsSubscription } from "../nats/connection.ts";
import { ClosedError, InvalidArgumentError } from "../errors.ts";
import { settledWithin } from "../sleep.ts";
import { OutcomeUnknownError } from "../store/errors.ts";
import { MovedError } from "./commit.ts";
import { CommandCall, QueryCall, TimerCall } from "./call.ts";
import { type AnyActor, definitionOf } from "./definition.ts";
import { messageOf } from "../text.ts";
import type { Warn } from "../warning.ts";
import { HostService, type ServiceCounts } from "./service.ts";
import { queryOf } from "./untyped.ts";
import { ActorUnavailableError } from "./errors.ts";
import { type MovesSetup, PlannedMoves } from "./planned_moves.ts";
import { infoSubject, shardSubject } from "./subjects.ts";
import { answerWith, answerWithError, decodeRequest, encode, isQuestion, type WireRequest } from "./wire.ts";

/** What a server works with. */
export interface ShardServerSetup extends MovesSetup {
  /** Receives warnings. */
  readonly warn: Warn;
}

/** A shard, its subscription, and what ends its stay here. */
interface ServedShard {
  readonly subscription: NatsSubscription;
  readonly released: PromiseWithResolvers<void>;
}

/** The largest message of a server that does not report it. */
const DEFAULT_MAX_PAYLOAD = 1_024 * 1_024;

/** The most characters of an error that the statistics of a host show. */
const MAX_ERROR_TEXT = 200;

/** How long a shard that is to move waits for requests that are on their way, in milliseconds. */
const MAX_DRAIN = 500;

/** Serves shards from when they are gained until they are lost: then their actors finish their calls first. */
export class ShardServer {
  readonly #setup: ShardServerSetup;
  readonly #served = new Map<OwnedShard, ServedShard>();
  readonly #ending = new AbortController();
  readonly #info: NatsSubscription;
  readonly #following: Promise<void>;
  readonly #service: HostService;
  readonly #moves: PlannedMoves;
  readonly #releasing = new Set<Promise<void>>();
  /** Which clusters a coordinator is used for: two hosts would both work on its actors. */
  static readonly #clusters = new WeakMap<Coordinator, Set<string>>();
  readonly #counts: ServiceCounts = { requests: 0, errors: 0, lastError: "", time: 0 };

  /** @throws {InvalidArgumentError} If a host of the cluster works under the coordinator. */
  static assertFree(coordinator: Coordinator, cluster: string): void {
    if (!ShardServer.#clusters.get(coordinator)?.has(cluster)) return;
    throw new InvalidArgumentError(
      "options.cluster.coordinator",
      "has a host already: name all kinds of actors in one host, or close the other one first",
    );
  }

  /** Serves from now on. */
  constructor(setup: ShardServerSetup) {
    const { connection, cluster, coordinator } = setup;
    this.#setup = setup;
    const clusters = ShardServer.#clusters.get(coordinator) ?? new Set();
    ShardServer.#clusters.set(coordinator, clusters.add(cluster));
    this.#info = connection.subscribe(infoSubject(cluster), {
      callback: (error, { reply }) => {
        if (!error && reply) connection.publish(reply, encode({ ok: coordinator.shardCount }));
      },
    });
    this.#moves = new PlannedMoves(setup);
    this.#service = new HostService({
      connection,
      cluster,
      node: coordinator.name,
      subject: `aether.actors.${cluster}.*`,
      kinds: [...setup.definitions.keys()],
      numbers: () => ({ active: setup.actors.size, shards: this.#served.size }),
      counts: this.#counts,
    });
    this.#following = this.#follow().catch(() => {}); // the coordinator reports its own end
  }

  /** Stops: calls that were taken are finished. */
  async close(): Promise<void> {
    this.#ending.abort();
    this.#service.close();
    this.#moves.close();
    await this.#following;
    if (!this.#setup.connection.isClosed()) this.#info.unsubscribe();
    for (const shard of this.#served.keys()) this.#letGo(shard);
    await Promise.all(this.#releasing);
    ShardServer.#clusters.get(this.#setup.coordinator)?.delete(this.#setup.cluster);
  }

  async #follow(): Promise<void> {
    const { coordinator } = this.#setup;
    const signal = AbortSignal.any([this.#ending.signal, coordinator.signal]);
    for await (const { type, shard } of coordinator.shardChanges({ signal })) {
      if (type === "gained") this.#serve(shard);
      else this.#letGo(shard);
    }
  }

  #serve(shard: OwnedShard): void {
    const { connection, cluster } = this.#setup;
    const subscription = connection.subscribe(shardSubject(cluster, shard.id), {
      callback: (error, message) => {
        if (error) this.#denied(shard, error);
        else void this.#answer(shard, message);
      },
    });
    const released = Promise.withResolvers<void>();
    // The shard moves on once its actors have finished what they have taken.
    shard.waitUntil(released.promise);
    this.#served.set(shard, { subscription, released });
  }

  /** The server does not let this user listen: the calls of the shard do not arrive. */
  #denied({ id }: OwnedShard, cause: Error): void {
    const { connection, warn } = this.#setup;
    if (connection.isClosed()) return;
    warn({
      code: "actor-calls-denied",
      message:
        `calls to the actors of shard ${id} do not arrive: ${cause.message}. Give the user of this host permission ` +
        "to subscribe to aether.actors.>",
      cause,
    });
  }

  #letGo(shard: OwnedShard): void {
    const served = this.#served.get(shard);
    if (!served) return;
    this.#served.delete(shard);
    const released = this.#release(shard, served).finally(() => this.#releasing.delete(released));
    this.#releasing.add(released);
  }

  async #release(shard: OwnedShard, served: ServedShard): Promise<void> {
    if (shard.isHeld) await this.#moves.announce(shard);
    await drained(served.subscription, this.#setup.connection);
    await this.#setup.actors.releaseOf(shard);
    served.released.resolve();
  }

  async #answer(shard: OwnedShard, { data, reply }: NatsMessage): Promise<void> {
    if (!reply) return;
    if (isQuestion(data)) {
      return this.#reply(reply, encode(shard.isHeld ? { ok: null } : { retry: "moved" }));
    }
    const begun = performance.now();
    const request = decodeRequest(data);
    const answer = typeof request === "string"
      ? encode({ failed: { message: request, isStored: false } })
      : await this.#answerTo(shard, request);
    this.#counts.requests++;
    this.#counts.time += performance.now() - begun;
    if (answer) this.#reply(reply, answer);
  }

  #reply(reply: string, answer: Uint8Array): void {
    const { connection } = this.#setup;
    if (connection.isClosed()) return;
    try {
      connection.publish(reply, answer);
    } catch {
      // The connection is being closed: the caller asks the next owner.
    }
  }

  /** `undefined` if nothing is known that a caller could use: it asks again, or its time is over. */
  async #answerTo(shard: OwnedShard, request: WireRequest): Promise<Uint8Array | undefined> {
    const { actors, definitions, connection, coordinator } = this.#setup;
    if (shardOf(request.actor, coordinator.shardCount) !== shard.id) return encode({ retry: "shards" });
    const maxBytes = connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD;
    const definition = definitions.get(request.kind);
    const detail = differenceOf(request, definition, definitions);
    if (!definition || detail !== undefined) {
      return encode(shard.isHeld ? { retry: "definition", detail: detail! } : { retry: "moved" });
    }
    const call = callOf(request, definition);
    try {
      const value = await actors.call(definition, call, shard);
      return answerWith(value, maxBytes, call instanceof CommandCall && call.isStored);
    } catch (error) {
      // The new owner may have had the request too: only its answer counts.
      if (error instanceof MovedError || !shard.isHeld) {
        return encode({ retry: error instanceof MovedError && error.mayBeStored ? "unknown" : "moved" });
      }
      if (error instanceof ClosedError) return encode({ retry: "moved" });
      if (error instanceof ActorUnavailableError) return undefined;
      if (error instanceof OutcomeUnknownError) return encode({ retry: "unknown" });
      this.#counts.errors++;
      this.#counts.lastError = messageOf(error).slice(0, MAX_ERROR_TEXT);
      return answerWithError(error, definition, maxBytes);
    }
  }
}

/** Ends a subscription once the requests that are on their way have arrived: without that, their callers would wait. */
async function drained(subscription: NatsSubscription, connection: NatsConnection): Promise<void> {
  if (connection.isClosed()) return;
  await settledWithin(subscription.drain(), MAX_DRAIN); // it does not end while there is no server
}

/** Why the definition of a host is not the caller's; a host with another one may answer. */
function differenceOf(
  { kind, version, actor, query }: WireRequest,
  definition: AnyActor | undefined,
  definitions: ReadonlyMap<string, AnyActor>,
): string | undefined {
  if (!definition || definitionOf(actor, definitions.values()) !== definition) {
    return `hosts no actors of the kind "${kind}" by that id`;
  }
  if (definition.version < version) {
    return `has version ${definition.version} of "${kind}", and the caller version ${version}`;
  }
  if (query !== undefined && !queryOf(definition, query)) return `has no query "${query}" of "${kind}"`;
  return undefined;
}

function callOf(request: WireRequest, definition: AnyActor): CommandCall | QueryCall {
  const {
    actor,
    query,
    command,
    timer,
    id,
    isNamed = false,
    mayBeStored = false,
    timeout,
    chain = [],
    traceparent,
  } = request;
  const origin = { chain, traceparent };
  if (query !== undefined) {
    return new QueryCall(actor, queryOf(definition, query)!, timeout, undefined, origin);
  }
  const call = timer
    ? new TimerCall(actor, timer, id!, timeout, undefined, origin)
    : new CommandCall(actor, command, id, timeout, undefined, origin);
  call.mayBeStored = mayBeStored;
  call.isNamed = isNamed;
  return call;
}
