/**
 * The names of JetStream's own headers.
 *
 * @module
 */

/** Guards a publication: the sequence of the last message of the subject, 0 if it must have none. */
export const EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence";
/** Names the subject of the guard, if it is not the subject of the message. */
export const EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject";
/** How long the message lives. */
export const TIME_TO_LIVE = "Nats-TTL";
/** Marks the removal of a key. */
export const KEY_VALUE_OPERATION = "KV-Operation";
/** Why the server marked a key as gone, for example because its value expired. */
export const MARKER_REASON = "Nats-Marker-Reason";
