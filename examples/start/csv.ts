/** Reads the rows of a CSV file, RFC 4180: quoted fields, embedded newlines, LF or CRLF, with or without a BOM. */

import { parse } from "csv-parse/stream";
import { type Line, readLines } from "./lines.ts";
import { BadRow, type Row, UserError } from "./rows.ts";

/** What `csv-parse` hands out with `info: true`. */
interface ParsedRecord {
  readonly record: readonly string[];
  readonly info: { readonly records: number; readonly empty_lines: number };
}

/** Where `csv-parse` lost the thread. */
interface QuotingFault {
  /** How many records were whole before it. */
  readonly records: number;
  /** How many lines were empty before it. */
  readonly emptyLines: number;
  readonly reason: string;
}

/** After so many faults of quoting the file is given up: each costs another look at its beginning. */
const MOST_QUOTING_FAULTS = 100;

/** How a CSV file is read. */
export interface CsvOptions {
  /** What separates two fields. */
  readonly delimiter: string;
  /** Called with the names of the columns before the first row; it may throw. */
  readonly onHeader: (header: readonly string[]) => void;
  /** Called with how many bytes have been read so far. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Reads rows. A row that is broken is handed out as such, and reading goes on with the line after the one that it
 * begins on.
 *
 * @throws {UserError} If there is no usable header.
 */
export async function* readCsv(
  path: string,
  { delimiter, onHeader, onBytes }: CsvOptions,
): AsyncGenerator<Row | BadRow> {
  let header: readonly string[] | undefined;
  let first = 1;
  for (let faults = 0;; faults++) {
    // The parser cannot go on behind a misplaced quote without swallowing good rows: a new one is begun there.
    const resumed = yield* readFrom(first);
    if (resumed === undefined) break;
    first = resumed;
    if (faults === MOST_QUOTING_FAULTS) {
      throw new UserError(`${path}: more than ${faults} rows with broken quotes: is this a CSV file?`);
    }
  }
  if (!header) throw new UserError(`${path} is empty: the first line of a CSV file names its columns`);

  /** Reads rows from a line on; returns the line to begin again on, if the parser lost the thread. */
  async function* readFrom(firstLine: number): AsyncGenerator<Row | BadRow, number | undefined> {
    let fault: QuotingFault | undefined;
    const notText = new Set<number>();
    const parser = parse({
      bom: true,
      delimiter,
      info: true,
      record_delimiter: ["\r\n", "\n"],
      relax_column_count: true,
      skip_empty_lines: true,
      skip_records_with_error: true,
      on_skip: (error) => {
        fault ??= {
          records: Number(error?.["records"]),
          emptyLines: Number(error?.["empty_lines"]),
          reason: explain(error?.code),
        };
        return undefined;
      },
    });
    const bytes = checkText(readLines(path, firstLine, onBytes), notText);
    const records: AsyncIterable<ParsedRecord> = ReadableStream.from(bytes).pipeThrough(parser);
    // csv-parse counts a CRLF inside quotes as two lines, so lines are counted here.
    let line = firstLine;
    let emptyLines = 0;
    for await (const { record, info } of records) {
      if (fault && info.records > fault.records) break;
      line += info.empty_lines - emptyLines;
      emptyLines = info.empty_lines;
      const begin = line;
      for (const field of record) line += field.split("\n").length - 1;
      line++;
      const garbled = firstOf(notText, begin, line);
      if (!header) {
        if (garbled !== undefined) {
          throw new UserError(`${path}: line ${garbled} is not UTF-8 text: save it as UTF-8`);
        }
        header = checkHeader(path, record);
        onHeader(header);
      } else if (garbled !== undefined) {
        yield new BadRow(begin, undefined, `line ${garbled} is not UTF-8 text`);
      } else yield toRow(record, header, begin);
    }
    if (!fault) return undefined;
    line += fault.emptyLines - emptyLines;
    if (!header) throw new UserError(`${path}: line ${line}: ${fault.reason}`);
    yield new BadRow(line, undefined, fault.reason);
    return line + 1;
  }
}

function explain(code: string | undefined): string {
  switch (code) {
    case "CSV_QUOTE_NOT_CLOSED":
      return "a quote is opened and never closed";
    case "CSV_INVALID_CLOSING_QUOTE":
      return 'a quoted field goes on behind its closing quote: write a quote inside a field as ""';
    case "INVALID_OPENING_QUOTE":
      return 'a quote is inside a field that is not quoted: quote the field, and write the quote as ""';
    default:
      return `it cannot be read (${code})`;
  }
}

function toRow(record: readonly string[], header: readonly string[], line: number): Row | BadRow {
  if (record.length !== header.length) {
    const columns = record.length === 1 ? "1 column" : `${record.length} columns`;
    // What is missing or too much shows at the end of the row.
    const column = String(Math.min(record.length, header.length) + 1);
    return new BadRow(line, column, `the row has ${columns}, and the header ${header.length}`);
  }
  const fields: Record<string, string> = Object.create(null);
  header.forEach((name, index) => {
    // CSV cannot tell empty from absent.
    if (record[index] !== "") fields[name] = record[index]!;
  });
  return { line, fields, header };
}

function checkHeader(path: string, header: readonly string[]): readonly string[] {
  const twice = header.find((name, index) => header.indexOf(name) !== index);
  if (twice === undefined) return header;
  throw new UserError(
    `${path}: line 1 names the column "${twice}" twice: give each column a name of its own`,
  );
}

/** Passes lines on, and notes those that are not UTF-8. */
async function* checkText(
  lines: AsyncIterable<Line>,
  notText: Set<number>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const { number, bytes } of lines) {
    try {
      decoder.decode(bytes);
    } catch {
      notText.add(number);
    }
    yield bytes;
  }
}

/** The first of the lines in a range. */
function firstOf(lines: ReadonlySet<number>, from: number, to: number): number | undefined {
  if (lines.size === 0) return undefined;
  for (let line = from; line < to; line++) if (lines.has(line)) return line;
  return undefined;
}
