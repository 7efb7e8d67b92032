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

/** An import that has come to its end, or was interrupted. */
interface Outcome extends ImportResult {
  readonly log: EventLog;
  readonly seconds: number;
}

/** Runs the import and returns the exit code. */
export async function runImport(folder: DataFolder, request: ImportRequest): Promise<number> {
  const outcome = await importFile(folder, request);
  if (!outcome) return 1;
  const { log, found, stored } = outcome;
  const total = formatPlural(log.events.length, "event");
  if (stored < log.events.length) {
    console.log(
      `Interrupted: ${formatCount(stored)} of ${total} are stored. Run the same command again to go on.`,
    );
    return INTERRUPTED;
  }
  if (stored === found) {
    const cases = formatPlural(log.cases.size, "case");
    console.log(`Nothing to do: all ${total} of ${cases} are stored in ${target(folder, request)}.`);
  } else await printSummary(folder, request, outcome);
  return 0;
}

/** Reads and saves; returns `undefined` if bad rows forbid it. */
async function importFile(folder: DataFolder, request: ImportRequest): Promise<Outcome | undefined> {
  const { file, namespace } = request;
  const { size } = await statFile(file);
  await using store = await folder.open<LogEvent>(namespace);
  console.log(`Reading ${file} (${formatBytes(size)}) ...`);
  const log = await readFile(request, size, store.limits.bytesPerEvent);
  if (!acceptBadRows(log, request)) return undefined;
  const found = await findStored(store, log);
  const begin = performance.now();
  if (found < log.events.length) {
    const events = formatPlural(log.events.length, "event");
    const cases = formatPlural(log.cases.size, "case");
    console.log(`Importing ${events} of ${cases} into ${target(folder, request)} ...`);
    if (found > 0) console.log(`Going on: ${formatCount(found)} of them are stored already.`);
  }
  using progress = new Progress("Importing events", log.events.length);
  using interrupt = new Interrupt();
  const result = await saveLog(store, log, found, (stored) => progress.update(stored), interrupt.signal);
  return { ...result, log, seconds: (performance.now() - begin) / 1000 };
}

function target(folder: DataFolder, { namespace }: ImportRequest): string {
  return `${folder.path}, namespace "${namespace}"`;
}

async function printSummary(
  folder: DataFolder,
  { file, namespace }: ImportRequest,
  { log, found, stored, seconds }: Outcome,
): Promise<void> {
  const added = stored - found;
  const first = formatTime(log.events[0]!.event.timestamp);
  const last = formatTime(log.events.at(-1)!.event.timestamp);
  console.log(`Imported ${basename(file)}:`);
  console.log(formatTable([
    ["Cases", formatCount(log.cases.size)],
    ["Events", formatCount(stored) + (found > 0 ? `, ${formatCount(added)} of them now` : "")],
    ["Time", `${first} to ${last} UTC`],
    ["Speed", `${formatCount(added / seconds)} events/s`],
    ["File size", `${formatBytes(await folder.size())} (${folder.file})`],
    ...(log.bad.length > 0 ? [["Skipped", formatPlural(log.bad.length, "bad row")]] : []),
  ], "  "));
  const [firstCase] = log.cases.keys();
  const where = (namespace === LOG_NAMESPACE ? "" : ` --namespace ${namespace}`) + folder.argument;
  console.log(`See one of its cases: deno task start show ${shellQuote(printable(firstCase!))}${where}`);
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

/** Lists the bad rows; returns whether the import is to go on. */
function acceptBadRows({ bad, events }: EventLog, { file, skipBad }: ImportRequest): boolean {
  if (bad.length > 0) {
    const list = skipBad ? bad : bad.slice(0, MOST_LISTED);
    console.error(`${skipBad ? "Skipping " : ""}${formatPlural(bad.length, "bad row")} of ${file}:`);
    for (const row of list) console.error(`  ${printable(row.toString())}`);
    if (list.length < bad.length) console.error(`  ... and ${formatCount(bad.length - list.length)} more`);
    if (!skipBad) {
      console.error("Nothing was imported. Fix the file, or leave these rows out with --skip-bad.");
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
