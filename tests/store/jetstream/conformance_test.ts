/** The store on JetStream keeps the whole contract, on one server. */

import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
import { startNatsServer } from "../../support/nats_server.ts";
import { client } from "./support.ts";

testEventStore("JetStreamEventStore", {
  async setUp(): Promise<BackendUnderTest> {
    const server = await startNatsServer();
    return {
      open: (options) => JetStreamEventStore.open(server.url, { ...options, heartbeat: 100 }),
      backUp: () => server.backUp(),
      restore: () => server.restore(),
      deleteLog: async () => {
        await using connected = await client(server.url);
        await connected.requests.request("STREAM.DELETE.aether_default");
      },
      dispose: () => server.stop(),
    };
  },
}, { numRuns: 10, load: 0.5 });
