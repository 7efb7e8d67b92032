/**
 * Ways to read, that several themes share.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { StoredEvent } from "../../event/types.ts";
import type { CaseContext } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, refused, turn } from "../support.ts";

/** Every way to begin after a position. */
export function reads(store: StoreUnderTest, after: string): (() => Promise<unknown>)[] {
  return [
    () => all(() => store.readAll({ after })),
    () => all(() => store.subscribe({ after })),
    async () => {
      await using subscription = store.subscribe({ after });
      await subscription.ready;
    },
  ];
}

/** Reads the log again and again from where it was, until it has `count` events. */
export async function tails(
  context: CaseContext,
  store: StoreUnderTest,
  count: number,
): Promise<StoredEvent[]> {
  const seen: StoredEvent[] = [];
  const deadline = performance.now() + context.effort.patience;
  while (seen.length < count) {
    const after = seen.at(-1)?.position ?? "start";
    for await (const event of store.readAll({ after })) {
      seen.push(event);
      if (seen.length % 17 === 0) break;
    }
    if (performance.now() > deadline) assert.fail(`it saw ${seen.length} of ${count} events in time`);
    await turn();
  }
  return seen;
}

/** Leaves reads early in every way. What they hold on to afterwards is found by the sanitizers of the tests. */
export async function abandoned(read: (signal?: AbortSignal) => AsyncIterable<StoredEvent>): Promise<void> {
  for await (const { version } of read()) if (version === 1) break;
  const reason = new Error("enough");
  assert.equal(await refused(() => all(() => read(AbortSignal.abort(reason))), Error), reason);
  const abort = new AbortController();
  let seen = 0;
  const error = await refused(async () => {
    for await (const _ of read(abort.signal)) {
      seen++;
      abort.abort(reason);
    }
  }, Error);
  assert.equal(error, reason);
  assert.equal(seen, 1, "events come after the signal has fired");
  const never = read();
  assert.equal(typeof never[Symbol.asyncIterator], "function"); // and is never iterated
}
