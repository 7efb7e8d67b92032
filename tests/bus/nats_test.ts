import type { NatsConnection } from "@nats-io/transport-node";
import { NatsEventBus } from "../../src/bus/mod.ts";
import { eventBusConformance, type TransportUnderTest } from "../../src/testing/mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { connectTo } from "./nats_support.ts";

Deno.test("NatsEventBus keeps the contract of a bus", async (t) => {
  await using server = await startNatsServer();
  let transports = 0;
  const cases = eventBusConformance({
    setUp(): TransportUnderTest {
      const connections: NatsConnection[] = [];
      const prefix = `bus.t${++transports}`;
      return {
        async open(options): Promise<NatsEventBus> {
          const connection = await connectTo(server.url);
          connections.push(connection);
          return new NatsEventBus(connection, { ...options, prefix });
        },
        async dispose(): Promise<void> {
          await Promise.all(connections.map((connection) => connection.close()));
        },
      };
    },
  });
  for (const { name, theme, run } of cases) await t.step(`[${theme}] ${name}`, run);
});
