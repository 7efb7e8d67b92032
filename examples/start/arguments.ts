/** The command line. */

import { resolve } from "node:path";
import {
  argument,
  choice,
  command,
  constant,
  type InferValue,
  merge,
  type Message,
  message,
  type NonEmptyString,
  object,
  option,
  optional,
  or,
  type Parser,
  runParser,
  string,
  withDefault,
} from "@optique/core";
import type { ImportRequest } from "./import_command.ts";
import type { ShowRequest } from "./show.ts";

/** Where the store is kept, below the current directory. */
export const DEFAULT_FOLDER = "aether-data";

/** What the user asks for. */
export type Request =
  & { readonly data: string }
  & (
    | { readonly command: "story" }
    | { readonly command: "import"; readonly request: ImportRequest }
    | { readonly command: "show"; readonly request: ShowRequest }
  );

/** An option with a text, and what it is without one. */
function textOption(
  name: `--${string}`,
  metavar: NonEmptyString,
  usual: string,
  description: Message,
): Parser<"sync", string, unknown> {
  const text = string({
    metavar,
    pattern: /./s,
    errors: { patternMismatch: message`It must not be empty.` },
  });
  return withDefault(option(name, text, { description }), usual);
}

const folder = object("Everywhere", {
  data: optional(
    option("--data", string({ metavar: "DIR" }), {
      description:
        message`The folder that holds the store. Without it, ${DEFAULT_FOLDER} in the current directory.`,
    }),
  ),
});

const namespace = textOption("--namespace", "NAME", "default", message`Keeps logs apart.`);

const importCommand = command(
  "import",
  merge(
    object({
      command: constant("import"),
      file: argument(string({ metavar: "FILE" }), { description: message`A file of CSV or NDJSON.` }),
      case: textOption("--case", "COLUMN", "case:concept:name", message`Names the case.`),
      activity: textOption("--activity", "COLUMN", "concept:name", message`Names the activity.`),
      timestamp: textOption(
        "--timestamp",
        "COLUMN",
        "time:timestamp",
        message`When, as RFC 3339 with T or a space.`,
      ),
      format: optional(
        option("--format", choice(["csv", "ndjson"], { metavar: "FORMAT" }), {
          description: message`Without it by the name of the file, else csv.`,
        }),
      ),
      delimiter: textOption("--delimiter", "TEXT", ",", message`What separates the fields of a CSV file.`),
      skipBad: option("--skip-bad", {
        description:
          message`Lists bad rows and leaves them out. Without it a file with bad rows is not imported at all.`,
      }),
      namespace,
    }),
    folder,
  ),
  { description: message`Imports an event log. It can be interrupted, and run again.` },
);

const showCommand = command(
  "show",
  merge(
    object({
      command: constant("show"),
      caseId: argument(string({ metavar: "CASE" }), { description: message`The name of a case.` }),
      resource: textOption("--resource", "COLUMN", "org:resource", message`Who acted.`),
      // Without it the story's orders are looked at too.
      namespace: optional(
        option("--namespace", string({ metavar: "NAME" }), { description: message`Keeps logs apart.` }),
      ),
    }),
    folder,
  ),
  { description: message`Shows the timeline of a case, and its state.` },
);

const story = merge(object({ command: constant("story") }), folder);

const grammar = or(importCommand, showCommand, story);

/**
 * Understands the command line; returns the exit code if that was all.
 *
 * @param args What the user has typed. `deno task` puts the folder that it was called in before it, with `--from`: tasks run
 * in the project's folder.
 */
export function parseArguments(args: readonly string[]): Request | number {
  const [here, typed] = args[0] === "--from" ? [args[1] ?? ".", args.slice(2)] : [".", args];
  if (typed.length === 0) return requestOf({ command: "story", data: undefined }, here);
  const asked = runParser<typeof grammar, number, number>(grammar, "deno task start", typed, {
    help: { command: true, option: true, onShow: () => 0 },
    onError: () => 2,
    aboveError: "usage",
    description:
      message`An event-sourced program on an embedded Deno KV store. Without a command it runs the story of an order: run it again to go on with it.`,
    footer: message`The options of a command: deno task start help COMMAND.`,
    colors: Deno.stdout.isTerminal() && !Deno.noColor,
    stdout: (text) => console.log(text),
    stderr: (text) => console.error(text),
  });
  return typeof asked === "number" ? asked : requestOf(asked, here);
}

function requestOf(asked: InferValue<typeof grammar>, here: string): Request {
  const data = asked.data === undefined ? resolve(DEFAULT_FOLDER) : resolve(here, asked.data);
  switch (asked.command) {
    case "story":
      return { command: asked.command, data };
    case "show": {
      const { command, caseId, namespace, resource } = asked;
      return { command, data, request: { caseId, namespace, resource } };
    }
    case "import": {
      const { command, file, case: caseColumn, activity, timestamp, ...rest } = asked;
      const columns = { case: caseColumn, activity, timestamp };
      const { format, delimiter, skipBad, namespace } = rest;
      const request = { file: resolve(here, file), columns, format, delimiter, skipBad, namespace };
      return { command, data, request };
    }
  }
}
