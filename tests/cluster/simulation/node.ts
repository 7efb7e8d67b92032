/**
 * What runs in a simulated process: the production member, a worker for each of its shards, and a contender for a lease.
 *
 * @module
 */
import type { LeaseStore } from "../../../src/cluster/lease.ts";
import type { Member } from "../../../src/cluster/member.ts";
import type { OwnedShard, ShardChange } from "../../../src/cluster/owned_shards.ts";
import type { EventStore } from "./event_store.ts";
import type { Beliefs, Invariants } from "./invariants.ts";
import type { Process } from "./process.ts";
import type { Servers } from "./server.ts";
import type { Subject } from "./subject.ts";
import type { World } from "./world.ts";

/** The times that the simulated cluster runs with, in ms. */
export const TTL = 6000;
export const MAX_CLOCK_SKEW = 1000;
export const SHARDS = 5;
/** The number of shards of a node that was configured otherwise. */
export const OTHER_SHARDS = 7;
const RESTART_MS = 500;

/** What nodes share. */
export interface Surroundings {
  readonly world: World;
  readonly subject: Subject;
  readonly servers: Servers;
  readonly store: EventStore;
  readonly invariants: Invariants;
}

/** One process with all that runs in it. */
export class Node implements Beliefs {
  readonly process: Process;
  readonly member: Member;
  readonly shards: Set<OwnedShard> = new Set();
  lease: Beliefs["lease"];
  isDone = false;
  isAcquiring = false;
  readonly #leases: LeaseStore;
  readonly #around: Surroundings;

  constructor(around: Surroundings, process: Process, shardCount = SHARDS) {
    const { subject, servers } = around;
    const { clock, newId, name } = process;
    const bucket = servers.connect(process);
    this.#around = around;
    this.process = process;
    this.member = new subject.Member(
      bucket,
      subject.checkOptions({
        name,
        ttl: TTL,
        maxClockSkew: MAX_CLOCK_SKEW,
        shardCount,
        onWarning: ({ message }) => around.world.note(`${name}: ${message}`),
      }, newId),
      { clock, newId },
    );
    this.#leases = new subject.BucketLeaseStore(bucket, { clock, newId });
    this.#run().catch((error) => around.world.note(`${name}: ended: ${error}`));
    this.#contend();
  }

  get isJoined(): boolean {
    return this.member.session?.isHeld ?? false;
  }

  async #run(): Promise<void> {
    const { world, invariants } = this.#around;
    try {
      await this.member.join();
    } catch (error) {
      world.note(`${this.process.name}: could not join: ${error}`);
      this.isDone = true;
      return;
    }
    world.note(`${this.process.name}: joined as ${this.member.session?.fencingToken}`);
    this.member.signal.addEventListener("abort", () => this.isDone = true);
    const held = (): ShardChange[] => [...this.member.shards].map((shard) => ({ type: "gained", shard }));
    for await (const { type, shard } of this.member.shardChanges.changes(held)) {
      if (type === "gained") {
        world.note(`${this.process.name}: gained ${shard.id} under ${shard.fencingToken}`);
        invariants.gained(this.process, shard);
        this.shards.add(shard);
        this.#work(shard);
      } else world.note(`${this.process.name}: lost ${shard.id}`);
    }
  }

  #sleep(duration: number): Promise<void> {
    return new Promise((resolve) => this.process.clock.setTimer(resolve, duration));
  }

  /** Takes the shard's actors over, then writes for them; often in jobs that are finished after the signal. */
  async #work(shard: OwnedShard): Promise<void> {
    const { world, store } = this.#around;
    const { name } = this.process;
    if (shard.isHeld) store.send(this.process, shard.id, shard.fencingToken);
    while (!shard.signal.aborted && this.process.isAlive) {
      const job = this.#sleep(world.random.between(50, 900));
      if (world.random.chance(0.5)) shard.waitUntil(job);
      await job;
      if (!shard.isHeld) continue;
      world.note(`${name}: acts on ${shard.id} under ${shard.fencingToken}`);
      store.send(this.process, shard.id, shard.fencingToken);
    }
  }

  async #contend(): Promise<void> {
    const { world, invariants } = this.#around;
    while (this.process.isAlive && !this.isDone) {
      try {
        const options = { ttl: TTL, maxClockSkew: MAX_CLOCK_SKEW };
        this.isAcquiring = true;
        const lease = await this.#leases.acquire("job", options).finally(() => this.isAcquiring = false);
        invariants.acquired(this.process, lease);
        this.lease = lease;
        world.note(`${this.process.name}: holds the job under ${lease.fencingToken}`);
        const job = this.#sleep(world.random.between(500, 15_000));
        await Promise.race([job, new Promise((resolve) => lease.signal.addEventListener("abort", resolve))]);
        await lease.release();
      } catch {
        if (this.isDone) return;
      }
      await this.#sleep(RESTART_MS);
    }
  }

  /** Leaves in order. */
  async leave(): Promise<void> {
    this.#around.world.note(`${this.process.name}: leaves`);
    await Promise.all([this.member.leave(), this.#leases.close()]);
    this.isDone = true;
  }
}
