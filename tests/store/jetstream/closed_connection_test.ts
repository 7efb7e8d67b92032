/** A store whose connection its owner has closed before the store. */

import assert from "node:assert/strict";
import { JetStreamEventStore, type Warning } from "../../../mod.ts";
import { connectTo } from "../../../src/nats/connect.ts";
import { startNatsServer } from "../../support/nats_server.ts";

Deno.test("a store that is closed after its connection reports the order, and no permission, for the mark of the end", async () => {
  await using server = await startNatsServer();
  const warnings: Warning[] = [];
  const connection = await connectTo(server.url);
  const onWarning = (warning: Warning): number => warnings.push(warning);
  const store = await JetStreamEventStore.open(connection, { retention: "forever", onWarning });
  await store.append("a", [{ eventType: "Done", data: null }], { expectedVersion: 0 });
  await connection.close();
  await store.close();
  const marks = warnings.filter(({ code }) => code === "end-mark-failed");
  assert.equal(marks.length, 1);
  assert.match(marks[0]!.message, /Close the store before its connection/);
  assert.doesNotMatch(marks[0]!.message, /permissions/);
});
