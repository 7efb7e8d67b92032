/**
 * How the connection under a bus changes: down, up again, or closed.
 *
 * @module
 */

import { BackendError, ClosedError } from "../errors.ts";
import { isTooManySubscriptions, TOO_MANY_SUBSCRIPTIONS } from "../nats/connection_state.ts";
import type { NatsConnection, NatsStatusIterable, NatsSubscription } from "../nats/connection.ts";

/** How long `settle()` waits for the server to send what it has, in milliseconds. */
const CLOSE_WAIT = 2_000;

/** What learns of the connection's fate. */
export interface Interruptible {
  /** An interruption begins. */
  interrupt(): void;
  /** It is over, and events arrive again. */
  recover(): void;
  /** The connection is closed permanently. */
  fail(error: unknown): void;
}

/** The bus that the connection is under. */
export interface LinkedBus {
  /** Its subscribers now. */
  subscribers(): readonly Interruptible[];
  /** Whether it was closed. */
  isClosed(): boolean;
}

/** Watches the connection. */
export class NatsLink {
  readonly #connection: NatsConnection;
  readonly #bus: LinkedBus;
  readonly #statuses: NatsStatusIterable;
  #reconnected = Promise.withResolvers<void>();
  #away: boolean;
  /** How many subscriptions the server has refused because there are too many. */
  #refusals = 0;

  /** Watches from now on, until `close()`. */
  constructor(connection: NatsConnection, bus: LinkedBus) {
    this.#connection = connection;
    this.#bus = bus;
    this.#reconnected.promise.catch(() => {});
    this.#statuses = connection.status();
    this.#away = connection.info === undefined;
    void this.#watch();
  }

  /** Whether the connection is down, for now or permanently. */
  get isAway(): boolean {
    return this.#away;
  }

  /** Waits until the server has seen all that was sent, over as many connections as that takes. */
  async confirm(): Promise<void> {
    for (;;) {
      const { promise } = this.#reconnected;
      try {
        await this.#connection.flush();
        return;
      } catch (cause) {
        if (this.#connection.isClosed()) throw connectionClosed(cause);
      }
      await promise;
    }
  }

  /**
   * Waits until the server has taken all subscriptions that were made.
   *
   * @throws {BackendError} If it has refused one meanwhile: it does not name which.
   */
  async confirmSubscriptions(): Promise<void> {
    const before = this.#refusals;
    await this.confirm();
    // What the server sent before its answer is reported by now.
    await new Promise<void>((resolve) => setTimeout(resolve));
    if (this.#refusals > before) throw new BackendError("subscribe", TOO_MANY_SUBSCRIPTIONS);
  }

  /** Waits, for a bounded time, for what was published to be sent and for what the server has sent to arrive. */
  async settle(sources: readonly NatsSubscription[]): Promise<void> {
    if (this.#away || this.#connection.isClosed()) return;
    const draining = sources.map((source) => source.drain());
    await within(CLOSE_WAIT, Promise.allSettled([...draining, this.#connection.flush()]));
  }

  /** Stops watching; calls that wait for a connection are rejected. */
  close(): void {
    this.#statuses.stop?.();
    this.#reconnected.reject(new ClosedError("bus"));
  }

  async #watch(): Promise<void> {
    for await (const status of this.#statuses) {
      const { type } = status;
      if (isTooManySubscriptions(status)) this.#refusals++;
      if (type === "disconnect" && !this.#away) {
        this.#away = true;
        for (const subscriber of this.#bus.subscribers()) subscriber.interrupt();
      } else if (type === "reconnect") {
        this.#away = false;
        void this.#recover();
        this.#reconnected.resolve();
        this.#reconnected = Promise.withResolvers();
        this.#reconnected.promise.catch(() => {});
      } else if (type === "close") break;
    }
    if (this.#bus.isClosed() || !this.#connection.isClosed()) return;
    this.#reconnected.reject(connectionClosed());
    for (const subscriber of this.#bus.subscribers()) subscriber.fail(connectionClosed());
  }

  /** Reports the interruption once the server has the subscriptions again: what is rebuilt earlier would miss events. */
  async #recover(): Promise<void> {
    const interrupted = this.#bus.subscribers();
    await this.confirm().catch(() => {}); // the subscriptions end with the same error
    for (const subscriber of interrupted) subscriber.recover();
  }
}

/** The error of everything that needs a connection which is closed. */
export function connectionClosed(cause?: unknown): ClosedError {
  return new ClosedError("connection", { cause });
}

async function within(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  try {
    await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
  }
}
