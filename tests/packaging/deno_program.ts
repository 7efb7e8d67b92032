/** Runs the real `deno`, as a developer does. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type Publication, type Registry, startRegistry } from "./registry.ts";

/** The root of this repository. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What a run of `deno` left behind. */
export interface DenoOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where and how `deno` runs. */
export interface DenoOptions {
  /** @default {the root of this repository} */
  readonly cwd?: string;
  /** Beside what this process has. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `deno` to its end. */
export async function deno(args: readonly string[], options: DenoOptions = {}): Promise<DenoOutput> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: options.cwd ?? ROOT,
    env: { NO_COLOR: "1", ...options.env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs `deno` to its end, which must be a good one, and returns what it printed. */
export async function denoOk(args: readonly string[], options: DenoOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await deno(args, options);
  assert.equal(code, 0, `deno ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}

/** A registry to which `deno publish` has published this package. */
export async function publishedRegistry(): Promise<Registry & { readonly publication: Publication }> {
  const registry = startRegistry();
  try {
    // Types are checked by `deno task check`; the checks of a publication (slow types, files, specifiers) are made here.
    await denoOk(["publish", "--allow-dirty", "--no-check", "--no-provenance", "--token", "of-no-use"], {
      env: { JSR_URL: registry.url },
    });
    const [publication] = registry.publications;
    assert(publication, "deno publish uploaded nothing");
    return { ...registry, publication };
  } catch (error) {
    await registry[Symbol.asyncDispose]();
    throw error;
  }
}
