/**
 * Leases in Deno KV.
 *
 * @module
 */
import { AetherError } from "../errors.ts";
import { DenoKvBucket } from "./deno_kv_bucket.ts";
import { BucketLeaseStore, type LeaseEnvironment } from "./lease.ts";

/** Where in the database the leases lie. */
export interface DenoKvLeasesOptions extends LeaseEnvironment {
  /** The first part of every key. @default {"aether"} */
  readonly prefix?: string;
  /** Apart from leases of the same key in another namespace. @default {"default"} */
  readonly namespace?: string;
}

/** Deno KV is not there. */
export class DenoKvUnavailableError extends AetherError {
  /** The name of the error's class. */
  override readonly name = "DenoKvUnavailableError";
}

/**
 * Leases in Deno KV, for the processes that share a database. A lease whose holder has died is free once a rival has waited
 * for its whole time to live. Everybody's clock counts for himself, so that no clocks are compared.
 *
 * @example One of the processes on a machine works
 * ```ts
 * import { DenoKvLeases } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using leases = await DenoKvLeases.open(":memory:"); // the path of a file that all of them open
 * await using lease = await leases.acquire("nightly-report");
 * assert(lease.isHeld);
 * ```
 */
export class DenoKvLeases extends BucketLeaseStore {
  readonly #owned: Deno.Kv | undefined;

  private constructor(kv: Deno.Kv, owned: boolean, options: DenoKvLeasesOptions) {
    const { prefix = "aether", namespace = "default" } = options;
    super(new DenoKvBucket(kv, [prefix, namespace, "lease"], options.clock), options);
    this.#owned = owned ? kv : undefined;
  }

  /**
   * Keeps leases in an open database, or in the one at a path or URL.
   *
   * @throws {DenoKvUnavailableError} If the process was started without Deno KV.
   */
  static async open(target: Deno.Kv | string, options: DenoKvLeasesOptions = {}): Promise<DenoKvLeases> {
    if (typeof target !== "string") return new DenoKvLeases(target, false, options);
    if (typeof Deno.openKv !== "function") {
      throw new DenoKvUnavailableError(
        'Deno KV is not enabled: put "unstable": ["kv"] into deno.json, or run with --unstable-kv',
      );
    }
    return new DenoKvLeases(await Deno.openKv(target), true, options);
  }

  /** Releases all leases that were acquired here, and closes the database if it was opened here. */
  override async close(): Promise<void> {
    await super.close();
    try {
      this.#owned?.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error; // Closed before.
    }
  }
}
