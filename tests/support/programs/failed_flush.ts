/** Saves an event, and another one while the disk fails to flush; says what the store said, and is killed. */

import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";

const [file, flag] = Deno.args as [string, string];
const store = await DenoKvEventStore.open(file, { saveTimeout: 300 });
await store.append("a", [{ id: "one", eventType: "E", data: 1 }], { expectedVersion: 0 });
await Deno.writeTextFile(flag, "");
const outcome = await store.append("a", [{ id: "two", eventType: "E", data: 2 }], { expectedVersion: 1 })
  .then(() => "stored", (error) => error.name);
await Deno.remove(flag);
console.log(outcome);
Deno.kill(Deno.pid, "SIGKILL");
