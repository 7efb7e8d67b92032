/**
 * Listing actors.
 *
 * @module
 */

import { DamagedHistoryError } from "../../errors.ts";
import type { ActorSummary, ListActorsOptions } from "../../types.ts";
import type { JetStreamContext } from "../context.ts";
import type { OrderedConsumer } from "../../../nats/jetstream/ordered_consumer.ts";
import { ActorNumbers } from "./actor_numbers.ts";
import { countUnreadable } from "./left_out.ts";
import { versionAfter } from "../format/commit_header.ts";

/**
 * The actors that have events. A consumer delivers the last message of every subject: the server keeps an index of
 * those. A commit that comes while it is listed may deliver its actor a second time, which is left out.
 */
export async function* listActors(
  { log: unlimited, decoder, heartbeat }: JetStreamContext,
  { actorPrefix = "", signal }: ListActorsOptions,
): AsyncGenerator<ActorSummary> {
  const log = unlimited.until(signal);
  const subject = log.layout.filter({ actorPrefix }) ?? log.layout.all;
  const last = await log.last(subject);
  if (!last && await log.hasNone(subject)) return;
  const endSequence = last?.sequence ?? await log.lastSequence();
  const seen = new ActorNumbers();
  const filter = { filterSubjects: [subject], lastOfEach: true };
  for (;;) {
    const from = log.config.expires ? await log.firstSequence() : 1;
    const consumer = log.consumer({ ...filter, heartbeat, reportProgress: true, endSequence });
    try {
      const leftOut = yield* list(consumer, from);
      if (leftOut === 0) return;
      // Another server may have what this one counts and cannot read.
      if (!log.replicas.noteDamaged(consumer.server)) throw unreadable(leftOut);
    } finally {
      consumer.close();
    }
  }

  /**
   * Lists what a consumer delivers; returns how many last commits its server cannot read.
   *
   * @param from The first sequence that was kept when it was created.
   */
  async function* list(consumer: OrderedConsumer, from: number): AsyncGenerator<ActorSummary, number> {
    let expired = 0;
    await consumer.start();
    while (!consumer.hasDelivered) {
      const deliveries = await consumer.read();
      if (consumer.leftOut > expired) {
        const range = { ...filter, from, to: endSequence };
        const count = await countUnreadable(log, range, consumer.leftOut - expired);
        if (count > 0) return count;
        expired = consumer.leftOut;
      }
      // The last commits may expire before they are delivered.
      if (deliveries.length === 0 && (consumer.isClosed || consumer.position >= endSequence)) return 0;
      for (const delivery of deliveries) {
        const header = decoder.header(delivery);
        if (header instanceof DamagedHistoryError) throw header;
        const latestVersion = versionAfter(header);
        const { actorId } = header;
        if (latestVersion === 0 || !actorId.startsWith(actorPrefix)) continue;
        const { size } = seen;
        seen.add(actorId);
        if (seen.size > size) yield { actorId, latestVersion };
      }
    }
    return 0;
  }
}

function unreadable(count: number): DamagedHistoryError {
  return new DamagedHistoryError(`the latest commits of ${count} actor(s) cannot be read`, {});
}
