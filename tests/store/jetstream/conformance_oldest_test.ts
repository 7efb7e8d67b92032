/** The store on JetStream keeps the whole contract on the oldest server that it promises to work with. */

import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
import { startNatsServer } from "../../support/nats_server.ts";
import {
  natsServerBinary,
  NatsServerNotFoundError,
  OLDEST_VERSION,
} from "../../support/nats_server_binary.ts";
import { client } from "./support.ts";

/** The program of that version; undefined, said aloud, if it cannot be obtained. */
async function oldestBinary(): Promise<string | undefined> {
  try {
    return await natsServerBinary({ version: OLDEST_VERSION });
  } catch (error) {
    if (!(error instanceof NatsServerNotFoundError)) throw error;
    console.warn(`NOT TESTED: nats-server ${OLDEST_VERSION} cannot be obtained: ${error.message}`);
    return undefined;
  }
}

const binary = await oldestBinary();

if (binary !== undefined) {
  testEventStore(`JetStreamEventStore on nats-server ${OLDEST_VERSION}`, {
    async setUp(): Promise<BackendUnderTest> {
      const server = await startNatsServer({ binary });
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
  }, { numRuns: 5, load: 0.3 });
}
