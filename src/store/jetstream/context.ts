/**
 * What reading a log works with.
 *
 * @module
 */

import type { NatsConnection } from "../../nats/connection.ts";
import type { Warn } from "../../warning.ts";
import type { Checksum } from "../checksum.ts";
import type { CommitDecoder } from "./format/commit_decoder.ts";
import type { EventLog } from "./read/event_log.ts";
import type { Heads } from "./write/heads.ts";

/** An open log, and what its messages are read with. */
export interface JetStreamContext {
  /** The connection. */
  readonly connection: NatsConnection;
  /** The stream. */
  readonly log: EventLog;
  /** Reads messages. */
  readonly decoder: CommitDecoder;
  /** The heads of actors. */
  readonly heads: Heads;
  /** Checks bytes. */
  readonly checksum: Checksum;
  /** How often the server reports that there is nothing to deliver, in milliseconds. */
  readonly heartbeat: number;
  /** Takes what an operator should know. */
  readonly warn: Warn;
}

/** The same context, of which every wait ends with the signal's reason. */
export function until(context: JetStreamContext, signal: AbortSignal | undefined): JetStreamContext {
  return signal ? { ...context, log: context.log.until(signal) } : context;
}
