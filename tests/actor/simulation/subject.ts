/**
 * The code under test: the production modules, or a copy of them that was broken on purpose.
 *
 * @module
 */
import type * as definition from "../../../src/actor/definition.ts";
import type * as errors from "../../../src/actor/errors.ts";
import type * as host from "../../../src/actor/host.ts";
import type * as reference from "../../../src/actor/reference.ts";
import type * as remote from "../../../src/actor/remote.ts";
import type * as timers from "../../../src/actor/timers.ts";

export type Subject =
  & Pick<typeof definition, "defineActor">
  & Pick<typeof errors, "ActorBusyError" | "ActorFailedError" | "ActorUnavailableError">
  & Pick<typeof host, "ActorHost">
  & Pick<typeof reference, "referTo">
  & Pick<typeof remote, "RemoteCaller">
  & Pick<typeof timers, "timerCommandId">;

const FILES = ["definition", "errors", "host", "reference", "remote", "timers"] as const;

/** The folder of the production code. */
export const PRODUCTION: URL = new URL("../../../src/actor/", import.meta.url);

/** Loads the code under test from a folder. */
export async function loadSubject(folder: URL = PRODUCTION): Promise<Subject> {
  const modules = await Promise.all(FILES.map((file) => import(new URL(`${file}.ts`, folder).href)));
  return Object.assign({}, ...modules) as Subject;
}
