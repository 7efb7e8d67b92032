/**
 * Reading the global log backward: messages by sequence, the latest first. No consumer delivers in this order.
 *
 * @module
 */

import type { StoredEvent } from "../../../event/types.ts";
import type { BackwardLogRead } from "../../backend.ts";
import { DamagedHistoryError } from "../../errors.ts";
import type { JetStreamContext } from "../context.ts";
import { gap, truncated } from "./missing.ts";
import { Repairs } from "./repairs.ts";

/** How many messages are fetched together, at first and at most. */
const FIRST_BATCH = 16;
const LARGEST_BATCH = 256;

/** The log's events from a position back to its beginning, in batches whose first event is the latest. */
export async function* readLogBackward(
  { log: wholeLog, decoder }: JetStreamContext,
  { from, limit, toFirstKept, onDamage, signal }: BackwardLogRead,
): AsyncGenerator<readonly StoredEvent[]> {
  const log = wholeLog.until(signal);
  const repairs = new Repairs({ log, decoder });
  let sequence = from === undefined ? await log.lastSequence() : decoder.place(from).sequence;
  let count = Math.min(LARGEST_BATCH, Math.max(FIRST_BATCH, limit));
  for (; sequence > 0; sequence -= count, count = Math.min(LARGEST_BATCH, count * 2)) {
    const sequences = Array.from({ length: Math.min(count, sequence) }, (_, index) => sequence - index);
    const messages = await log.all(sequences);
    // Read after the misses: what is before it has expired.
    const first = messages.includes(undefined) ? await log.first() : undefined;
    const kept = first?.sequence ?? (messages.includes(undefined) && log.expires ? Infinity : 1);
    let events: StoredEvent[] = [];
    for (const [index, message] of messages.entries()) {
      if (!message && log.expires && sequences[index]! < kept) {
        if (events.length > 0) yield events;
        if (!toFirstKept) throw truncated(decoder, first);
        return;
      }
      const commit = message ? decoder.read(message) : gap(decoder, sequences[index]!);
      if (!(commit instanceof DamagedHistoryError)) {
        for (const event of commit.events.toReversed()) {
          if (from === undefined || event.position <= from) events.push(event);
        }
        continue;
      }
      if (await repairs.covers(commit)) continue;
      if (events.length > 0) yield events;
      events = [];
      if (!onDamage) throw commit;
      onDamage(commit);
    }
    yield events;
  }
}
