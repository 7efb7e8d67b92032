/**
 * Testing kit: specifications of deciders and projections, and the conformance suites that every event store and every event
 * bus of this library passes, for your own too.
 *
 * It loads `node:assert` and `fast-check`; nothing else of the library does.
 *
 * @example Specify a decider
 * ```ts
 * import { type Decider, type Event, specifyDecider } from "@flowmade-one/aether/testing";
 *
 * type LightEvent = Event<"SwitchedOn" | "SwitchedOff", null>;
 * const light: Decider<boolean, "press", LightEvent> = {
 *   initialState: () => false,
 *   evolve: (_isOn, { eventType }) => eventType === "SwitchedOn",
 *   decide: (_press, isOn) => [{ eventType: isOn ? "SwitchedOff" : "SwitchedOn", data: null }],
 * };
 *
 * specifyDecider(light)
 *   .given([{ eventType: "SwitchedOn", data: null }])
 *   .when("press")
 *   .thenEvents([{ eventType: "SwitchedOff", data: null }])
 *   .thenState(false);
 * ```
 *
 * @module
 */

export * from "../store/mod.ts";
export { eventStoreConformance, testEventStore } from "./conformance.ts";
export { eventBusConformance, testEventBus } from "./bus/conformance.ts";
export type {
  BusConformanceCase,
  BusConformanceOptions,
  EventBusHarness,
  TransportUnderTest,
} from "./bus/harness.ts";
export type {
  BusSubscribeOptions,
  BusSubscription,
  EventBus,
  EventBusOptions,
  Loss,
  NamespacedEvent,
  OverflowPolicy,
} from "../bus/types.ts";
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
  type Asserted,
  type DeciderHistory,
  type DeciderOutcome,
  type DeciderSpecification,
  type ProjectionHistory,
  type ProjectionOutcome,
  type ProjectionSpecification,
  specifyDecider,
  specifyProjection,
} from "./specification.ts";
export {
  type ActorHistory,
  type ActorOutcome,
  type ActorSpecification,
  type ActorState,
  specifyActor,
} from "./actor_specification.ts";
export { TestActors, type TestActorsOptions } from "./test_actors.ts";
