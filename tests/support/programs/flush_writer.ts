/** Appends events while the disk fails to flush now and then, prints each answer, and is killed. */

import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";

interface Step {
  readonly actors: readonly string[];
  readonly fails: boolean;
}

const [file, flag, plan] = Deno.args as [string, string, string];
const store = await DenoKvEventStore.open(file, { saveTimeout: 200 });
let count = 0;
for (const { actors, fails } of JSON.parse(plan) as Step[]) {
  if (fails) await Deno.writeTextFile(flag, "");
  await Promise.all(actors.map(async (actorId) => {
    const id = `event-${++count}`;
    const outcome = await store.append(actorId, [{ id, eventType: "Happened", data: null }], {
      expectedVersion: "any",
    }).then(() => "stored", (error) => error.name as string);
    console.log(JSON.stringify({ id, outcome }));
  }));
  if (fails) await Deno.remove(flag);
}
console.log("done");
Deno.kill(Deno.pid, "SIGKILL");
