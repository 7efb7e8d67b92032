/**
 * Forgets a person, and kills its own process at a moment of that: `forget_process.ts TARGET PERSON MOMENT`, with the master key in
 * `MASTER_KEY`. TARGET is a file of Deno KV or the URL of a NATS server. MOMENT counts the commits of Deno KV, or the messages
 * to the server: the process ends before that one.
 *
 * @module
 */

import { connect } from "@nats-io/transport-node";
import { DenoKvEventStore, JetStreamEventStore, Vault } from "../../mod.ts";
import { endWithParent } from "../support/programs/end_with_parent.ts";

endWithParent();
const [target, person, moment] = Deno.args as [string, string, string];
const options = { masterKey: { id: "1", secret: Deno.env.get("MASTER_KEY")! } };
let left = Infinity;

/** The same method, which ends the process when the moment has come. */
function mortal<A extends unknown[], R>(method: (...args: A) => R): (...args: A) => R {
  return function (this: unknown, ...args: A): R {
    if (--left < 0) Deno.kill(Deno.pid, "SIGKILL");
    return method.apply(this, args);
  };
}

async function forget(vault: Vault, store: DenoKvEventStore | JetStreamEventStore): Promise<void> {
  left = Number(moment);
  await vault.forget(person, store);
  left = Infinity;
  console.log("forgotten");
  Deno.kill(Deno.pid, "SIGKILL");
}

if (target.startsWith("nats:")) {
  const connection = await connect({ servers: target });
  const vault = await Vault.onJetStream(connection, options);
  const store = await JetStreamEventStore.open(connection);
  connection.publish = mortal(connection.publish);
  connection.request = mortal(connection.request);
  await forget(vault, store);
} else {
  const kv = await Deno.openKv(target);
  const operation = Object.getPrototypeOf(kv.atomic()) as Deno.AtomicOperation;
  operation.commit = mortal(operation.commit);
  await forget(await Vault.onDenoKv(kv, options), await DenoKvEventStore.open(kv));
}
