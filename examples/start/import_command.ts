/** `start import FILE` */

import { basename, extname } from "node:path";
import { readCsv } from "./csv.ts";
import { type DataFolder, LOG_NAMESPACE } from "./data_folder.ts";
import { type EventLog, readEventLog } from "./event_log.ts";
import { findStored, type ImportResult, saveLog } from "./import.ts";
import { readNdjson } from "./ndjson.ts";
import { Progress } from "./progress.ts";
import { type LogColumns, type LogEvent, RowEvents } from "./row_events.ts";
import { type BadRow, type Row, UserError } from "./rows.ts";
import {
  formatBytes,
  formatCount,
  formatPlural,
  formatTable,
  formatTime,
  printable,
  shellQuote,
} from "./text.ts";

/** What the user asks for. */
export interface ImportRequest {
  readonly file: string;
  readonly columns: LogColumns;
  readonly format: "csv" | "ndjson" | undefined;
  readonly delimiter: string;
  readonly skipBad: boolean;
  readonly namespace: string;
}

/** The exit code of a program that Ctrl-C ended: 128 + SIGINT. */
const INTERRUPTED = 130;

/** Without `--skip-bad`, this many bad rows are listed. */
const MOST_LISTED = 20;

/** Runs the import and returns the exit code. */
export async function runImport(folder: DataFolder, request: ImportRequest): Promise<number> {
  const { file, namespace } = request;
  const { size } = await statFile(file);
  let result: ImportResult;
  let log: EventLog;
  let seconds: number;
  {
    await using store = await folder.open<LogEvent>(namespace);
    console.log(`Reading ${file} (${formatBytes(size)}) ...`);
    log = await readFile(request, size, store.limits.bytesPerEvent);
    if (!acceptBadRows(log, request)) return 1;
    const found = await findStored(store, log);
    const total = formatPlural(log.events.length, "event");
    const target = `${folder.path}, namespace "${namespace}"`;
    if (found === log.events.length) {
      console.log(
        `Nothing to do: all ${total} of ${formatPlural(log.cases.size, "case")} are stored in ${target}.`,
      );
      return 0;
    }
    console.log(`Importing ${total} of ${formatPlural(log.cases.size, "case")} into ${target} ...`);
    if (found > 0) console.log(`Going on: ${formatCount(found)} of them are stored already.`);
    const begin = performance.now();
    using progress = new Progress("Importing events", log.events.length);
    using interrupt = new Interrupt();
    result = await saveLog(store, log, found, (stored) => progress.update(stored), interrupt.signal);
    seconds = (performance.now() - begin) / 1000;
  }
  const { found, stored } = result;
  if (stored < log.events.length) {
    console.log(
      `Interrupted: ${formatCount(stored)} of ${formatPlural(log.events.length, "event")} are stored. ` +
        "Run the same command again to go on.",
    );
    return INTERRUPTED;
  }
  const added = stored - found;
  console.log(`Imported ${basename(file)}:`);
  console.log(formatTable([
    ["Cases", formatCount(log.cases.size)],
    ["Events", formatCount(stored) + (found > 0 ? `, ${formatCount(added)} of them now` : "")],
    [
      "Time",
      `${formatTime(log.events[0]!.event.timestamp)} to ${
        formatTime(log.events.at(-1)!.event.timestamp)
      } UTC`,
    ],
    ["Speed", `${formatCount(added / seconds)} events/s`],
    ["File size", `${formatBytes(await folder.size())} (${folder.file})`],
    ...(log.bad.length > 0 ? [["Skipped", formatPlural(log.bad.length, "bad row")]] : []),
  ], "  "));
  const [firstCase] = log.cases.keys();
  const where = namespace === LOG_NAMESPACE ? "" : ` --namespace ${namespace}`;
  console.log(
    `See one of its cases: deno task start show ${shellQuote(firstCase!)}${where}${folder.argument}`,
  );
  return 0;
}

async function statFile(file: string): Promise<Deno.FileInfo> {
  try {
    const info = await Deno.stat(file);
    if (!info.isDirectory) return info;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new UserError(`There is no file ${file}`);
    throw error;
  }
  throw new UserError(`${file} is a folder: name a CSV or NDJSON file`);
}

async function readFile(request: ImportRequest, size: number, bytesPerEvent: number): Promise<EventLog> {
  const { file, columns, delimiter } = request;
  using progress = new Progress("Reading", size, formatBytes);
  const onBytes = (bytes: number): void => progress.update(bytes);
  const rowEvents = new RowEvents(columns, bytesPerEvent);
  const onHeader = (header: readonly string[]): void => rowEvents.checkHeader(header);
  const isJson = (request.format ?? extname(file).toLowerCase().slice(1)).match(/^(ndjson|jsonl)$/) !== null;
  const rows: AsyncIterable<Row | BadRow> = isJson
    ? readNdjson(file, onBytes)
    : readCsv(file, { delimiter, onHeader, onBytes });
  return await readEventLog(rows, rowEvents);
}

/** Lists the bad rows; says whether the import is to go on. */
function acceptBadRows({ bad, events }: EventLog, { file, skipBad }: ImportRequest): boolean {
  if (bad.length > 0) {
    const list = skipBad ? bad : bad.slice(0, MOST_LISTED);
    console.error(`${skipBad ? "Skipping " : ""}${formatPlural(bad.length, "bad row")} of ${file}:`);
    for (const row of list) console.error(`  ${printable(row.toString())}`);
    if (list.length < bad.length) console.error(`  ... and ${formatCount(bad.length - list.length)} more`);
    if (!skipBad) {
      console.error("Nothing was imported. Mend the file, or leave these rows out with --skip-bad.");
      return false;
    }
  }
  if (events.length === 0) throw new UserError(`${file} has no events to import`);
  return true;
}

/** Aborts its signal at Ctrl-C, once; a second one ends the process as usual. */
class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #abort = (): void => {
    this[Symbol.dispose]();
    this.#controller.abort();
  };

  constructor() {
    Deno.addSignalListener("SIGINT", this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    Deno.removeSignalListener("SIGINT", this.#abort);
  }
}
