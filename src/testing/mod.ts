/**
 * Testing kit: the conformance suite that every event store of this library passes, for stores of your own too.
 *
 * It loads `node:assert` and `fast-check`; nothing else of the library does.
 *
 * @module
 */

export { eventStoreConformance, testEventStore } from "./conformance.ts";
export type {
  BackendUnderTest,
  Capability,
  ConformanceCase,
  ConformanceOptions,
  EventStoreHarness,
  StoreUnderTest,
} from "./harness.ts";
