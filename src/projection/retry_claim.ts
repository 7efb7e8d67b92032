/**
 * The claim of a retry of a parked event: a worker that meets it waits until the retry has ended.
 *
 * @module
 */

import { backoff } from "../sleep.ts";
import type { Guard } from "./attempt.ts";
import type { Checkpointer } from "./checkpointer.ts";
import type { CompiledProjection } from "./compile.ts";

/** What a retry may take besides its handler, in milliseconds. */
export const RETRY_GRACE = 5_000;
/** The bound of the random wait before a retry is looked at again, at first and later, in milliseconds. */
const FIRST_LOOK = 10;
const LONGEST_LOOK = 250;

/** Waits until no retry of a parked event is in progress. One that does not write for its whole time has ended. */
export async function whileRetried<Tx>(
  checkpointer: Checkpointer<Tx>,
  guard: Guard,
  { handlerTimeout }: CompiledProjection<Tx>,
): Promise<void> {
  const longest = handlerTimeout + RETRY_GRACE;
  let revision: string | undefined;
  let seenAt = 0;
  for (let looks = 1;; looks++) {
    const { retry } = checkpointer.record;
    if (!retry) return;
    const now = performance.now();
    if (revision !== checkpointer.revision) {
      revision = checkpointer.revision;
      seenAt = now;
    }
    if (now - seenAt > Math.min(retry.ttl, longest)) return;
    await guard.sleep(backoff(looks, FIRST_LOOK, LONGEST_LOOK));
    guard.check();
    await checkpointer.reload();
  }
}
