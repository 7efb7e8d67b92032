/**
 * Which bucket was the first of its name. A bucket that is made may be in the place of one that was lost, whose leases go on
 * for a while; the first one of its name is not, and can grant leases sooner.
 *
 * @module
 */
import { escapeLevel } from "../text.ts";
import type { Bucket } from "./bucket.ts";
import { RevisionConflictError } from "./errors.ts";
import { decodeRecord, encodeRecord } from "./record.ts";

const KIND = "first";

/**
 * Whether a bucket is the first one of its name, by a register that outlives it. If no bucket of the name is in the
 * register yet, this one is entered.
 *
 * @param register Where the first buckets are kept.
 * @param name The name of the bucket.
 * @param id The bucket's id: another bucket of the same name has another one.
 * @param mayBeFirst Whether no earlier one is known.
 */
export async function isFirstBucket(
  register: Bucket,
  name: string,
  id: string,
  mayBeFirst: boolean,
): Promise<boolean> {
  const key = `first.${escapeLevel(name)}`;
  for (;;) {
    const entry = await register.get(key);
    // A record that was removed, or cannot be read, shows that there was one.
    if (entry) return mayBeFirst && decodeRecord(KIND, entry.value)?.["id"] === id;
    try {
      await register.put(key, encodeRecord(KIND, { id: mayBeFirst ? id : "" }), { expected: 0 });
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error;
    }
  }
}
