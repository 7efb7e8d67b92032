/**
 * What the command line takes.
 *
 * @module
 */

import { type InferValue, map, or } from "@optique/core";
import { copy, exportCommand, importCommand, seal } from "./move_arguments.ts";
import { actors, diagnose, log, show, tail, verify } from "./read_arguments.ts";
import { studio } from "./studio_arguments.ts";
import { cluster, parked, projections, timers } from "./work_arguments.ts";

/** The grammar of the command line. */
export const PARSER = or(
  or(show, log, tail, actors, verify, diagnose),
  or(
    projections,
    map(parked, (request) => ({ command: "parked" as const, ...request })),
    timers,
    cluster,
  ),
  or(seal, exportCommand, importCommand, copy, studio),
);

/** What the command line asks for. */
export type Request = InferValue<typeof PARSER>;
/** What one command asks for. */
export type RequestOf<C extends Request["command"]> = Extract<Request, { readonly command: C }>;
