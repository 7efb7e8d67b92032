/**
 * A program on an embedded store: the story of an order, and event logs that are imported and looked at.
 *
 *     deno task start help
 *
 * It reads any FILE that is named on the command line, and writes its data folder alone.
 */

import { AetherError } from "@flowmade-one/aether/memory";
import { parseArguments } from "./arguments.ts";
import { UserError } from "./rows.ts";
import { printable } from "./text.ts";

/** The exit code of what failed. What was asked for wrongly has 2. */
const FAILED = 1;

async function run(args: readonly string[]): Promise<number> {
  const asked = parseArguments(args);
  if (typeof asked === "number") return asked;
  const { DataFolder } = await import("./data_folder.ts");
  const folder = new DataFolder(asked.data);
  switch (asked.command) {
    case "story":
      return await (await import("./story.ts")).runStory(folder);
    case "import":
      return await (await import("./import_command.ts")).runImport(folder, asked.request);
    case "show":
      return await (await import("./show.ts")).runShow(folder, asked.request);
  }
}

/** Whether the system or a permission prevented it: a folder that cannot be written, say. */
function isSystemError(error: unknown): error is Error {
  return Object.values(Deno.errors).some((condition) => error instanceof condition);
}

try {
  Deno.exitCode = await run(Deno.args);
} catch (error) {
  if (error instanceof UserError || error instanceof AetherError || isSystemError(error)) {
    // It may quote the content of a file.
    console.error(error.message.split("\n").map(printable).join("\n"));
    Deno.exitCode = FAILED;
  } else throw error;
}
