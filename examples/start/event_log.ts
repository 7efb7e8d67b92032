/**
 * From rows to events that can be imported again and again.
 *
 * Events are put in the order of time; those of one instant keep the file's order. An event's version is its ordinal in
 * its case. Its id is a name-based UUID (version 5) of its content, named under the id of the event before it in the
 * case: the same file gives the same ids on every run, and one id vouches for the whole history that leads to it.
 */

import {
  AetherError,
  type Event,
  type EventInput,
  EventTooLargeError,
  InMemoryEventStore,
  InvalidEventError,
  type NewEvent,
} from "@flowmade-one/aether";
import { v5 as nameBasedUuid } from "uuid";
import { BadRow, nameColumn, type Row, UserError } from "./rows.ts";

/** Which columns say what. */
export interface LogColumns {
  /** Names the case: the actor. */
  readonly case: string;
  /** Names the activity: the event's type. */
  readonly activity: string;
  /** Says when, as RFC 3339. */
  readonly timestamp: string;
}

/** An event of an imported log: its type is the activity, its data the other columns. */
export type LogEvent = Event<string, Readonly<Record<string, unknown>>>;

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

/** What a stored event has beside the JSON text of its row: the id, the schema version, separators. */
const BYTES_BESIDE = 128;

const encoder = new TextEncoder();

interface DatedEvent {
  readonly line: number;
  readonly bytes: number;
  /** Orders instants below the millisecond too, which is as fine as stores keep them. */
  readonly instant: string;
  readonly event: LogEvent;
}

/**
 * Reads a whole log, so that nothing of a file with faults is imported unasked.
 *
 * @param rows What a reader of the file's format hands out.
 * @param columns Which columns say what.
 * @param bytesPerEvent The most that the store takes.
 */
export async function readEventLog(
  rows: AsyncIterable<Row | BadRow>,
  columns: LogColumns,
  bytesPerEvent: number,
): Promise<EventLog> {
  const dated: DatedEvent[] = [];
  const bad: BadRow[] = [];
  // Every store refuses the same events. This one tells, for each row, what the real one would say.
  await using rehearsal = new InMemoryEventStore<LogEvent>({ newId: () => "to be named" });
  for await (const row of rows) {
    const result = row instanceof BadRow ? row : await toEvent(row, columns, rehearsal);
    if (result instanceof BadRow) bad.push(result);
    else if (result.bytes > bytesPerEvent) {
      bad.push(
        new BadRow(row.line, undefined, `it has ${result.bytes} bytes, and the store takes ${bytesPerEvent}`),
      );
    } else dated.push(result);
  }
  // The sort is stable: events of one instant stay in the file's order.
  dated.sort((a, b) => a.instant < b.instant ? -1 : a.instant > b.instant ? 1 : 0);
  return { ...nameEvents(dated), bad };
}

async function toEvent(
  row: Row,
  columns: LogColumns,
  rehearsal: InMemoryEventStore<LogEvent>,
): Promise<DatedEvent | BadRow> {
  const { [columns.case]: actorId, [columns.activity]: eventType, [columns.timestamp]: time, ...data } =
    row.fields;
  const absent = Object.values(columns).find((name) => (row.fields[name] ?? "") === "");
  if (absent !== undefined) return new BadRow(row.line, nameColumn(row, absent), "it is empty");
  const candidate = { eventType, data, timestamp: time } as NewEvent<LogEvent>;
  try {
    // NDJSON may number its cases.
    const [event] = await rehearsal.append(
      typeof actorId === "number" ? String(actorId) : actorId as string,
      [candidate],
      {
        expectedVersion: "any",
      },
    );
    const bytes = encoder.encode(JSON.stringify(event)).length + BYTES_BESIDE;
    return { line: row.line, bytes, instant: instantOf(event!.timestamp, time as string), event: event! };
  } catch (error) {
    if (error instanceof AetherError) return refused(row, columns, error);
    throw error;
  }
}

/** Says in the file's terms why an event was refused. */
function refused(row: Row, columns: LogColumns, error: AetherError): BadRow {
  if (error instanceof EventTooLargeError) return new BadRow(row.line, undefined, error.message);
  const field = error instanceof InvalidEventError ? error.field : "actorId";
  const column = { actorId: columns.case, eventType: columns.activity, timestamp: columns.timestamp }[field];
  const reason = error.message.replace(/^Invalid event: /, "").replace(`${field}: `, "");
  return new BadRow(
    row.line,
    column === undefined ? `"${field.replace(/^data\.?/, "")}"` : nameColumn(row, column),
    reason,
  );
}

/**
 * Checks a header, where the format has one.
 *
 * @throws {UserError} If a column that is to be read is not in it.
 */
export function requireColumns(header: readonly string[], columns: LogColumns): void {
  for (const [option, name] of Object.entries(columns)) {
    if (header.includes(name)) continue;
    throw new UserError(
      `There is no column "${name}". The file has ${header.map((column) => `"${column}"`).join(", ")}.\n` +
        `Say with --${option} COLUMN which of them is the ${option}${
          header.length === 1 ? ", or with --delimiter what separates them" : ""
        }.`,
    );
  }
}

/** A text that orders by time, finer than the milliseconds of the timestamp where the source is. */
function instantOf(timestamp: string, source: string): string {
  const finer = /\.\d{3}(\d*?)0*(?:[Zz]|[+-]\d\d:\d\d)$/.exec(source)?.[1] ?? "";
  return timestamp.slice(0, -1) + finer;
}

/** Numbers the events of each case and names them. */
function nameEvents(dated: readonly DatedEvent[]): Pick<EventLog, "events" | "cases"> {
  const cases = new Map<string, ImportedEvent[]>();
  const events = dated.map(
    ({ line, bytes, event: { actorId, eventType, data, timestamp } }): ImportedEvent => {
      let history = cases.get(actorId);
      if (!history) cases.set(actorId, history = []);
      const before = history.at(-1)?.event.id ?? nameBasedUuid(actorId, CASES);
      const id = nameBasedUuid(JSON.stringify([eventType, timestamp, data]), before);
      const imported = {
        line,
        bytes,
        event: { id, eventType, actorId, version: history.length + 1, data, timestamp },
      };
      history.push(imported);
      return imported;
    },
  );
  return { events, cases };
}
