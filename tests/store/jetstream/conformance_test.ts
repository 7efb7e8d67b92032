/** The store on JetStream keeps the whole contract, on one server. */

import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
import { startNatsServer } from "../../support/nats_server.ts";

testEventStore("JetStreamEventStore", {
  async setUp(): Promise<BackendUnderTest> {
    const server = await startNatsServer();
    return {
      open: (options) => JetStreamEventStore.open(server.url, { ...options, heartbeat: 100 }),
      dispose: () => server.stop(),
    };
  },
  lacks: ["conditions"],
}, { numRuns: 10, load: 0.5 });
