/**
 * Testing kit: specifications of deciders and projections, and the conformance suite that every event store of this library
 * passes, for stores of your own too.
 *
 * It loads `node:assert` and `fast-check`; nothing else of the library does.
 *
 * @module
 */

export * from "../store/mod.ts";
export { eventStoreConformance, testEventStore } from "./conformance.ts";
export type {
  BackendUnderTest,
  Capability,
  ConformanceCase,
  ConformanceOptions,
  EventStoreHarness,
  StoreUnderTest,
} from "./harness.ts";
export {
  type ActorEvent,
  type DeciderHistory,
  type DeciderOutcome,
  type DeciderSpecification,
  type ProjectionHistory,
  type ProjectionOutcome,
  type ProjectionSpecification,
  specifyDecider,
  specifyProjection,
} from "./specification.ts";
