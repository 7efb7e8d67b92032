/** What the readers of event logs hand on, and what they refuse. */

/** One row of a log: an object of columns. */
export interface Row {
  /** The line of the file that it begins on, from 1. */
  readonly line: number;
  /** Its columns. CSV has text alone, and leaves out what is empty; NDJSON has all that JSON allows. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** The names of all columns in order, where the format has a header. */
  readonly header?: readonly string[];
}

/** A row that cannot be imported. */
export class BadRow {
  /** Names where the fault is, and what it is. */
  constructor(
    /** The line of the file that the row begins on, from 1. */
    readonly line: number,
    /** The column: its name, or a place in the line. */
    readonly column: string | undefined,
    /** What is wrong. */
    readonly reason: string,
  ) {}

  toString(): string {
    return `line ${this.line}${this.column === undefined ? "" : `, column ${this.column}`}: ${this.reason}`;
  }
}

/** Names a column of a row: with its number, where the format has a header. */
export function nameColumn(row: Row, name: string): string {
  const index = row.header?.indexOf(name) ?? -1;
  return index < 0 ? `"${name}"` : `${index + 1} "${name}"`;
}

/** A failure that the user can fix; its message is all there is to say. */
export class UserError extends Error {
  override readonly name = "UserError";
}
