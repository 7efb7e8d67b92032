/**
 * One incarnation of a node: from when it gets the lease on its name until that is over.
 *
 * @module
 */
import { abortable } from "../abortable.ts";
import type { Bucket } from "./bucket.ts";
import type { Cleanups } from "./cleanups.ts";
import type { Clock } from "./clock.ts";
import { agreeOnShardCount } from "./cluster_config.ts";
import type { CheckedOptions } from "./coordinator_options.ts";
import type { HeldLease } from "./held_lease.ts";
import type { LeaseTerms } from "./lease_record.ts";
import { OwnedShards, type ShardChange } from "./owned_shards.ts";
import { claimName, Registration } from "./registration.ts";

/** What an incarnation begins with. */
export interface IncarnationSetup {
  /** The cluster's bucket. */
  readonly bucket: Bucket;
  /** Time. */
  readonly clock: Clock;
  /** What the node is. */
  readonly options: CheckedOptions;
  /** The terms of the lease on its name. */
  readonly terms: LeaseTerms;
  /** Gets what goes on after an abort. */
  readonly cleanups: Cleanups;
  /** Whether the node wants to give its shards away. */
  isDraining(): boolean;
  /** Called with every shard gained and lost. */
  onShard(change: ShardChange): void;
}

/** One incarnation of a node. */
export class Incarnation {
  /** The lease on the node's name. */
  readonly lease: HeldLease;
  /** The shards that it holds. */
  readonly shards: OwnedShards;
  readonly #registration: Registration;

  private constructor(lease: HeldLease, setup: IncarnationSetup) {
    const { bucket, clock, options: { name, address, metadata, weight } } = setup;
    const session = lease.fencingToken;
    const shards = new OwnedShards(
      { name, session },
      lease,
      (change) => setup.onShard(change),
      () => this.update(),
    );
    this.lease = lease;
    this.shards = shards;
    this.#registration = new Registration(bucket, clock, name, lease, () => ({
      name,
      session,
      address,
      metadata,
      weight,
      draining: setup.isDraining(),
      seen: shards.seen,
      releasing: shards.releasing,
    }));
  }

  /** Gets the lease, agrees with the other nodes, and writes the node's record. Nothing of it stays if that fails. */
  static async begin(setup: IncarnationSetup, signal: AbortSignal): Promise<Incarnation> {
    const { bucket, clock, options, terms, cleanups } = setup;
    const lease = await claimName(bucket, clock, options.name, terms, signal, cleanups);
    const incarnation = new Incarnation(lease, setup);
    try {
      // After the lease was granted: so that a session in a bucket that was made again has agreed in that bucket.
      await abortable(agreeOnShardCount(bucket, options.shardCount), signal);
      await abortable(incarnation.#registration.open(), signal);
      signal.throwIfAborted();
      return incarnation;
    } catch (error) {
      const ended = incarnation.unregister().then(() => lease.release());
      cleanups.add(ended);
      await abortable(ended, signal);
      throw error;
    }
  }

  /** Writes the node's record again, because what it describes has changed. */
  update(): void {
    this.#registration.update();
  }

  /** Stops writing the node's record. */
  close(): Promise<void> {
    return this.#registration.close();
  }

  /** Removes the node's record. What is in it about the shards is true until the lease is released. */
  async unregister(): Promise<void> {
    await this.#registration.close();
    await this.#registration.remove();
  }
}
