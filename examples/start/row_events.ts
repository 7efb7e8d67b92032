/** From rows to events, as far as one row shows. */

import {
  AetherError,
  type Event,
  EventTooLargeError,
  InvalidEventError,
  type NewEvent,
} from "@flowmade-one/aether/deno-kv";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { BadRow, nameColumn, type Row, UserError } from "./rows.ts";

/** Which columns say what. */
export interface LogColumns {
  /** Names the case: the actor. */
  readonly case: string;
  /** Names the activity: the event's type. */
  readonly activity: string;
  /** The time, as RFC 3339. */
  readonly timestamp: string;
}

/** An event of an imported log: its type is the activity, its data the other columns. */
export type LogEvent = Event<string, Readonly<Record<string, unknown>>>;

/** A row as an event, which is not numbered yet. */
export interface RowEvent {
  /** The line of the row. */
  readonly line: number;
  /** An upper bound of the event's size in a store, in bytes. */
  readonly bytes: number;
  /** Orders by time, below the millisecond too, which is as fine as stores keep it. */
  readonly instant: string;
  readonly event: LogEvent;
}

/** What a stored event has in addition to the JSON text that it is measured by: its real id, its schema version, separators. */
const BYTES_BESIDE = 128;

const encoder = new TextEncoder();

/** Turns rows into events, and refuses those that the store would refuse. */
export class RowEvents {
  readonly #columns: LogColumns;
  /** The columns of rows without a header. */
  readonly #seen = new Set<string>();
  readonly #bytesPerEvent: number;
  // Every store refuses the same events: this one reports what the real one would.
  readonly #rehearsal = new InMemoryEventStore<LogEvent>({ newId: () => "not named yet" });

  /** Names the columns, and the most that the store takes. */
  constructor(columns: LogColumns, bytesPerEvent: number) {
    this.#columns = columns;
    this.#bytesPerEvent = bytesPerEvent;
  }

  /**
   * Checks a header, where the format has one.
   *
   * @throws {UserError} If a column that is to be read is not in it.
   */
  checkHeader(header: readonly string[]): void {
    for (const [option, name] of Object.entries(this.#columns)) {
      if (header.includes(name)) continue;
      const delimiter = header.length === 1 ? ", or with --delimiter what separates them" : "";
      throw new UserError(
        `There is no column "${name}". The file has ${header.map((column) => `"${column}"`).join(", ")}.\n` +
          `Say with --${option} COLUMN which of them is the ${option}${delimiter}.`,
      );
    }
  }

  /**
   * Checks the columns that the rows had, if the format has no header: call it when all rows are read.
   *
   * @throws {UserError} If a column that is to be read was in none of them.
   */
  checkColumns(): void {
    if (this.#seen.size > 0) this.checkHeader([...this.#seen]);
  }

  /** A row as an event, or what is wrong with it. */
  async toEvent(row: Row): Promise<RowEvent | BadRow> {
    const { line, fields } = row;
    if (!row.header) { for (const name of Object.keys(fields)) this.#seen.add(name); }
    const { case: caseColumn, activity, timestamp } = this.#columns;
    const absent = [caseColumn, activity, timestamp].find((name) => (fields[name] ?? "") === "");
    if (absent !== undefined) {
      return new BadRow(line, nameColumn(row, absent), row.header ? "it is empty" : "it is missing or empty");
    }
    const { [caseColumn]: caseId, [activity]: eventType, [timestamp]: time, ...data } = fields;
    // NDJSON may number its cases. All else that is no text is refused by the store.
    const actorId = typeof caseId === "number" ? String(caseId) : caseId as string;
    const candidate = { eventType, data, timestamp: time } as NewEvent<LogEvent>;
    try {
      const [event] = await this.#rehearsal.append(actorId, [candidate], { expectedVersion: "any" });
      const bytes = encoder.encode(JSON.stringify(event)).length + BYTES_BESIDE;
      if (bytes > this.#bytesPerEvent) return this.#tooLarge(line, bytes);
      return { line, bytes, instant: instantOf(event!.timestamp, time as string), event: event! };
    } catch (error) {
      if (error instanceof EventTooLargeError) return this.#tooLarge(line, error.size);
      if (error instanceof AetherError) return this.#refused(row, error);
      throw error;
    }
  }

  #tooLarge(line: number, bytes: number): BadRow {
    const reason = `the event has ${bytes} bytes or more as JSON, and the store takes ${this.#bytesPerEvent}`;
    return new BadRow(line, undefined, reason);
  }

  /** Describes in terms of the file why an event was refused. */
  #refused(row: Row, error: AetherError): BadRow {
    const { case: actorId, activity: eventType, timestamp } = this.#columns;
    const field = error instanceof InvalidEventError ? error.field : "actorId";
    const column = { actorId, eventType, timestamp }[field];
    const name = column === undefined ? `"${field.replace(/^data\.?/, "")}"` : nameColumn(row, column);
    return new BadRow(
      row.line,
      name,
      error.message.replace(/^Invalid event: /, "").replace(`${field}: `, ""),
    );
  }
}

/** A text that orders by time, finer than the milliseconds of the timestamp where the source is. */
function instantOf(timestamp: string, source: string): string {
  const finer = /\.\d{3}(\d*?)0*(?:[Zz]|[+-]\d\d:\d\d)$/.exec(source)?.[1] ?? "";
  return timestamp.slice(0, -1) + finer;
}
