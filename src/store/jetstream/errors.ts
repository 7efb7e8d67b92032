/**
 * What can be wrong with a server or a stream, beside what every store's errors say.
 *
 * @module
 */

import { registerClass } from "../../copies.ts";
import { AetherError } from "../../errors.ts";

/** The server has no JetStream, or the account may not use it. */
export class JetStreamDisabledError extends AetherError {
  static {
    registerClass(this, "JetStreamDisabledError");
  }

  /** The name of the error's class. */
  override readonly name = "JetStreamDisabledError";

  /** The server's name. */
  readonly server: string;

  /** Names the server. */
  constructor(server: string, options?: ErrorOptions) {
    super(
      `The NATS server "${server}" does not run JetStream for this account: start it with --jetstream, and enable ` +
        "JetStream for the account",
      options,
    );
    this.server = server;
  }
}

/** The oldest nats-server that the store works with: 2.12.0 never completes a commit over several actors. */
export const OLDEST_SERVER = "2.12.1";

/** The server is older than what the store needs: commits over several actors are atomic from 2.12.1 on. */
export class ServerTooOldError extends AetherError {
  static {
    registerClass(this, "ServerTooOldError");
  }

  /** The name of the error's class. */
  override readonly name = "ServerTooOldError";

  /** The server's version. */
  readonly version: string;
  /** The oldest version that works. */
  readonly required: string;

  /** Names both versions. */
  constructor(version: string, required: string) {
    super(
      `The NATS server is of version ${version}, and the event store needs ${required} or newer: update it`,
    );
    this.version = version;
    this.required = required;
  }
}

/** A setting of a stream that is other than the store needs it. */
export interface StreamDifference {
  /** The setting, in the server's own terms, such as `deny_delete`. */
  readonly setting: string;
  /** What the store needs, or was asked for. */
  readonly expected: unknown;
  /** What the stream has. */
  readonly actual: unknown;
}

/** There is a stream already, and it is set up in another way. Nothing was changed. */
export class StreamMismatchError extends AetherError {
  static {
    registerClass(this, "StreamMismatchError");
  }

  /** The name of the error's class. */
  override readonly name = "StreamMismatchError";

  /** The stream's name. */
  readonly stream: string;
  /** How it differs from what the store needs. */
  readonly differences: readonly StreamDifference[];

  /** Lists the differences. */
  constructor(stream: string, differences: readonly StreamDifference[]) {
    const list = differences.map(({ setting, expected, actual }) =>
      `${setting} is ${shown(actual)}, and must be ${shown(expected)}`
    );
    super(
      `The stream "${stream}" exists and is set up in another way: ${
        list.join("; ")
      }. Open the store with the ` +
        "options that it was created with, have the operator change the stream, or choose another namespace",
    );
    this.stream = stream;
    this.differences = differences;
  }
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? "unset";
}
