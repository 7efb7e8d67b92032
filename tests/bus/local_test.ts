import { LocalEventBus } from "../../src/bus/mod.ts";
import { testEventBus } from "../../src/testing/mod.ts";

testEventBus("LocalEventBus", {
  sharing: false,
  setUp: () => ({ open: (options) => new LocalEventBus(options) }),
});
