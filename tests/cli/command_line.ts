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

/** Runs a script of bash in which `aether` is the command line, and `$AETHER` its words. */
export async function shell(
  script: string,
  more: readonly string[] = [],
): Promise<{ readonly code: number; readonly text: string }> {
  const words = [Deno.execPath(), "run", "--quiet", "--no-prompt", "--unstable-kv", "-A", PROGRAM];
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const command = new Deno.Command("bash", {
    args: ["-c", `aether() { ${quoted} "$@"; }\n${script}`, "bash", ...more],
    env: { NO_COLOR: "1", AETHER: quoted },
    stdin: "null",
  });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}
