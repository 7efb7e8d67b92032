/**
 * Where a seal is: a folder, or a bucket on a NATS server.
 *
 * @module
 */

import { SealBucket } from "../evidence/seal_bucket.ts";
import { SealFolder } from "../evidence/seal_folder.ts";
import type { SealPlace } from "../evidence/place.ts";
import { bucketStream } from "../nats/jetstream/kv_bucket.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { isNats } from "./open_target.ts";
import { shownTarget } from "./secrets.ts";
import type { Access } from "./target.ts";

/** A place, until it is disposed of. */
export interface OpenPlace extends AsyncDisposable {
  /** The place. */
  readonly place: SealPlace;
}

/** How a place is reached. */
export interface PlaceAccess extends Access {
  /** The bucket on a NATS server. */
  readonly bucket: string;
}

/**
 * Opens a place.
 *
 * @param isNew Whether it is made if it does not exist.
 * @throws {CommandFailure} If it is no place.
 */
export async function openPlace(path: string, access: PlaceAccess, isNew: boolean): Promise<OpenPlace> {
  if (isNats(path)) return await openBucket(path, access, isNew);
  if (path === "" || /^[a-z][a-z0-9+.-]+:/i.test(path)) {
    throw new CommandFailure(
      `"${shownTarget(path)}" is no place for a seal: name a folder, or a NATS server.`,
      ExitCode.misused,
    );
  }
  return { place: new SealFolder(path), [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function openBucket(url: string, access: PlaceAccess, isNew: boolean): Promise<OpenPlace> {
  const { openNatsTarget } = await import("./nats_target.ts");
  const { bucket: name, domain } = access;
  const target = await openNatsTarget(url, access);
  try {
    if (!isNew && !await target.exists(bucketStream(name))) {
      throw new CommandFailure(`There is no seal in the bucket "${name}".`, ExitCode.found);
    }
    const bucket = await SealBucket.open(target.connection, { bucket: name, ...(domain && { domain }) });
    const dispose = async (): Promise<void> => {
      await bucket.close();
      await target[Symbol.asyncDispose]();
    };
    return { place: bucket, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await target[Symbol.asyncDispose]();
    throw error;
  }
}
