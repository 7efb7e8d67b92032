import assert from "node:assert/strict";
import {
  type BusSubscribeOptions,
  type BusSubscription,
  type Event,
  type EventBus,
  type EventBusOptions,
  type EventInput,
  LocalEventBus,
} from "../../mod.ts";
import { eventBusConformance } from "../../src/testing/mod.ts";

/** Buses with one fault each, and the theme of the suite that must find it. */
const BROKEN: Record<string, { theme: string; bus: new (options?: EventBusOptions) => EventBus }> = {
  "one that folds the case of namespaces": {
    theme: "isolation",
    bus: class extends LocalEventBus {
      override publish(namespace: string, event: EventInput<Event>): Promise<void> {
        return super.publish(typeof namespace === "string" ? namespace.toLowerCase() : namespace, event);
      }
    },
  },
  "one that trims namespaces": {
    theme: "isolation",
    bus: class extends LocalEventBus {
      override publish(namespace: string, event: EventInput<Event>): Promise<void> {
        return super.publish(typeof namespace === "string" ? namespace.trim() : namespace, event);
      }
    },
  },
  "one that ignores filters": {
    theme: "filters",
    bus: class extends LocalEventBus {
      // deno-lint-ignore no-explicit-any -- stands for all overloads
      override subscribe(namespace: string, options: BusSubscribeOptions = {}): any {
        const { eventTypes: _types, ...rest } = options;
        return super.subscribe(namespace, rest);
      }
    },
  },
  "one that loses every hundredth event": {
    theme: "delivery",
    bus: class extends LocalEventBus {
      #published = 0;
      override publish(namespace: string, event: EventInput<Event>): Promise<void> {
        return ++this.#published % 100 === 0 ? Promise.resolve() : super.publish(namespace, event);
      }
    },
  },
  "one that delivers twice": {
    theme: "delivery",
    bus: class extends LocalEventBus {
      override async publish(namespace: string, event: EventInput<Event>): Promise<void> {
        await super.publish(namespace, event);
        await super.publish(namespace, event);
      }
    },
  },
  "one whose buffers have no bound": {
    theme: "overflow",
    bus: class extends LocalEventBus {
      // deno-lint-ignore no-explicit-any -- stands for all overloads
      override subscribe(namespace: string, options: BusSubscribeOptions = {}): any {
        return super.subscribe(namespace, options.buffer! <= 3 ? { ...options, buffer: 100_000 } : options);
      }
    },
  },
  "one whose loops never end": {
    theme: "closing",
    bus: class extends LocalEventBus {
      // deno-lint-ignore no-explicit-any -- stands for all overloads
      override subscribe(namespace: string, options: BusSubscribeOptions = {}): any {
        const subscription: BusSubscription<Event> = super.subscribe(namespace, options);
        return new Proxy(subscription, {
          get(target, name): unknown {
            if (name === "close") return () => Promise.resolve();
            const value = Reflect.get(target, name, target);
            return typeof value === "function" ? value.bind(target) : value;
          },
        });
      }
    },
  },
  "one that is never closed": {
    theme: "closing",
    bus: class extends LocalEventBus {
      override close(): Promise<void> {
        return Promise.resolve();
      }
    },
  },
};

for (const [what, { theme, bus }] of Object.entries(BROKEN)) {
  Deno.test(`the bus suite catches ${what}`, async () => {
    const cases = eventBusConformance(
      { sharing: false, setUp: () => ({ open: (options) => new bus(options) }) },
      { patience: 200 },
    );
    const failed = new Set<string>();
    for (const { theme, run } of cases) await run().catch(() => failed.add(theme));
    assert(failed.has(theme), `themes that failed: ${[...failed].join(", ")}`);
  });
}
