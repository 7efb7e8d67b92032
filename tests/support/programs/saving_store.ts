/**
 * A process that saves events of the actor "order" to a store on JetStream, after those that are stored, and keeps the
 * store open.
 *
 * Arguments: the server's URL, how many events.
 *
 * @module
 */

import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { endWithParent } from "./end_with_parent.ts";

const [url = "", count = ""] = Deno.args;
endWithParent();
const store = await JetStreamEventStore.open(url, { retention: "forever" });
for (let saved = 0; saved < Number(count); saved++) {
  await store.append("order", [{ eventType: "Happened", data: saved }], { expectedVersion: "any" });
}
