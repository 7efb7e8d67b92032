/**
 * Streams that are created when they are first needed.
 *
 * @module
 */

import { ErrorCode } from "./error_codes.ts";
import {
  JetStreamApiError,
  type JetStreamRequests,
  type StreamConfig,
  type StreamInfo,
  StreamNotFoundError,
} from "./requests.ts";
import { retryTransient } from "./retry.ts";

/**
 * The stream of a name, which is created if it does not exist. An existing one is not changed: an operator may have
 * made it, for a user who may not create streams, or may have set its limits.
 *
 * @param patience How long each request may wait for a leader or a connection, in milliseconds.
 * @param configOf Returns the configuration of a stream that is to be created.
 * @throws {JetStreamApiError} If the server refuses.
 * @throws {NoAnswerError} If it does not answer.
 */
export async function findOrCreateStream(
  requests: JetStreamRequests,
  name: string,
  patience: number,
  configOf: () => StreamConfig,
): Promise<StreamInfo> {
  for (;;) {
    try {
      return await retryTransient(patience, () => requests.streamInfo(name));
    } catch (error) {
      if (!(error instanceof StreamNotFoundError)) throw error;
    }
    const config = configOf();
    try {
      return await retryTransient(patience, () => requests.createStream(config));
    } catch (error) {
      // Another process has created it in the meantime.
      if (!(error instanceof JetStreamApiError) || error.code !== ErrorCode.streamNameInUse) throw error;
    }
  }
}
