/**
 * What coordination needs of a NATS connection: any of nats.js's transports fits.
 *
 * @module
 */

/** The headers of a message. */
export interface NatsHeaders {
  /** The status code of a message of the server's own; 0 otherwise. */
  readonly code: number;
  /** What goes with the status code. */
  readonly description: string;
  /** The first value of a header; empty if there is none. */
  get(name: string): string;
}

/** A message that arrived. */
export interface NatsMessage {
  /** Its subject. */
  readonly subject: string;
  /** Its body. */
  readonly data: Uint8Array;
  /** Where an answer is wanted. */
  readonly reply?: string;
  /** Its headers. */
  readonly headers?: NatsHeaders;
}

/** A subscription. */
export interface NatsSubscription {
  /** Ends it. */
  unsubscribe(): void;
}

/** An open connection to NATS. */
export interface NatsConnection {
  /** What the server said of itself. */
  readonly info?: { readonly version: string } | undefined;
  /** What it was opened with. */
  readonly options?: { readonly inboxPrefix?: string } | undefined;
  /** Sends a message and waits for one answer. */
  request(
    subject: string,
    payload?: Uint8Array | string,
    // deno-lint-ignore no-explicit-any -- the type of headers differs between transports
    options?: { timeout: number; headers?: any },
  ): Promise<NatsMessage>;
  /** Sends a message. */
  publish(subject: string, payload?: Uint8Array | string): void;
  /** Calls back with every message on a subject. */
  subscribe(
    subject: string,
    options?: { callback?: (error: Error | null, message: NatsMessage) => void },
  ): NatsSubscription;
  /** Whether it is closed. */
  isClosed(): boolean;
  /** Closes it. */
  close(): Promise<void>;
}

/** Headers to send, in the form that every nats.js transport takes. */
export class OutgoingHeaders {
  readonly #text: string;

  constructor(headers: Readonly<Record<string, string>>) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#text = `NATS/1.0\r\n${lines.join("")}\r\n`;
  }

  /** The headers as they go over the wire. */
  encode(): Uint8Array {
    return new TextEncoder().encode(this.#text);
  }
}
