/**
 * Listing actors.
 *
 * @module
 */

import { DamagedHistoryError } from "../errors.ts";
import type { ActorSummary } from "../types.ts";
import type { EventLog } from "./event_log.ts";
import { type Records, versionAfter } from "./record.ts";

/** What is listed from. */
export interface ActorSources {
  /** The stream. */
  readonly log: EventLog;
  /** Reads messages. */
  readonly records: Records;
}

/**
 * The actors that have events. A consumer delivers the last message of every subject: the server keeps an index of
 * those. A commit that comes while it is listed may show its actor a second time, which is left out.
 */
export async function* listActors(
  { log, records }: ActorSources,
  actorPrefix: string,
): AsyncGenerator<ActorSummary> {
  const subject = log.layout.filter({ actorPrefix }) ?? log.layout.all;
  const last = await log.last(subject);
  if (!last) return;
  const consumer = log.consumer({ filterSubjects: [subject], lastOfEach: true });
  const seen = new Set<string>();
  try {
    for (let sequence = 0; sequence < last.sequence;) {
      for (const delivery of await consumer.read()) {
        ({ sequence } = delivery);
        const header = records.header(delivery);
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
