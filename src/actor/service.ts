/**
 * Shows a host to the tools of NATS: `nats micro ls`, `info` and `stats` find it, by the protocol of NATS services (ADR-32).
 *
 * @module
 */

import { type NatsConnection, type NatsSubscription, randomToken } from "../nats/connection.ts";
import { utf8 } from "../text.ts";

/** What a host counts. */
export interface ServiceCounts {
  /** Calls that have come from other processes. */
  requests: number;
  /** Those that were answered with an error. */
  errors: number;
  /** The text of the last of these errors. */
  lastError: string;
  /** How long they took together, in milliseconds. */
  time: number;
}

/** What is shown of a host. */
export interface ServiceSetup {
  /** The connection that questions come over. */
  readonly connection: NatsConnection;
  /** The name of the cluster. */
  readonly cluster: string;
  /** The name of the node. */
  readonly node: string;
  /** The subject of calls. */
  readonly subject: string;
  /** The kinds of actors. */
  readonly kinds: readonly string[];
  /** How many actors are in memory, and how many shards the host has. */
  readonly numbers: () => { readonly active: number; readonly shards: number };
  /** What was counted. */
  readonly counts: ServiceCounts;
}

/** The version of the calls between processes, as services name one. */
const VERSION = "1.0.0";
const TYPE = "io.nats.micro.v1";
const NANOSECONDS_PER_MS = 1_000_000;

/** Answers the questions of the tools, until it is closed. A user who may not listen to them is not shown. */
export class HostService {
  readonly #setup: ServiceSetup;
  readonly #subscriptions: readonly NatsSubscription[];
  readonly #started = new Date().toISOString();
  readonly #id = randomToken();

  /** Answers from now on. */
  constructor(setup: ServiceSetup) {
    this.#setup = setup;
    const { connection } = setup;
    const { name } = this.#identity;
    const answers = {
      PING: () => ({ type: `${TYPE}.ping_response`, ...this.#identity }),
      INFO: () => this.#info(),
      STATS: () => this.#stats(),
    };
    this.#subscriptions = Object.entries(answers).flatMap(([verb, answer]) =>
      [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${this.#id}`].map((subject) =>
        connection.subscribe(subject, {
          callback: (error, { reply }) => {
            if (!error && reply && !connection.isClosed()) {
              connection.publish(reply, utf8(JSON.stringify(answer())));
            }
          },
        })
      )
    );
  }

  /** Answers no more. */
  close(): void {
    if (this.#setup.connection.isClosed()) return;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  get #identity(): Readonly<Record<"name" | "id" | "version", string>> & { readonly metadata: object } {
    const { cluster, node, kinds } = this.#setup;
    const metadata = { cluster, node, actors: kinds.join(",") };
    return { name: `aether-actors-${cluster}`, id: this.#id, version: VERSION, metadata };
  }

  get #endpoint(): Readonly<Record<"name" | "subject" | "queue_group", string>> {
    return { name: "calls", subject: this.#setup.subject, queue_group: "" };
  }

  #info(): unknown {
    return {
      type: `${TYPE}.info_response`,
      ...this.#identity,
      description: `Actors of the cluster ${this.#setup.cluster}`,
      endpoints: [{ ...this.#endpoint, metadata: {} }],
    };
  }

  #stats(): unknown {
    const { counts, numbers } = this.#setup;
    const time = Math.round(counts.time * NANOSECONDS_PER_MS);
    return {
      type: `${TYPE}.stats_response`,
      ...this.#identity,
      started: this.#started,
      endpoints: [{
        ...this.#endpoint,
        num_requests: counts.requests,
        num_errors: counts.errors,
        last_error: counts.lastError,
        processing_time: time,
        average_processing_time: counts.requests === 0 ? 0 : Math.round(time / counts.requests),
        data: numbers(),
      }],
    };
  }
}
