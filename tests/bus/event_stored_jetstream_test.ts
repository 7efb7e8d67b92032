import { JetStreamEventStore } from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { eventStoredCases } from "./event_stored_cases.ts";

Deno.test("JetStreamEventStore announces what it stores", async (t) => {
  await using server = await startNatsServer();
  let stores = 0;
  const cases = eventStoredCases((options) =>
    JetStreamEventStore.open(server.url, { ...options, prefix: `store${++stores}` })
  );
  for (const { name, run } of cases) await t.step(name, run);
});
