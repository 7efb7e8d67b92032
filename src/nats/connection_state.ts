/**
 * Whether a NATS connection is up: one observer that all users of the connection share.
 *
 * @module
 */
import type { NatsConnection, NatsStatus, NatsStatusIterable } from "./connection.ts";

/** What to do if {@linkcode isTooManySubscriptions}. */
export const TOO_MANY_SUBSCRIPTIONS =
  "the server takes no more subscriptions of this connection or account; raise max_subscriptions, or use fewer at once";

/** Whether the server refused a subscription, which it does not name: there are as many as there may be. */
export function isTooManySubscriptions({ type, error }: NatsStatus): boolean {
  return type === "error" && /maximum subscriptions exceeded/i.test(error?.message ?? "");
}

/** Called when the state of a connection changes. */
export interface ConnectionListener {
  /** The connection is down: what was sent and not answered may or may not have arrived. */
  onDisconnect?(): void;
  /** The connection is up again, perhaps to another server. */
  onReconnect?(): void;
  /** The connection is closed. */
  onClose?(): void;
  /** The server denied this client a publication to the subject. */
  onPublishDenied?(subject: string, description: string): void;
  /** The server refused a subscription, and does not name it: there are as many as there may be. */
  onTooManySubscriptions?(description: string): void;
}

/** Watches a connection until `close()`, or until the connection is closed. */
export class ConnectionState {
  readonly #statuses: NatsStatusIterable;
  readonly #listeners = new Set<ConnectionListener>();
  #connected: boolean;
  #closed: boolean;
  #maxPayload: number | undefined;

  /** The connection that is watched. */
  readonly connection: NatsConnection;

  /** Begins to watch. */
  constructor(connection: NatsConnection) {
    this.connection = connection;
    this.#closed = connection.isClosed();
    this.#connected = !this.#closed && connection.info !== undefined;
    this.#statuses = connection.status();
    void this.#watch();
  }

  /** Whether the connection was up when it last reported. */
  get isConnected(): boolean {
    return this.#connected;
  }

  /** Whether the connection is closed. */
  get isClosed(): boolean {
    return this.#closed || this.connection.isClosed();
  }

  /** The largest message that the server takes, headers included, in bytes: the last known one while it is down. */
  get maxPayload(): number {
    return this.#maxPayload = this.connection.info?.max_payload ?? this.#maxPayload ?? Infinity;
  }

  /** Calls `listener` with what happens from now on. */
  add(listener: ConnectionListener): void {
    this.#listeners.add(listener);
  }

  /** Calls `listener` no more. */
  remove(listener: ConnectionListener): void {
    this.#listeners.delete(listener);
  }

  /** Stops watching. The connection stays open. */
  close(): void {
    this.#listeners.clear();
    this.#statuses.stop?.();
  }

  async #watch(): Promise<void> {
    try {
      for await (const status of this.#statuses) this.#take(status);
    } finally {
      if (this.connection.isClosed()) this.#ended();
    }
  }

  #take(status: NatsStatus): void {
    switch (status.type) {
      case "disconnect":
        this.#connected = false;
        for (const listener of this.#listeners) listener.onDisconnect?.();
        break;
      case "reconnect":
        this.#connected = true;
        for (const listener of this.#listeners) listener.onReconnect?.();
        break;
      case "close":
        this.#ended();
        break;
      case "error": {
        const { operation, subject, message } = status.error as
          & Error
          & { readonly operation?: string; readonly subject?: string };
        if (operation === "publish" && subject !== undefined) {
          for (const listener of this.#listeners) listener.onPublishDenied?.(subject, message);
        }
        if (isTooManySubscriptions(status)) {
          for (const listener of this.#listeners) listener.onTooManySubscriptions?.(TOO_MANY_SUBSCRIPTIONS);
        }
        break;
      }
    }
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connected = false;
    for (const listener of this.#listeners) listener.onClose?.();
  }
}
