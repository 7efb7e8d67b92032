/**
 * A NATS server as the target of a command.
 *
 * @module
 */

import { AS_STORED } from "../event/registry.ts";
import type { Event } from "../event/types.ts";
import { connectTo } from "../nats/connect.ts";
import type { NatsConnection } from "../nats/connection.ts";
import { ConnectionState } from "../nats/connection_state.ts";
import { jetStreamAddress } from "../nats/jetstream/address.ts";
import { bucketStream } from "../nats/jetstream/kv_bucket.ts";
import { JetStreamRequests } from "../nats/jetstream/requests.ts";
import { StreamNotFoundError } from "../nats/jetstream/api_errors.ts";
import { checkServer } from "../nats/jetstream/server.ts";
import { DEFAULT_BUCKET, JetStreamCheckpoints } from "../projection/jetstream_checkpoints.ts";
import type { CheckpointStore } from "../projection/checkpoints.ts";
import { streamName } from "../store/jetstream/format/layout.ts";
import { JetStreamEventStore } from "../store/jetstream/mod.ts";
import type { EventStore } from "../store/types.ts";
import { timersBucket } from "../actor/bucket_timer_index.ts";
import { sideOf } from "../side_storage.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { printable } from "./output.ts";
import { type Access, type Histories, otherNamespaces, type Target } from "./target.ts";
import { shownTarget } from "./secrets.ts";

/** How long the server may take to answer, in milliseconds. */
const TIMEOUT = 5_000;

/** Connects to a NATS server. */
export async function openNatsTarget(url: string, access: Access): Promise<NatsTarget> {
  if (access.credentials !== undefined) await checkFile(access.credentials);
  const connection = await connectTo(url, { name: "aether command line", ...credentialsOf(access) });
  try {
    const address = jetStreamAddress(domainOf(access));
    checkServer(connection, address);
    return new NatsTarget(shownTarget(url), connection, access);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** @throws {CommandFailure} If there is no such file. */
async function checkFile(credentials: string): Promise<void> {
  const found = await Deno.stat(credentials).catch((error) => {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  });
  if (found && !found.isDirectory) return;
  throw new CommandFailure(
    `--credentials must be a file with NATS credentials, and "${printable(credentials)}" is no file.`,
    ExitCode.misused,
  );
}

interface Credentials {
  readonly credentials?: string;
  readonly token?: string;
  readonly user?: string;
  readonly pass?: string;
}

/** What the environment has, where it may be read: a name alone is asked for, so that a permission for it suffices. */
function credentialsOf({ credentials }: Access): Credentials {
  const file = credentials ?? variable("AETHER_CREDENTIALS");
  if (file !== undefined) return { credentials: file };
  const token = variable("AETHER_TOKEN");
  if (token !== undefined) return { token };
  const user = variable("AETHER_USER");
  return user === undefined ? {} : { user, pass: variable("AETHER_PASSWORD") ?? "" };
}

function variable(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) : undefined;
}

function domainOf({ domain }: Access): { readonly domain?: string } {
  return domain === undefined ? {} : { domain };
}

/** A NATS server, until it is disposed of. */
export class NatsTarget implements Target {
  readonly #shown: string;
  readonly #access: Access;
  readonly #opened: AsyncDisposable[] = [];
  /** The connection. */
  readonly connection: NatsConnection;

  constructor(shown: string, connection: NatsConnection, access: Access) {
    this.#shown = shown;
    this.connection = connection;
    this.#access = access;
  }

  /** Opens the log. */
  async store(): Promise<EventStore<Event>> {
    const { prefix, namespace } = this.#access;
    const stream = streamName(prefix, namespace);
    if (!await this.exists(stream)) {
      throw new CommandFailure(
        `${this.#shown} has no event log of the namespace "${namespace}". ${await this.#others()}`,
        ExitCode.found,
      );
    }
    return await this.storeToWrite();
  }

  /** Opens the log. */
  look(): Promise<EventStore<Event>> {
    return this.store();
  }

  /** Opens the log. */
  histories(): Promise<Histories> {
    return this.store();
  }

  /** Opens the log, or makes it. */
  async storeToWrite(): Promise<EventStore<Event>> {
    const { prefix, namespace } = this.#access;
    const options = { prefix, namespace, events: AS_STORED, ...domainOf(this.#access) };
    const store = await JetStreamEventStore.open(this.connection, options);
    this.#opened.push(store);
    return store;
  }

  /** Opens the checkpoints; `undefined` if there are none. */
  async checkpoints(): Promise<CheckpointStore<unknown> | undefined> {
    if (!await this.exists(bucketStream(DEFAULT_BUCKET))) return undefined;
    const checkpoints = await JetStreamCheckpoints.open(this.connection, domainOf(this.#access));
    this.#opened.push(checkpoints);
    return checkpoints;
  }

  /** Whether there is the bucket of the index. */
  async hasTimers(store: EventStore<Event>): Promise<boolean> {
    const storage = sideOf(store)?.storage;
    return storage?.type === "jetstream" && await this.exists(bucketStream(timersBucket(storage)));
  }

  /** Whether there is a stream. */
  async exists(stream: string): Promise<boolean> {
    try {
      await this.#asking((requests) => requests.streamInfo(stream));
      return true;
    } catch (error) {
      if (error instanceof StreamNotFoundError) return false;
      throw error;
    }
  }

  async #others(): Promise<string> {
    const head = streamName(this.#access.prefix, "x").slice(0, -1);
    const { streams } = await this.#asking((requests) =>
      requests.request<{ readonly streams?: readonly string[] | null }>("STREAM.NAMES", {
        subject: `${this.#access.prefix}.>`,
      })
    );
    return otherNamespaces((streams ?? []).map((name) => name.slice(head.length)));
  }

  async #asking<T>(ask: (requests: JetStreamRequests) => Promise<T>): Promise<T> {
    const state = new ConnectionState(this.connection);
    const { apiPrefix } = jetStreamAddress(domainOf(this.#access));
    const requests = new JetStreamRequests(state, { timeout: TIMEOUT, apiPrefix });
    try {
      return await ask(requests);
    } finally {
      requests.close();
      state.close();
    }
  }

  /** Closes what was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#opened.reverse()) await resource[Symbol.asyncDispose]();
    await this.connection.close();
  }
}
