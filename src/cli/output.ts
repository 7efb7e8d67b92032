/**
 * What a command prints: tables for people, NDJSON for scripts.
 *
 * @module
 */

import type { Terminal } from "./terminal.ts";

/** Text without control characters or marks that change its direction: what a log contains cannot steer the terminal. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- these are what is to be replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, escaped);
}

/** The same of a text of several lines, which stay lines. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A value as one line of JSON. What JSON leaves as it is and a terminal obeys is escaped; it is the same JSON. */
export function jsonLine(value: unknown): string {
  return printable(JSON.stringify(value, withMessages) ?? "null");
}

/** The message of an error is none of the fields that JSON takes. */
function withMessages(_: string, value: unknown): unknown {
  return value instanceof Error ? { ...value, name: value.name, message: value.message } : value;
}

/** The codes of a terminal for what is to be seen first. */
const CODES = { bold: "1", red: "31", green: "32", yellow: "33" } as const;

/** How text is shown on a terminal with colours. */
export type Colour = keyof typeof CODES;

/** Text in a colour, where the terminal has colours. The text is printable already. */
export function coloured(text: string, colour: Colour | undefined, { hasColours }: Terminal): string {
  return hasColours && colour && text !== "" ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** The names of columns, and the cells of each row. */
export interface Table {
  /** The names. */
  readonly columns: readonly string[];
  /** The rows. */
  readonly rows: readonly (readonly string[])[];
  /** The colour of a cell, by its text and the name of its column. */
  readonly colourOf?: (cell: string, column: string) => Colour | undefined;
}

/** The least width of a column that is cut, and that of one that is cut because there is no room otherwise. */
const LEAST_WIDTHS = [12, 3];
const GAP = "  ";
const ASCII = /^[\u0020-\u007e]*$/;

type Width = (text: string) => number;

/** Prints a table. */
export async function printTable(terminal: Terminal, table: Table): Promise<void> {
  for (const line of await tableLines(table, terminal)) terminal.print(line);
  await terminal.room();
}

/** How many rows of a long table are in memory at once. */
export const BLOCK = 1_000;

/** Prints a table as its rows come: one of many rows is printed in blocks, each of which has its own widths. */
export async function printRows(
  terminal: Terminal,
  columns: readonly string[],
  rows: AsyncIterable<readonly string[]> | Iterable<readonly string[]>,
  colourOf?: Table["colourOf"],
): Promise<void> {
  const table = { columns, ...(colourOf && { colourOf }) };
  let block: (readonly string[])[] = [];
  for await (const row of rows) {
    if (block.push(row) < BLOCK) continue;
    await printTable(terminal, { ...table, rows: block });
    block = [];
  }
  if (block.length > 0) await printTable(terminal, { ...table, rows: block });
}

/**
 * A table as lines. If it is wider than the terminal, its widest columns are cut until it fits; without a terminal nothing
 * is cut.
 */
export async function tableLines(table: Table, terminal: Terminal): Promise<string[]> {
  const { columns, rows, colourOf } = table;
  const { columns: width } = terminal;
  const cells = [columns, ...rows].map((row) => row.map(printable));
  const widthOf = await measure(cells.every((row) => row.every((cell) => ASCII.test(cell))));
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => widthOf(row[index] ?? ""))));
  if (width !== undefined) fit(widths, width - GAP.length * (columns.length - 1));
  return cells.map((row, number) => {
    const parts = row.map((cell, index) => clipped(cell, widths[index]!, widthOf));
    const gaps = parts.map((part, index) =>
      index === row.length - 1 ? "" : " ".repeat(widths[index]! - widthOf(part)) + GAP
    );
    const line = parts.map((part, index) => part + gaps[index]!).join("").trimEnd();
    // A colour that is cut off would go on in the next line.
    if (width !== undefined && widthOf(line) > width) return clipped(line, width, widthOf);
    if (!terminal.hasColours) return line;
    return parts.map((part, index) => {
      const colour = number === 0 ? "bold" : colourOf?.(row[index]!, columns[index]!);
      return coloured(part, colour, terminal) + gaps[index]!;
    }).join("").trimEnd();
  });
}

/** A line that is cut to the width of the terminal. */
export async function fittedLine(line: string, width: number | undefined): Promise<string> {
  const shown = printable(line);
  return width === undefined ? shown : clipped(shown, width, await measure(ASCII.test(shown)));
}

/** What measures text. The tables of Unicode are loaded only if they are needed. */
async function measure(isAscii: boolean): Promise<Width> {
  return isAscii ? (text) => text.length : (await import("string-width")).default;
}

function fit(widths: number[], room: number): void {
  for (const least of LEAST_WIDTHS) {
    for (let excess = widths.reduce((sum, width) => sum + width, 0) - room; excess > 0;) {
      const widest = widths.indexOf(Math.max(...widths));
      const cut = Math.min(excess, widths[widest]! - least);
      if (cut <= 0) break;
      widths[widest]! -= cut;
      excess -= cut;
    }
  }
}

function clipped(cell: string, width: number, widthOf: Width): string {
  if (widthOf(cell) <= width) return cell;
  let cut = "";
  let used = 0;
  for (const character of cell) {
    used += widthOf(character);
    if (used > width - 1) break;
    cut += character;
  }
  return `${cut}\u2026`;
}

/** A whole number: `1,234`. By hand, since the tables of the system's languages take 30 ms to load. */
export function whole(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A count with its noun: `1 event`, `2 events`. */
export function plural(count: number, noun: string): string {
  return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** The sentence about a log that has got all events of another. */
export function transferText(
  { events, added, how, last }: {
    readonly events: number;
    readonly added: number;
    readonly how: "copied" | "imported";
    readonly last: string | undefined;
  },
): string {
  return `Both have ${plural(events, "event")}, ${whole(added)} of them ${how} now. ` +
    `The last one has the position ${last ?? "(none)"} there.`;
}

/** A duration by its two largest units: `44d 1h`, `2m 5s`, `0s`. */
export function duration(milliseconds: number): string {
  const units = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1_000]] as const;
  let rest = Math.max(0, milliseconds);
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0 || parts.length > 0) parts.push(`${amount}${unit}`);
  }
  return parts.slice(0, 2).filter((part) => !part.startsWith("0")).join(" ") || "0s";
}
