/**
 * What the conformance suite needs of the bus that it is to test.
 *
 * @module
 */

import type { EventBus, EventBusOptions } from "../../bus/types.ts";

/** Something to carry events, over which buses are opened: a broker, or the one bus of a process itself. */
export interface TransportUnderTest {
  /**
   * Opens a bus over the transport. The suite closes what it opened. What is published by one bus of a transport
   * arrives at every other one.
   *
   * @param options To be passed on to the bus.
   */
  open(options: EventBusOptions): EventBus | Promise<EventBus>;
  /** Removes the transport, after every bus over it was closed. @default {nothing is to be removed} */
  dispose?(): void | Promise<void>;
}

/** How the suite comes by buses. */
export interface EventBusHarness {
  /** Sets up a transport that carries nothing else. Each case asks for one of its own. */
  setUp(): TransportUnderTest | Promise<TransportUnderTest>;
  /**
   * Whether several buses over one transport hear one another. Without it a case publishes and subscribes on one and
   * the same bus.
   *
   * @default {true}
   */
  readonly sharing?: boolean;
}

/** How patient the suite is. */
export interface BusConformanceOptions {
  /** How long to wait for what must happen, in milliseconds, before the case fails. @default {20_000} */
  readonly patience?: number;
}

/** A case of the suite. */
export interface BusConformanceCase {
  /** What it shows, as a sentence about a bus; unique in the suite. */
  readonly name: string;
  /** The theme that it belongs to, a word. */
  readonly theme: string;
  /**
   * Runs it over a transport of its own.
   *
   * @throws What it finds wrong; an `AssertionError` for the most part.
   */
  run(): Promise<void>;
}
