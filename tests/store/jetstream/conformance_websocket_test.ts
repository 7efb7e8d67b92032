/** The store on JetStream keeps the contract over WebSocket too: the quick half of the suite. */

import { wsconnect } from "@nats-io/nats-core";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
import { type NatsServer, startNatsServer } from "../../support/nats_server.ts";

let server: NatsServer;
let backends = 0;

Deno.test.beforeAll(async () => {
  server = await startNatsServer({ websocket: true });
});

Deno.test.afterAll(() => server.stop());

testEventStore("JetStreamEventStore over WebSocket", {
  async setUp(): Promise<BackendUnderTest> {
    const prefix = `backend${++backends}`;
    const connection = await wsconnect({ servers: server.websocketUrl });
    return {
      open: (options) => JetStreamEventStore.open(connection, { ...options, prefix, heartbeat: 100 }),
      dispose: () => connection.close(),
    };
  },
  lacks: ["restoring", "replacing"],
}, { quick: true });
