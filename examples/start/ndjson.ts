/** Reads the rows of an NDJSON file: one JSON object a line. */

import { readLines } from "./lines.ts";
import { BadRow, type Row } from "./rows.ts";

/** Reads rows; blank lines are left out. */
export async function* readNdjson(
  path: string,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Row | BadRow> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const { number, bytes } of readLines(path, 1, onBytes)) {
    let text: string;
    try {
      text = decoder.decode(bytes).replace(/\r?\n$/, "");
    } catch {
      yield new BadRow(number, undefined, "it is not UTF-8 text");
      continue;
    }
    if (text.trim() !== "") yield parseLine(text, number);
  }
}

function parseLine(text: string, line: number): Row | BadRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { message } = error as SyntaxError;
    // V8 names the place, except where the text ends too early.
    const position = /at position (\d+)/.exec(message)?.[1];
    const column = position === undefined ? text.length + 1 : Number(position) + 1;
    return new BadRow(
      line,
      String(column),
      `it is not JSON: ${message.replace(/ \(line \d+ column \d+\)/, "")}`,
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return new BadRow(line, "1", "it is not a JSON object: each line holds one, a member for each column");
  }
  return { line, fields: value as Record<string, unknown> };
}
