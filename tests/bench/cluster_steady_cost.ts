/**
 * What a node costs while nothing happens: simulated nodes in virtual time, with the default times, every message counted.
 *
 * @module
 */
import { checkOptions } from "../../src/cluster/coordinator_options.ts";
import { InMemoryBucket } from "../../src/cluster/in_memory_bucket.ts";
import { Member } from "../../src/cluster/member.ts";
import type { Bucket } from "../../src/cluster/bucket.ts";
import { Process } from "../cluster/simulation/process.ts";
import { Random } from "../support/random.ts";
import { World } from "../cluster/simulation/world.ts";

/** A watch on JetStream gets a heartbeat every 2 s. */
const HEARTBEATS_PER_SECOND = 0.5;
const MEASURED_MS = 60_000;

/** Messages a node and second, sent and received: renewals, their acknowledgements, news and heartbeats of watches. */
export async function steadyCost(count: number): Promise<number> {
  const world = new World(new Random(1));
  const server = new Process(world, "server");
  const bucket = new InMemoryBucket(server.clock);
  let messages = 0;
  let watches = 0;
  const counted: Bucket = {
    get: (key) => (messages += 2, bucket.get(key)),
    put: (key, value, options) => (messages += 2, bucket.put(key, value, options)),
    remove: (key, expected) => (messages += 2, bucket.remove(key, expected)),
    watch: (patterns, listener) => {
      watches++;
      const watch = bucket.watch(patterns, (update) => {
        messages += update.type === "snapshot" ? update.entries.length : update.type === "entry" ? 1 : 0;
        listener(update);
      });
      return { close: () => (watches--, watch.close()) };
    },
  };
  const members = Array.from({ length: count }, (_, index) => {
    const process = new Process(world, `node-${index}`);
    const options = checkOptions({ name: process.name, shardCount: 16 }, process.newId);
    const member = new Member(counted, options, { clock: process.clock, newId: process.newId });
    void member.join();
    return member;
  });
  // The bucket answers at once: without any event of its own the world would stand still.
  const tick = (): void => void world.after(10, tick);
  tick();
  const settled = (): boolean =>
    members.every((member) => member.session !== undefined && member.membership.nodes.size === count) &&
    members.some((member) => member.isLeader);
  await world.run(() => world.time > 120_000, () => {});
  if (!settled()) throw new Error("the simulated cluster did not settle");
  messages = 0;
  const until = world.time + MEASURED_MS;
  await world.run(() => world.time > until, () => {});
  return (messages / (MEASURED_MS / 1000) + watches * HEARTBEATS_PER_SECOND) / count;
}
