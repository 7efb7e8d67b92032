/**
 * A whole log as events that can be imported again and again.
 *
 * Events are put in the order of time; those of one instant keep the file's order. An event's version is its ordinal in
 * its case. Its id is a name-based UUID (version 5) of its content, named under the id of the event before it in the
 * case: the same file gives the same ids on every run, and one id vouches for the whole history that leads to it.
 */

import type { EventInput } from "@flowmade-one/aether/deno-kv";
import { v5 as nameBasedUuid } from "uuid";
import type { LogEvent, RowEvent, RowEvents } from "./row_events.ts";
import { BadRow, type Row } from "./rows.ts";

/** An event, ready to be saved. */
export interface ImportedEvent {
  /** The line of its row. */
  readonly line: number;
  /** An upper bound of its size in a store, in bytes. */
  readonly bytes: number;
  readonly event: EventInput<LogEvent> & { readonly id: string; readonly timestamp: string };
}

/** A file, read. */
export interface EventLog {
  /** Its events in the order of time. */
  readonly events: readonly ImportedEvent[];
  /** The events of each case. */
  readonly cases: ReadonlyMap<string, readonly ImportedEvent[]>;
  /** The rows that cannot be imported. */
  readonly bad: readonly BadRow[];
}

/** The name space of the first event's name in a case: a random UUID, made for this importer. */
const CASES = "5f1a3c52-2a0e-4a3b-9a57-0f6b6f0f7d4e";

const encoder = new TextEncoder();

/**
 * Reads a whole log, so that nothing of a file with faults is imported unasked.
 *
 * @param rows What a reader of the file's format hands out.
 * @param rowEvents Turns them into events.
 * @throws {UserError} If a column that is to be read is in no row.
 */
export async function readEventLog(
  rows: AsyncIterable<Row | BadRow>,
  rowEvents: RowEvents,
): Promise<EventLog> {
  const events: RowEvent[] = [];
  const bad: BadRow[] = [];
  for await (const row of rows) {
    const result = row instanceof BadRow ? row : await rowEvents.toEvent(row);
    if (result instanceof BadRow) bad.push(result);
    else events.push(result);
  }
  rowEvents.checkColumns();
  // The sort is stable: events of one instant stay in the file's order.
  events.sort((a, b) => a.instant < b.instant ? -1 : a.instant > b.instant ? 1 : 0);
  return { ...nameEvents(events), bad };
}

/** Numbers the events of each case and names them. */
function nameEvents(inTime: readonly RowEvent[]): Pick<EventLog, "events" | "cases"> {
  const cases = new Map<string, ImportedEvent[]>();
  const events = inTime.map(({ line, bytes, event }): ImportedEvent => {
    const { actorId, eventType, data, timestamp } = event;
    let history = cases.get(actorId);
    if (!history) cases.set(actorId, history = []);
    const before: string = history.at(-1)?.event.id ?? nameBasedUuid(actorId, CASES);
    const id: string = nameBasedUuid(encoder.encode(JSON.stringify([eventType, timestamp, data])), before);
    const version = history.length + 1;
    const imported = { line, bytes, event: { id, eventType, actorId, version, data, timestamp } };
    history.push(imported);
    return imported;
  });
  return { events, cases };
}
