/**
 * Streams that are created when they are first needed.
 *
 * @module
 */

import { ErrorCode } from "./error_codes.ts";
import { JetStreamApiError, StreamNotFoundError } from "./api_errors.ts";
import type { JetStreamRequests } from "./requests.ts";
import type { StreamConfig, StreamInfo } from "./api_types.ts";
import { retryTransient } from "./retry.ts";
import type { Warning } from "../../warning.ts";

/**
 * The stream of a name, which is created if it does not exist. An existing one is not changed: an operator may have
 * made it, for a user who may not create streams, or may have set its limits.
 *
 * @param patience How long each request may wait for a leader or a connection, in milliseconds.
 * @param configOf Returns the configuration of a stream that is to be created.
 * @param signal Ends the waiting with the signal's reason.
 * @throws {JetStreamApiError} If the server refuses.
 * @throws {NoAnswerError} If it does not answer.
 */
export async function findOrCreateStream(
  requests: JetStreamRequests,
  name: string,
  patience: number,
  configOf: () => StreamConfig,
  signal?: AbortSignal,
): Promise<StreamInfo> {
  for (;;) {
    try {
      return await retryTransient(patience, () => requests.streamInfo(name), undefined, signal);
    } catch (error) {
      if (!(error instanceof StreamNotFoundError)) throw error;
    }
    const config = configOf();
    try {
      return await retryTransient(patience, () => requests.createStream(config), undefined, signal);
    } catch (error) {
      // Another process has created it in the meantime.
      if (!(error instanceof JetStreamApiError) || error.code !== ErrorCode.streamNameInUse) throw error;
    }
  }
}

/** Whether one server of a cluster keeps a stream: if it is lost, so is the stream. */
export function isOnOneOfMany({ config, cluster }: StreamInfo): boolean {
  return cluster?.name !== undefined && Number(config.num_replicas ?? 1) === 1;
}

/** The warning about a stream on one server of a cluster, if the number of replicas was left out. */
export function replicasLeftOut(stream: string): Warning {
  return {
    code: "replicas-left-out",
    message:
      `Only one server of the NATS cluster keeps the stream "${stream}": while that server is down, it is ` +
      "unavailable. Open it with replicas: 3, after an operator has changed the stream, or with replicas: 1 if that is meant.",
  };
}
