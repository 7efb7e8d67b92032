/**
 * A sealer as a process of its own: `sealer_process.ts STORE PLACE [INTERVAL]`, with the key in `SEAL_KEY`. STORE is a file of Deno KV
 * or the URL of a NATS server, PLACE a folder or the name of a bucket on that server, INTERVAL how often it seals. It prints a line when it has
 * sealed for the first time.
 *
 * @module
 */

import { SealBucket, SealFolder, sealLog } from "../../src/evidence/mod.ts";
import { DenoKvEventStore } from "../../src/store/deno_kv/mod.ts";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { endWithParent } from "../support/programs/end_with_parent.ts";

endWithParent();
const [target, path, interval = "1"] = Deno.args as [string, string, string?];
const isNats = target.startsWith("nats:");
const store = isNats ? await JetStreamEventStore.open(target) : await DenoKvEventStore.open(target);
const place = isNats && !path.includes("/")
  ? await SealBucket.open(target, { bucket: path })
  : new SealFolder(path);
const run = sealLog(store, place, {
  signer: { env: "SEAL_KEY" },
  interval: Number(interval),
  onWarning: ({ message, cause }) => console.error(message, cause),
});
run.finished.catch((error) => {
  console.error(error);
  Deno.exit(1);
});
while (!run.report) await new Promise((resolve) => setTimeout(resolve, 1));
console.log("sealed");
await run.finished;
