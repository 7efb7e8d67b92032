/**
 * What a user's module exports.
 *
 * @module
 */

import type { Projection } from "../projection/projection.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { printable } from "./output.ts";

/** A file and the name of an export. */
export interface ExportName {
  /** The URL of the module. */
  readonly url: string;
  /** The export. */
  readonly name: string;
}

/**
 * Reads `FILE#NAME`.
 *
 * @param option The option that it was given to.
 */
export async function exportName(text: string, option: string): Promise<ExportName> {
  const at = text.lastIndexOf("#");
  if (at <= 0 || at === text.length - 1) {
    throw new CommandFailure(
      `${option} must be a file and a name such as account.ts#account, and is "${printable(text)}".`,
      ExitCode.misused,
    );
  }
  const file = text.slice(0, at);
  if (/^(https?|file|jsr|npm):/.test(file)) return { url: file, name: text.slice(at + 1) };
  const { pathToFileURL } = await import("node:url");
  return { url: pathToFileURL(file).href, name: text.slice(at + 1) };
}

/**
 * Imports a module of the user's. In the text of a package an import must name its module; `require()` would refuse
 * each module that awaits something at its top level, as this library does.
 */
const importModule = new Function("url", "return import(url)") as (
  url: string,
) => Promise<Record<string, unknown>>;

/** Loads an export of a file into this process. */
export async function loadExport(text: string, option: string): Promise<unknown> {
  const { url, name } = await exportName(text, option);
  if (!url.startsWith("file:")) {
    throw new CommandFailure(`${option} must name a file, and is "${printable(text)}".`, ExitCode.misused);
  }
  let module: Record<string, unknown>;
  try {
    module = await importModule(url);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(`${printable(text)} cannot be loaded: ${printable(why)}`);
  }
  if (module[name] !== undefined) return module[name];
  throw new CommandFailure(`${printable(text)}: there is no export "${printable(name)}".`);
}

/**
 * Loads a projection, or a function that returns one, of a file into this process.
 *
 * @throws {CommandFailure} If it is none.
 */
export async function loadProjection(
  text: string,
): Promise<Partial<Projection> & { readonly name: string }> {
  const exported = await loadExport(text, "--projection");
  const loaded = await (typeof exported === "function" ? exported() : exported) as Partial<Projection> | null;
  if (typeof loaded === "object" && typeof loaded?.name === "string") {
    return loaded as Partial<Projection> & { readonly name: string };
  }
  throw new CommandFailure(`${printable(text)} is no projection.`, ExitCode.misused);
}
