/**
 * Reading the global log backward: messages by sequence, the latest first. No consumer delivers in this order.
 *
 * @module
 */

import type { StoredEvent } from "../../../event/types.ts";
import type { BackwardLogRead } from "../../backend.ts";
import { DamagedHistoryError } from "../../errors.ts";
import type { JetStreamContext } from "../context.ts";
import { firstMessage } from "./log_position.ts";
import { gap, truncated } from "./missing.ts";
import { PageSize } from "./page_size.ts";
import { Repairs } from "./repairs.ts";

/** The log's events from a position back to its beginning, in batches whose first event is the latest. */
export async function* readLogBackward(
  { log: wholeLog, decoder }: JetStreamContext,
  { from, limit, toFirstKept, onDamage, signal }: BackwardLogRead,
): AsyncGenerator<readonly StoredEvent[]> {
  const log = wholeLog.until(signal);
  const repairs = new Repairs({ log, decoder });
  const last = from === undefined ? await log.last() : undefined;
  let sequence = from === undefined
    ? last?.sequence ?? await log.lastSequence()
    : decoder.place(from).sequence;
  const size = new PageSize(limit, last && firstMessage(decoder.header(last), 0));
  while (sequence > 0) {
    const count = Math.min(size.next, sequence);
    const sequences = Array.from({ length: count }, (_, index) => sequence - index);
    const messages = await log.all(sequences);
    // Read after the misses: what is before it has expired.
    const expires = messages.includes(undefined) && await log.mayHaveExpired();
    const first = expires ? await log.first() : undefined;
    const kept = first?.sequence ?? Infinity;
    let events: StoredEvent[] = [];
    let found = 0;
    for (const [index, message] of messages.entries()) {
      if (!message && expires && sequences[index]! < kept) {
        if (events.length > 0) yield events;
        if (!toFirstKept) throw truncated(decoder, first);
        return;
      }
      const commit = message ? decoder.read(message) : gap(decoder, sequences[index]!);
      if (!(commit instanceof DamagedHistoryError)) {
        for (const event of commit.events.toReversed()) {
          if (from === undefined || event.position <= from) events.push(event);
        }
        found += commit.events.length;
        continue;
      }
      if (await repairs.covers(commit)) continue;
      if (events.length > 0) yield events;
      events = [];
      if (!onDamage) throw commit;
      onDamage(commit);
    }
    size.note(count, found);
    sequence -= count;
    yield events;
  }
}
