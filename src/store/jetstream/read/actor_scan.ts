/**
 * Searching for an actor's commits: a consumer delivers long or dense histories faster than they can be fetched one by
 * one, and it is used if the trail is wrong.
 *
 * @module
 */

import type { JetStreamContext } from "../context.ts";
import type { OrFault } from "../format/commit_decoder.ts";
import type { StoredCommit } from "../format/commit_header.ts";
import { TextRuns } from "../../../nats/jetstream/text_run.ts";

/** At most how many commits are returned together, so that they are freed soon. */
const COMMITS_AT_ONCE = 128;

/** How many commits are fetched at once when they are read backward. */
const BACKWARD_BATCH = 256;

/**
 * An actor's commits from a stream sequence on, up to another one.
 */
export async function* scanForward(
  { log, decoder }: Pick<JetStreamContext, "log" | "decoder">,
  actorId: string,
  from: number,
  to: number,
): AsyncGenerator<readonly OrFault<StoredCommit>[]> {
  if (from > to) return;
  const filterSubjects = [log.layout.subject(actorId)];
  using consumer = disposable(log.consumer({ startSequence: from, filterSubjects, reportProgress: true }));
  for (let last = 0; last < to;) {
    const deliveries = await consumer.reader.read();
    const runs = new TextRuns(deliveries);
    let commits: OrFault<StoredCommit>[] = [];
    for (let index = 0; index < deliveries.length; index++) {
      const delivery = deliveries[index]!;
      last = delivery.sequence;
      if (last > to) break;
      commits.push(decoder.read(delivery, runs.of(index)));
      if (commits.length === COMMITS_AT_ONCE) {
        yield commits;
        commits = [];
      }
    }
    yield commits;
    if (consumer.reader.position >= to) return;
  }
}

/** An actor's commits up to a stream sequence, from the last one to the first. */
export async function* scanBackward(
  { log, decoder }: JetStreamContext,
  actorId: string,
  to: number,
): AsyncGenerator<readonly OrFault<StoredCommit>[]> {
  const sequences: number[] = [];
  const filterSubjects = [log.layout.subject(actorId)];
  {
    using consumer = disposable(log.consumer({ filterSubjects, reportProgress: true }));
    while (consumer.reader.position < to) {
      for (const { sequence } of await consumer.reader.read()) if (sequence <= to) sequences.push(sequence);
    }
  }
  for (let end = sequences.length; end > 0; end -= BACKWARD_BATCH) {
    const wanted = sequences.slice(Math.max(0, end - BACKWARD_BATCH), end).reverse();
    const commits: OrFault<StoredCommit>[] = [];
    for (const message of await log.all(wanted)) {
      if (message) commits.push(decoder.read(message)); // a missing one is found by the versions
    }
    yield commits;
  }
}

function disposable<T extends { close(): void }>(reader: T): Disposable & { readonly reader: T } {
  return { reader, [Symbol.dispose]: () => reader.close() };
}
