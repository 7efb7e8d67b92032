/**
 * What a case of the bus suite works with.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { BusSubscription, EventBus } from "../../bus/types.ts";
import type { Event, EventInput } from "../../event/types.ts";
import type { Warning } from "../../warning.ts";
import type { EventBusHarness, TransportUnderTest } from "./harness.ts";

/** A case before it is given buses. */
export interface BusCaseDefinition {
  /** What it shows. */
  readonly name: string;
  /** Runs it. */
  readonly run: (context: BusCaseContext) => Promise<void>;
}

/** The cases of one theme. */
export interface BusTheme {
  /** A word. */
  readonly theme: string;
  /** Its cases. */
  readonly cases: readonly BusCaseDefinition[];
}

/** Two ends of one transport, closed behind the case. */
export class BusCaseContext implements AsyncDisposable {
  /** The end that publishes. */
  readonly publisher: EventBus;
  /** The end that listens; the same object where buses cannot be shared. */
  readonly listener: EventBus;
  /** What the listener's end has warned of. */
  readonly warnings: Warning[];
  readonly #transport: TransportUnderTest;
  readonly #patience: number;

  private constructor(
    transport: TransportUnderTest,
    ends: readonly [EventBus, EventBus],
    warnings: Warning[],
    patience: number,
  ) {
    this.#transport = transport;
    [this.publisher, this.listener] = ends;
    this.warnings = warnings;
    this.#patience = patience;
  }

  /** Sets up a transport and opens both ends. */
  static async open(harness: EventBusHarness, patience: number): Promise<BusCaseContext> {
    const transport = await harness.setUp();
    const warnings: Warning[] = [];
    const onWarning = (warning: Warning): void => void warnings.push(warning);
    const listener = await transport.open({ onWarning });
    const publisher = harness.sharing === false ? listener : await transport.open({ onWarning });
    await Promise.all([listener.ready, publisher.ready]);
    return new BusCaseContext(transport, [publisher, listener], warnings, patience);
  }

  /** Publishes from the other end. */
  readonly publish = async (
    namespace: string,
    data: unknown,
    more: Partial<EventInput> = {},
  ): Promise<void> => {
    await this.publisher.publish(namespace, {
      eventType: "Happened",
      actorId: "actor",
      version: 1,
      data,
      ...more,
    });
  };

  /** Takes the next `count` items, and leaves the iterator open. */
  async take<T>(iterator: AsyncIterator<T, unknown>, count: number): Promise<T[]> {
    const items: T[] = [];
    while (items.length < count) {
      const result = await this.within(`item ${items.length + 1} of ${count}`, iterator.next());
      if (result.done) assert.fail(`it ended after ${items.length} of ${count} items`);
      items.push(result.value);
    }
    return items;
  }

  /**
   * All data that a subscription has got when the last of it is `"end"`: what was published before it has arrived by
   * then, or never will.
   */
  async untilEnd(subscription: BusSubscription<Event>): Promise<unknown[]> {
    const iterator = subscription[Symbol.asyncIterator]();
    const data: unknown[] = [];
    for (;;) {
      const [event] = await this.take(iterator, 1);
      if (event!.data === "end") break;
      data.push(event!.data);
    }
    await subscription.close();
    return data;
  }

  /** Waits for what must happen, with a bound. */
  async within<T>(what: string, promise: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const fail = (): void =>
      late.reject(new assert.AssertionError({ message: `${what}: not within ${this.#patience} ms` }));
    const timer = setTimeout(fail, this.#patience);
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until a condition holds, with a bound. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = performance.now() + this.#patience;
    while (!condition()) {
      if (performance.now() > deadline) assert.fail(`${what}: not within ${this.#patience} ms`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Closes and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await Promise.all([this.publisher.close(), this.listener.close()]);
    } finally {
      await this.#transport.dispose?.();
    }
  }
}
