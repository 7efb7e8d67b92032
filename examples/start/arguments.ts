/** The command line. */

import { parseArgs } from "node:util";
import { resolve } from "node:path";
import type { ImportRequest } from "./import_command.ts";
import type { ShowRequest } from "./show.ts";

/** Where the store is kept, below the current directory. */
export const DEFAULT_FOLDER = "aether-data";

/** What can be asked for. */
export const USAGE = `An event-sourced program on an embedded Deno KV store.

  deno task start                       runs the story of an order; run it again to go on with it
  deno task start import FILE [...]     imports an event log, CSV or NDJSON; safe to interrupt and to run again
  deno task start show CASE [...]       shows the timeline of a case, and its state
  deno task start help                  shows this

Everywhere:
  --data DIR            the folder that holds the store (default: ${DEFAULT_FOLDER} in the current directory)

import and show:
  --namespace NAME      keeps logs apart (default: default; show also looks among the story's orders)

import:
  --case COLUMN         names the case (default: case:concept:name)
  --activity COLUMN     names the activity (default: concept:name)
  --timestamp COLUMN    when, as RFC 3339 with T or a space (default: time:timestamp)
  --format FORMAT       csv or ndjson (default: by the file's name, else csv)
  --delimiter TEXT      what separates the fields of a CSV file (default: ,)
  --skip-bad            lists bad rows and leaves them out; without it a file with bad rows is not imported at all

show:
  --resource COLUMN     who acted (default: org:resource)
`;

/** The command line asks for something that there is not. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What the user asks for. */
export type Request =
  & { readonly data: string }
  & (
    | { readonly command: "help" | "story" }
    | { readonly command: "import"; readonly request: ImportRequest }
    | { readonly command: "show"; readonly request: ShowRequest }
  );

/** `--from` is what `deno task` passes: tasks run in the project's folder, no matter where they were called. */
const COMMON = {
  data: { type: "string" },
  from: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;
const OPTIONS = {
  story: COMMON,
  help: COMMON,
  import: {
    ...COMMON,
    namespace: { type: "string" },
    case: { type: "string" },
    activity: { type: "string" },
    timestamp: { type: "string" },
    format: { type: "string" },
    delimiter: { type: "string" },
    "skip-bad": { type: "boolean" },
  },
  show: { ...COMMON, namespace: { type: "string" }, resource: { type: "string" } },
} as const;

/**
 * Understands the command line.
 *
 * @throws {UsageError} If it cannot.
 */
export function parseArguments(args: readonly string[]): Request {
  const positional = parseArgs({
    args: [...args],
    options: OPTIONS.import,
    allowPositionals: true,
    strict: false,
  });
  const command = positional.positionals[0] ?? "story";
  if (command !== "story" && command !== "import" && command !== "show" && command !== "help") {
    throw new UsageError(`There is no command "${command}"`);
  }
  const { values, operands } = parseStrictly(args, command);
  const here = values.from ?? ".";
  const data = values.data === undefined ? resolve(DEFAULT_FOLDER) : resolve(here, values.data);
  if (values.help || command === "help") return { command: "help", data };
  if (command === "story") return { command, data };
  const [operand, ...rest] = operands.slice(1);
  if (operand === undefined || operand === "") {
    throw new UsageError(
      command === "import" ? "Which file is to be imported?" : "Which case is to be shown?",
    );
  }
  if (rest.length > 0) throw new UsageError(`"${rest[0]}" is one argument too many: quote what has spaces`);
  if (command === "show") {
    return {
      command,
      data,
      request: { caseId: operand, namespace: values.namespace, resource: values.resource ?? "org:resource" },
    };
  }
  const { format, delimiter = "," } = values;
  if (format !== undefined && format !== "csv" && format !== "ndjson") {
    throw new UsageError(`--format is csv or ndjson, not "${format}"`);
  }
  if (delimiter === "") throw new UsageError("--delimiter must not be empty");
  return {
    command,
    data,
    request: {
      file: resolve(here, operand),
      columns: {
        case: values.case ?? "case:concept:name",
        activity: values.activity ?? "concept:name",
        timestamp: values.timestamp ?? "time:timestamp",
      },
      format,
      delimiter,
      skipBad: values["skip-bad"] ?? false,
      namespace: values.namespace ?? "default",
    },
  };
}

interface Values {
  readonly data?: string;
  readonly from?: string;
  readonly help?: boolean;
  readonly namespace?: string;
  readonly case?: string;
  readonly activity?: string;
  readonly timestamp?: string;
  readonly format?: string;
  readonly delimiter?: string;
  readonly "skip-bad"?: boolean;
  readonly resource?: string;
}

function parseStrictly(
  args: readonly string[],
  command: keyof typeof OPTIONS,
): { readonly values: Values; readonly operands: readonly string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: OPTIONS[command],
      allowPositionals: true,
    });
    return { values: values as Values, operands: positionals };
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}
