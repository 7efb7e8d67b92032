/** The store on JetStream keeps the whole contract, on a cluster of three servers with three replicas. */

import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
import { type NatsCluster, startNatsCluster } from "../../support/nats_server.ts";

let cluster: NatsCluster;
let backends = 0;

Deno.test.beforeAll(async () => {
  cluster = await startNatsCluster();
});

Deno.test.afterAll(() => cluster.stop());

testEventStore("JetStreamEventStore on three servers", {
  setUp(): BackendUnderTest {
    const prefix = `backend${++backends}`;
    return {
      open: (options) =>
        JetStreamEventStore.open(cluster.urls, { ...options, prefix, replicas: 3, heartbeat: 100 }),
    };
  },
  lacks: ["restoring", "replacing"],
}, { numRuns: 5, load: 0.25 });
