/**
 * A process that builds version 2 of a projection, until it has taken over or is killed. It prints "begun" and "taken over".
 *
 * One argument: the file of the database.
 *
 * @module
 */

import {
  DenoKvCheckpoints,
  DenoKvEventStore,
  InMemoryLeases,
  type KvTransaction,
  type Projection,
  rebuildProjection,
} from "../../../mod.ts";
import { addUp, type Counted } from "../support.ts";

/** A version, which counts each event in a transaction, and takes a moment for it. */
export function version(version: number, checkpoints: DenoKvCheckpoints): Projection<Counted, KvTransaction> {
  return {
    name: "sums",
    version,
    checkpoints,
    lanes: version === 1 ? 1 : 8,
    checkpointInterval: 10,
    handle: async (event, { transaction, version }) => {
      await addUp(transaction, event, `sums ${version}`);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
    },
  };
}

if (import.meta.main) {
  const [file] = Deno.args;
  using kv = await Deno.openKv(file);
  await using store = await DenoKvEventStore.open<Counted>(file, { pollInterval: 5 });
  await using checkpoints = await DenoKvCheckpoints.open(kv);
  await using rebuild = rebuildProjection(store, version(2, checkpoints), { leases: new InMemoryLeases() });
  console.log("begun");
  const position = await rebuild.takenOver;
  console.log("taken over", position);
}
