/**
 * Calling actors from a process that hosts none.
 *
 * @module
 */

import type { ConnectOptions } from "../nats/connect.ts";
import type { NatsConnection } from "../nats/connection.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import type { Event } from "../event/types.ts";
import type { ActorReference } from "./client.ts";
import type { ActorDefinition, AnyActor } from "./definition.ts";
import { checkClusterName } from "./host.ts";
import { checkActors, referTo } from "./reference.ts";
import { RemoteCaller } from "./remote.ts";

/**
 * How a client is connected.
 *
 * @category Actors
 */
export interface ActorClientOptions {
  /** The kinds of actors that it calls. */
  readonly actors: readonly AnyActor[];
  /** The name of the cluster: that of the hosts. @default {"default"} */
  readonly cluster?: string;
  /** How to connect, if a URL is given: the credentials, for example. */
  readonly connect?: ConnectOptions;
}

const CLIENT_OPTIONS: OptionNames<ActorClientOptions> = { actors: true, cluster: true, connect: true };

/**
 * Calls the actors of a cluster from a process that hosts none. It needs no store: only NATS.
 *
 * @example An HTTP handler
 * ```ts
 * import { ActorClient, type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";
 *
 * type Deposited = Event<"Deposited", { amount: number }>;
 * const decider: Decider<number, { deposit: number }, Deposited> = {
 *   initialState: () => 0,
 *   evolve: (balance, { data }) => balance + data.amount,
 *   decide: ({ deposit }) => [{ eventType: "Deposited", data: { amount: deposit } }],
 * };
 * const account = defineActor("account", { decider });
 *
 * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
 * async function serve(url: string) {
 *   const client = await ActorClient.connect(url, { actors: [account] });
 *   Deno.serve(async (request) => {
 *     const { state } = await client.get(account, "account-7").call(await request.json());
 *     return Response.json({ balance: state });
 *   });
 * }
 * ```
 *
 * @category Actors
 */
export class ActorClient implements AsyncDisposable {
  readonly #definitions: ReadonlyMap<string, AnyActor>;
  readonly #remote: RemoteCaller;
  readonly #close: () => Promise<void>;

  private constructor(
    definitions: ReadonlyMap<string, AnyActor>,
    remote: RemoteCaller,
    close: () => Promise<void>,
  ) {
    this.#definitions = definitions;
    this.#remote = remote;
    this.#close = close;
  }

  /**
   * Connects.
   *
   * @param urlOrConnection A server's URL, several of them, or a connection, which stays the caller's to close.
   * @throws {BackendError} If the connection cannot be made.
   * @throws {InvalidArgumentError} If an option is not sound.
   */
  static async connect(
    urlOrConnection: string | readonly string[] | NatsConnection,
    options: ActorClientOptions,
  ): Promise<ActorClient> {
    const { definitions, cluster, connect } = readOptions(options, ({ ...given }) => {
      checkKnown<ActorClientOptions>(given, CLIENT_OPTIONS);
      const { actors, cluster = "default", connect } = given;
      checkClusterName("options.cluster", cluster);
      return { definitions: checkActors(actors), cluster, connect };
    });
    const { openConnection } = await import("../nats/connect.ts");
    const { connection, opened } = await openConnection("urlOrConnection", urlOrConnection, connect);
    return new ActorClient(definitions, new RemoteCaller(connection, cluster), async () => {
      if (opened) await connection.close();
    });
  }

  /**
   * Finds an actor.
   *
   * @throws {InvalidArgumentError} If the id does not begin with the definition's name, or the definition is not one of
   * this client's.
   */
  get<S, C, E extends Event, A>(
    definition: ActorDefinition<S, C, E, A>,
    actorId: string,
  ): Omit<ActorReference<S, C, E, A>, "events"> {
    const remote = this.#remote;
    return referTo(
      this.#definitions,
      definition,
      actorId,
      (request) => remote.unknown.send(request, (asked) => remote.send(asked)),
    );
  }

  /** Stops: calls that wait are rejected. */
  async close(): Promise<void> {
    this.#remote.close();
    await this.#close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
