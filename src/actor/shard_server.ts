/**
 * Answering requests for the actors of the shards that this process owns.
 *
 * @module
 */

import type { Coordinator } from "../cluster/coordinator.ts";
import type { OwnedShard } from "../cluster/owned_shards.ts";
import type { NatsConnection, NatsMessage, NatsSubscription } from "../nats/connection.ts";
import { sleep } from "../sleep.ts";
import { OutcomeUnknownError } from "../store/errors.ts";
import type { ActiveActors } from "./active_actors.ts";
import { MovedError } from "./commit.ts";
import { CommandCall, QueryCall, TimerCall } from "./call.ts";
import { type AnyActor, definitionOf } from "./definition.ts";
import { ActorUnavailableError } from "./errors.ts";
import { infoSubject, shardSubject } from "./remote.ts";
import { answerWith, answerWithError, decodeRequest, encode, type WireRequest } from "./wire.ts";

/** What a server works with. */
export interface ShardServerSetup {
  /** Whose shards they are. */
  readonly coordinator: Coordinator;
  /** Where requests arrive. */
  readonly connection: NatsConnection;
  /** The name of the cluster. */
  readonly cluster: string;
  /** The kinds of actors, by name. */
  readonly definitions: ReadonlyMap<string, AnyActor>;
  /** The actors in memory. */
  readonly actors: ActiveActors;
}

/** A shard, its subscription, and what ends its stay here. */
interface ServedShard {
  readonly subscription: NatsSubscription;
  readonly released: PromiseWithResolvers<void>;
}

/** The largest message of a server that does not report it. */
const DEFAULT_MAX_PAYLOAD = 1_024 * 1_024;

/** How long a shard that is to move waits for requests that are on their way, in milliseconds. */
const MAX_DRAIN = 500;

/** Serves shards from when they are gained until they are lost: then their actors finish their calls first. */
export class ShardServer {
  readonly #setup: ShardServerSetup;
  readonly #served = new Map<OwnedShard, ServedShard>();
  readonly #ending = new AbortController();
  readonly #info: NatsSubscription;
  readonly #following: Promise<void>;

  /** Serves from now on. */
  constructor(setup: ShardServerSetup) {
    const { connection, cluster, coordinator } = setup;
    this.#setup = setup;
    this.#info = connection.subscribe(infoSubject(cluster), {
      callback: (error, { reply }) => {
        if (!error && reply) connection.publish(reply, encode({ ok: coordinator.shardCount }));
      },
    });
    this.#following = this.#follow().catch(() => {}); // the coordinator reports its own end
  }

  /** Stops: calls that were taken are finished. */
  async close(): Promise<void> {
    this.#ending.abort();
    await this.#following;
    if (!this.#setup.connection.isClosed()) this.#info.unsubscribe();
    await Promise.all([...this.#served.keys()].map((shard) => this.#release(shard)));
  }

  async #follow(): Promise<void> {
    const { coordinator } = this.#setup;
    const signal = AbortSignal.any([this.#ending.signal, coordinator.signal]);
    for await (const { type, shard } of coordinator.shardChanges({ signal })) {
      if (type === "gained") this.#serve(shard);
      else void this.#release(shard);
    }
  }

  #serve(shard: OwnedShard): void {
    const { connection, cluster } = this.#setup;
    const subscription = connection.subscribe(shardSubject(cluster, shard.id), {
      callback: (error, message) => {
        if (!error) void this.#answer(shard, message);
      },
    });
    const released = Promise.withResolvers<void>();
    // The shard moves on once its actors have finished what they have taken.
    shard.waitUntil(released.promise);
    this.#served.set(shard, { subscription, released });
  }

  async #release(shard: OwnedShard): Promise<void> {
    const served = this.#served.get(shard);
    if (!served) return;
    this.#served.delete(shard);
    await drained(served.subscription, this.#setup.connection);
    await this.#setup.actors.releaseOf(shard);
    served.released.resolve();
  }

  async #answer(shard: OwnedShard, { data, reply }: NatsMessage): Promise<void> {
    const { connection } = this.#setup;
    if (!reply) return;
    const request = decodeRequest(data);
    const answer = request ? await this.#answerTo(shard, request) : encode({
      failed: { message: "the request cannot be read", isStored: false },
    });
    if (!answer || connection.isClosed()) return;
    try {
      connection.publish(reply, answer);
    } catch (error) {
      // The fields of a declared error are over the limit of the server, or the connection is being closed.
      const message = `its answer cannot be sent: ${error instanceof Error ? error.message : error}`;
      if (!connection.isClosed()) connection.publish(reply, encode({ failed: { message, isStored: false } }));
    }
  }

  /** `undefined` if nothing is known that a caller could use: it asks again, or its time is over. */
  async #answerTo(shard: OwnedShard, request: WireRequest): Promise<Uint8Array | undefined> {
    const { actors, definitions, connection } = this.#setup;
    const { kind, actor: actorId, query, command, timer, id, timeout } = request;
    const definition = definitions.get(kind);
    // A host of another version may know it.
    if (!definition || definitionOf(actorId, definitions.values()) !== definition) {
      return encode({ retry: "moved" });
    }
    try {
      const call = timer
        ? new TimerCall(actorId, timer, id!, timeout, undefined)
        : query === undefined
        ? new CommandCall(actorId, command, id, timeout, undefined)
        : new QueryCall(actorId, queryOf(definition, query), timeout, undefined);
      const value = await actors.call(definition, call, shard);
      return answerWith(value, connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD);
    } catch (error) {
      // The new owner may have had the request too: only its answer counts.
      if (error instanceof MovedError || !shard.isHeld) return encode({ retry: "moved" });
      if (error instanceof ActorUnavailableError) return undefined;
      if (error instanceof OutcomeUnknownError) return encode({ retry: "unknown" });
      return answerWithError(error, definition);
    }
  }
}

/** Ends a subscription once the requests that are on their way have arrived: without that, their callers would wait. */
async function drained(subscription: NatsSubscription, connection: NatsConnection): Promise<void> {
  if (connection.isClosed()) return;
  const waiting = new AbortController();
  const bound = sleep(MAX_DRAIN, waiting.signal).catch(() => {});
  await Promise.race([subscription.drain().catch(() => {}), bound]); // it does not end while there is no server
  waiting.abort();
}

function queryOf({ queries }: AnyActor, name: string): (state: unknown) => unknown {
  const found = Object.hasOwn(queries as object, name)
    ? (queries as Record<string, (state: unknown) => unknown>)[name]
    : undefined;
  return found ?? ((): never => {
    throw new Error(`there is no query "${name}" here`);
  });
}
