/**
 * What an event is: its shape, its schema versions, its errors.
 *
 * @module
 */

export type {
  Event,
  EventFilter,
  EventInput,
  EventMetadata,
  EventOf,
  NewEvent,
  StoredEvent,
} from "./types.ts";
export type {
  EventDefinition,
  EventDefinitions,
  SchemaFailure,
  SchemaIssue,
  SchemaPathSegment,
  SchemaResult,
  SchemaSuccess,
  SeveralEvents,
  StandardSchema,
  StandardSchemaProps,
  UpcastContext,
  Upcaster,
} from "./definitions.ts";
export {
  type EventPublisher,
  type EventStored,
  type EventStoredData,
  INTERNAL_NAMESPACE,
} from "./event_stored.ts";
export type { Subscription } from "./subscription.ts";
export type { EventReference, StoredEventReference } from "./errors.ts";
export { EventSchemaError, EventTooLargeError, InvalidEventError, SchemaVersionError } from "./errors.ts";
export {
  type Forgotten,
  isForgotten,
  type PersonalData,
  type PersonalField,
  type PersonField,
} from "./forgotten.ts";
