/**
 * A process that runs a projection on a database file until it is killed, and says what it is doing.
 *
 * Arguments: the file. It adds events up in Deno KV, in the handler's transaction, and dwells on events that are removals.
 *
 * @module
 */

import { DenoKvCheckpoints, DenoKvEventStore, runProjection } from "../../../mod.ts";
import { addUp, type Counted } from "../../projection/support.ts";

const [file] = Deno.args as [string];
const encoder = new TextEncoder();

function say(line: string): void {
  Deno.stdout.writeSync(encoder.encode(line + "\n"));
}

await using store = await DenoKvEventStore.open<Counted>(file, { pollInterval: 5 });
await using checkpoints = await DenoKvCheckpoints.open(file);
await using run = runProjection(store, {
  name: "sums",
  checkpoints,
  handle: async (event, { transaction }) => {
    await addUp(transaction, event);
    if (event.eventType !== "Removed") return;
    say(`dwells ${event.position}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    say(`dwelt ${event.position}`);
  },
}, { leaseTtl: 2000, onWarning: ({ message }) => console.error(message) });
Deno.addSignalListener("SIGTERM", () => run.close());
say("started");
await run.finished;
say("closed");
Deno.exit();
