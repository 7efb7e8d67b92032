/**
 * What the bus needs of a NATS connection, as structural types: a connection of `@nats-io/transport-node`, of
 * `wsconnect` of `@nats-io/nats-core`, or of any other transport of that line fits. Nothing of NATS is imported.
 *
 * @module
 */

/** A message as the connection delivers it. */
export interface BusMessage {
  /** The subject that it was sent to. */
  readonly subject: string;
  /** The payload, without headers. */
  readonly data: Uint8Array;
  /** The headers, if it has any. */
  readonly headers?: BusMessageHeaders;
}

/** The headers of a message. */
export interface BusMessageHeaders {
  /** The value of a header; empty if it is absent. */
  get(name: string): string;
}

/** What a publication may carry. */
export interface BusPublishOptions {
  /** Headers: anything with an `encode()` that gives the header block. */
  readonly headers?: object;
}

/** What a subscription is made with. */
export interface BusConnectionSubscribeOptions {
  /** Called with each message, or with the error that ended the subscription. */
  readonly callback: (error: Error | null, message: BusMessage) => void;
}

/** A subscription of the connection. */
export interface BusConnectionSubscription {
  /** Ends the subscription at once. */
  unsubscribe(): void;
  /** Ends the subscription once what the server has sent is delivered. */
  drain(): Promise<void>;
}

/** What the connection reports about itself: `disconnect`, `reconnect`, `close` and others. */
export interface BusConnectionStatus {
  /** What happened. */
  readonly type: string;
}

/** The connection's reports, until it is closed. */
export interface BusConnectionStatuses extends AsyncIterable<BusConnectionStatus> {
  /** Ends the iteration. */
  stop?(): void;
}

/** What the server said about itself. */
export interface BusServerInfo {
  /** The largest message that it takes, headers included, in bytes. */
  readonly max_payload: number;
}

/** A NATS connection, as far as the bus needs one. */
export interface BusConnection {
  /** The server's description; undefined while there is no server. */
  readonly info?: BusServerInfo | undefined;
  /** Sends a message, or buffers it while the connection is down. */
  publish(subject: string, data?: Uint8Array, options?: BusPublishOptions): void;
  /** Subscribes; the subscription outlives reconnects. */
  subscribe(subject: string, options: BusConnectionSubscribeOptions): BusConnectionSubscription;
  /** Resolves once the server has seen everything sent so far. */
  flush(): Promise<void>;
  /** The connection's reports from now on. */
  status(): BusConnectionStatuses;
  /** Whether the connection was closed for good. */
  isClosed(): boolean;
}
