/** Runs the command line as a process of its own. */

export const PROGRAM = new URL("../../src/cli/mod.ts", import.meta.url).href;

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What was printed, as NDJSON. */
  readonly rows: readonly Record<string, unknown>[];
}

export interface RunOptions {
  /** The permissions, as flags. */
  readonly allow: readonly string[];
  readonly env?: Record<string, string>;
}

function command(args: readonly string[], { allow, env = {} }: RunOptions): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--unstable-kv", ...allow, PROGRAM, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs it to its end. */
export async function aether(args: readonly string[], options: RunOptions): Promise<Ran> {
  const { code, stdout, stderr } = await command(args, options).output();
  const text = new TextDecoder();
  const out = text.decode(stdout);
  return {
    code,
    out,
    err: text.decode(stderr),
    get rows(): Record<string, unknown>[] {
      return out.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
    },
  };
}

/** Starts it, to be interrupted. */
export function startAether(args: readonly string[], options: RunOptions): Deno.ChildProcess {
  return command(args, options).spawn();
}
