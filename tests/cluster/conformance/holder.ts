/** A process that holds a lease in the Deno KV database of its argument until it is killed. */
import { DenoKvLeases } from "../../../src/cluster/mod.ts";

const leases = await DenoKvLeases.open(Deno.args[0] ?? "");
await leases.acquire("key", { ttl: 2000, maxClockSkew: 100 });
console.log("held");
