/**
 * The conformance suite of event buses.
 *
 * @module
 */

import { closing } from "./cases/closing.ts";
import { delivery } from "./cases/delivery.ts";
import { filters } from "./cases/filters.ts";
import { isolation } from "./cases/isolation.ts";
import { overflow } from "./cases/overflow.ts";
import { stored } from "./cases/stored.ts";
import { BusCaseContext, type BusTheme } from "./context.ts";
import type { BusConformanceCase, BusConformanceOptions, EventBusHarness } from "./harness.ts";

const THEMES: readonly BusTheme[] = [delivery, isolation, filters, overflow, closing, stored];

/**
 * The cases of the bus suite, for a test runner of your own.
 *
 * @example Run one case
 * ```ts
 * import { LocalEventBus } from "@flowmade-one/aether/bus";
 * import { eventBusConformance } from "@flowmade-one/aether/testing";
 *
 * const cases = eventBusConformance({
 *   sharing: false,
 *   setUp: () => ({ open: (options) => new LocalEventBus(options) }),
 * });
 * await cases.find(({ theme }) => theme === "delivery")!.run();
 * ```
 *
 * @param harness How the suite comes by buses.
 * @param options How patient it is.
 */
export function eventBusConformance(
  harness: EventBusHarness,
  options: BusConformanceOptions = {},
): readonly BusConformanceCase[] {
  const { patience = 20_000 } = options;
  return THEMES.flatMap(({ theme, cases }) =>
    cases.map(({ name, run }): BusConformanceCase => ({
      name,
      theme,
      async run(): Promise<void> {
        await using context = await BusCaseContext.open(harness, patience);
        await run(context);
      },
    }))
  );
}

/**
 * Registers the bus suite as tests of `deno test`, one a case. A bus of your own keeps the contract where they pass.
 *
 * @example The whole test file of a bus
 * ```ts ignore
 * import { LocalEventBus } from "@flowmade-one/aether/bus";
 * import { testEventBus } from "@flowmade-one/aether/testing";
 *
 * testEventBus("LocalEventBus", {
 *   sharing: false,
 *   setUp: () => ({ open: (options) => new LocalEventBus(options) }),
 * });
 * ```
 *
 * @param name Precedes the name of each test.
 * @param harness How the suite comes by buses.
 * @param options How patient it is.
 */
export function testEventBus(
  name: string,
  harness: EventBusHarness,
  options: BusConformanceOptions = {},
): void {
  for (const { name: caseName, theme, run } of eventBusConformance(harness, options)) {
    Deno.test({ name: `${name} [${theme}] ${caseName}`, fn: run });
  }
}
