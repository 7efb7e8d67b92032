/**
 * The names of JetStream's own headers.
 *
 * @module
 */

/** Guards a publication: the sequence of the last message of the subject, 0 if it must have none. */
export const EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence";
/** Names the subject of the guard, if it is not the subject of the message. */
export const EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject";
