/**
 * How callers name a projection.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { isVersion } from "../event/draft.ts";
import { readOptions } from "../options.ts";
import { describe, nameFault } from "../text.ts";
import type { ProjectionId } from "./errors.ts";
import { SEPARATOR } from "./layout.ts";

const MAX_NAME_BYTES = 128;

/** What a call is given to find a projection's checkpoint. */
interface Named<C> {
  readonly name: string;
  readonly version?: number;
  readonly checkpoints: C;
}

/**
 * Checks the name and the version of a projection, and its place for checkpoints.
 *
 * @throws {InvalidArgumentError} If one of them is none.
 */
export function checkNamed<C>({ name, version = 1, checkpoints }: Named<C>): {
  readonly id: ProjectionId;
  readonly checkpoints: C;
} {
  const fault = nameFault(name, MAX_NAME_BYTES);
  if (fault) throw new InvalidArgumentError("projection.name", fault);
  if (name.includes(SEPARATOR)) throw new InvalidArgumentError("projection.name", "must not contain U+001F");
  if (!isVersion(version)) {
    throw new InvalidArgumentError(
      "projection.version",
      `must be a positive integer, and is ${describe(version)}`,
    );
  }
  if (typeof (checkpoints as { readonly load?: unknown } | undefined)?.load !== "function") {
    throw new InvalidArgumentError(
      "projection.checkpoints",
      `must be a place for checkpoints, such as InMemoryCheckpoints, and is ${describe(checkpoints)}`,
    );
  }
  return { id: { name, version }, checkpoints };
}

/** Reads how a caller names a projection, which may be anything at all. */
export function readNamed<C>(projection: Named<C>): ReturnType<typeof checkNamed<C>> {
  if (projection === undefined) throw new InvalidArgumentError("projection", "is missing");
  return readOptions(projection, checkNamed<C>, "projection");
}
