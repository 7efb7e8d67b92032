/**
 * What the command line takes.
 *
 * @module
 */

import { type InferValue, map, or, type Parser } from "@optique/core";
import { lazily } from "./common_arguments.ts";
import { copy, exportCommand, importCommand, seal } from "./move_arguments.ts";
import { actors, diagnose, log, show, tail, verify } from "./read_arguments.ts";
import { studio } from "./studio_arguments.ts";
import { cluster, parked as parkedCommand, projections, timers } from "./work_arguments.ts";

const parked = lazily(() => map(parkedCommand(), (request) => ({ command: "parked" as const, ...request })));

const all = lazily(() =>
  or(
    or(show(), log(), tail(), actors(), verify(), diagnose()),
    or(projections(), parked(), timers(), cluster()),
    or(seal(), exportCommand(), importCommand(), copy(), studio()),
  )
);

/** What the command line asks for. */
export type Request = InferValue<ReturnType<typeof all>>;
/** What one command asks for. */
export type RequestOf<C extends Request["command"]> = Extract<Request, { readonly command: C }>;

type Grammar = Parser<"sync", Request, unknown>;

const COMMANDS: Readonly<Record<Request["command"], () => Grammar>> = {
  show,
  log,
  tail,
  actors,
  verify,
  diagnose,
  projections,
  parked,
  timers,
  cluster,
  seal,
  export: exportCommand,
  import: importCommand,
  copy,
  studio,
};

/** The grammar of a command; of all, if it is none. */
export function grammarOf(command: string | undefined): Grammar {
  return command !== undefined && Object.hasOwn(COMMANDS, command)
    ? COMMANDS[command as Request["command"]]()
    : all();
}
