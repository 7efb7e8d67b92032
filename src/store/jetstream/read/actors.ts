/**
 * Listing actors.
 *
 * @module
 */

import { DamagedHistoryError } from "../../errors.ts";
import type { ActorSummary, ListActorsOptions } from "../../types.ts";
import type { JetStreamContext } from "../context.ts";
import { versionAfter } from "../format/commit_decoder.ts";

/**
 * The actors that have events. A consumer delivers the last message of every subject: the server keeps an index of
 * those. A commit that comes while it is listed may show its actor a second time, which is left out.
 */
export async function* listActors(
  { log: unlimited, decoder }: JetStreamContext,
  { actorPrefix = "", signal }: ListActorsOptions,
): AsyncGenerator<ActorSummary> {
  const log = unlimited.until(signal);
  const subject = log.layout.filter({ actorPrefix }) ?? log.layout.all;
  const last = await log.last(subject);
  if (!last && await log.hasNone(subject)) return;
  const endSequence = last?.sequence ?? await log.lastSequence();
  const consumer = log.consumer({
    filterSubjects: [subject],
    lastOfEach: true,
    reportProgress: true,
    endSequence,
  });
  const seen = new Set<string>();
  try {
    // The last commits may expire before they are delivered.
    let sequence = 0;
    let delivered = 0;
    while (sequence < endSequence || (delivered < consumer.expected && consumer.pending > 0)) {
      const deliveries = await consumer.read();
      delivered += deliveries.length;
      // Once something has expired, it is not known what was left out.
      const isKnown = consumer.leftOut > 0 && !(log.expires && await log.firstSequence() > 1);
      if (isKnown) throw leftOut(consumer.leftOut);
      if (deliveries.length === 0 && consumer.position >= endSequence) return;
      for (const delivery of deliveries) {
        ({ sequence } = delivery);
        const header = decoder.header(delivery);
        if (header instanceof DamagedHistoryError) throw header;
        const latestVersion = versionAfter(header);
        const { actorId } = header;
        if (latestVersion === 0 || !actorId.startsWith(actorPrefix) || seen.has(actorId)) continue;
        seen.add(actorId);
        yield { actorId, latestVersion };
      }
    }
  } finally {
    consumer.close();
  }
}

function leftOut(count: number): DamagedHistoryError {
  return new DamagedHistoryError(`the latest commits of ${count} actor(s) cannot be read`, {});
}
