/**
 * JetStream's error codes that this library acts on, and what they mean.
 *
 * @module
 */

/** JetStream's error codes by condition, as `server/errors.json` of nats-server lists them. */
export const ErrorCode = {
  /** The limits of the account's JetStream are reached. */
  accountLimits: 10_002,
  /** Not enough servers of the cluster are up. */
  clusterIncomplete: 10_004,
  /** No server of the cluster can take the stream. */
  noPeers: 10_005,
  /** The server is not in the stream's group. */
  peerNotMember: 10_007,
  /** The cluster has no leader. */
  clusterNotAvailable: 10_008,
  /** The server that was asked is not the leader. */
  notLeader: 10_009,
  /** The consumer does not exist. */
  consumerNotFound: 10_014,
  /** The server has too few resources. */
  insufficientResources: 10_023,
  /** The stream or the account has as many consumers as it may have. */
  tooManyConsumers: 10_026,
  /** The account has as many streams as it may have. */
  tooManyStreams: 10_027,
  /** The limit of JetStream's memory is reached. */
  memoryExceeded: 10_028,
  /** The stream has no such message. */
  noMessage: 10_037,
  /** JetStream is not enabled for the account. */
  notEnabledForAccount: 10_039,
  /** The limit of JetStream's storage is reached. */
  storageExceeded: 10_047,
  /** A stream of that name exists with another configuration. */
  streamNameInUse: 10_058,
  /** The stream does not exist. */
  streamNotFound: 10_059,
  /** Another stream has the subjects. */
  subjectsOverlap: 10_065,
  /** Another message was stored on the subject before. */
  wrongLastSequence: 10_071,
  /** JetStream is not enabled on the server. */
  notEnabled: 10_076,
  /** The stream could not store the message, for example because it is full. */
  streamStoreFailed: 10_077,
  /** The stream is sealed: it takes no messages. */
  streamSealed: 10_109,
  /** The stream has no leader. */
  streamOffline: 10_118,
  /** A replicated stream has a write of the same subject under way. */
  writeInFlight: 10_164,
  /** The server's queue of messages that are not yet stored is full. */
  tooManyRequests: 10_167,
  /** The stream takes no atomic batches. */
  batchDisabled: 10_174,
  /** A message of a batch is missing when its last one arrives. */
  batchIncomplete: 10_176,
  /** The stream has as many open batches as it may have. */
  tooManyBatches: 10_210,
  /** The HTTP-like code of an answer without a JetStream code: nothing serves the API. */
  unavailable: 503,
} as const;

const NO_LEADER: readonly number[] = [
  ErrorCode.clusterNotAvailable,
  ErrorCode.notLeader,
  ErrorCode.streamOffline,
];

const NOT_NOW: ReadonlySet<number> = new Set([
  ...NO_LEADER,
  ErrorCode.batchIncomplete,
  ErrorCode.tooManyBatches,
  ErrorCode.tooManyRequests,
]);

const PASSING: ReadonlySet<number> = new Set([
  ...NO_LEADER,
  ErrorCode.clusterIncomplete,
  ErrorCode.noPeers,
  ErrorCode.peerNotMember,
  ErrorCode.insufficientResources,
  ErrorCode.tooManyConsumers,
  ErrorCode.memoryExceeded,
]);

const LIMITS: ReadonlySet<number> = new Set([
  ErrorCode.accountLimits,
  ErrorCode.insufficientResources,
  ErrorCode.tooManyConsumers,
  ErrorCode.tooManyStreams,
  ErrorCode.memoryExceeded,
  ErrorCode.storageExceeded,
]);

/** Whether another write came before a publication, or is under way. */
export function isConflict(code: number): boolean {
  return code === ErrorCode.wrongLastSequence || code === ErrorCode.writeInFlight;
}

/** Whether the same publication may be taken later, and was certainly not stored now. */
export function isMomentary(code: number): boolean {
  return NOT_NOW.has(code);
}

/** Whether a request that was refused may succeed later: there is no leader, a limit is reached, or a server starts. */
export function isPassing(code: number): boolean {
  return PASSING.has(code);
}

/** Whether JetStream is not enabled for the account. */
export function isNotEnabled(code: number): boolean {
  return code === ErrorCode.notEnabled || code === ErrorCode.notEnabledForAccount ||
    code === ErrorCode.unavailable;
}

/** Whether a limit of the server or the account is reached. */
export function isOverLimit(code: number): boolean {
  return LIMITS.has(code);
}
