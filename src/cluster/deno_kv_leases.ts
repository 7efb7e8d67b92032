/**
 * Leases in Deno KV.
 *
 * @module
 */
import { closeKv, openedFile, openKv } from "../deno_kv.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { DenoKvBucket } from "./deno_kv_bucket.ts";
import type { LeaseEnvironment } from "./lease.ts";
import { BucketLeaseStore } from "./lease_store.ts";
import { checkName } from "./names.ts";

/**
 * Where in the database the leases are stored.
 *
 * @category Cluster
 */
export interface DenoKvLeasesOptions extends LeaseEnvironment {
  /** The first part of every key. @default {"aether"} */
  readonly prefix?: string;
  /** Apart from leases of the same key in another namespace. @default {"default"} */
  readonly namespace?: string;
}

const OPTIONS: OptionNames<DenoKvLeasesOptions> = { prefix: true, namespace: true, clock: true, newId: true };

/** Returns the options as they were read. */
function checkOptions({ ...options }: DenoKvLeasesOptions): DenoKvLeasesOptions {
  checkKnown<DenoKvLeasesOptions>(options, OPTIONS);
  const { prefix = "aether", namespace = "default" } = options;
  checkName("options.prefix", prefix);
  checkName("options.namespace", namespace);
  return options;
}

/**
 * Leases in Deno KV, for the processes that share a database. A lease whose holder has died is free once a rival has waited
 * for its whole time to live. Each process uses its own clock, so that no clocks are compared.
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
 *
 * @category Cluster
 */
export class DenoKvLeases extends BucketLeaseStore {
  readonly #owned: Deno.Kv | undefined;

  private constructor(
    kv: Deno.Kv,
    path: string | undefined,
    owned: boolean,
    options: DenoKvLeasesOptions,
    outlivesBucket: boolean,
  ) {
    const { prefix = "aether", namespace = "default", clock } = options;
    const file = path === undefined ? undefined : openedFile(path);
    super(new DenoKvBucket(kv, [prefix, namespace, "lease"], { clock, file }), options, { outlivesBucket });
    this.#owned = owned ? kv : undefined;
  }

  /**
   * Keeps leases in a database.
   *
   * @param pathOrKv The path of a database file, `":memory:"`, the URL of a KV Connect server, or a `Deno.Kv` that is
   * open and stays the caller's to close. Without it, the default database of the application.
   * @param options Where in the database they are stored.
   * @throws {StoreOpenError} If Deno KV is not enabled, or the database cannot be opened.
   */
  static async open(pathOrKv?: string | Deno.Kv, options?: DenoKvLeasesOptions): Promise<DenoKvLeases> {
    const checked = readOptions(options, checkOptions);
    const { kv, opened } = await openKv(pathOrKv);
    const path = typeof pathOrKv === "string" ? pathOrKv : undefined;
    // No other process has a database in memory that was opened here: no lease of an earlier one can be held.
    return new DenoKvLeases(kv, path, opened, checked, path !== ":memory:");
  }

  /** Releases all leases that were acquired here, and closes the database if it was opened here. */
  override async close(): Promise<void> {
    await super.close();
    if (this.#owned) closeKv(this.#owned);
  }
}
