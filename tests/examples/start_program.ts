/** Runs the program of `examples/start` as a process, and looks at what it stored. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore, type StoredEvent } from "@flowmade-one/aether/deno-kv";
import type { ExpectedEvent } from "../support/event_log.ts";

const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));
const MAIN = fileURLToPath(new URL("../../examples/start/main.ts", import.meta.url));

/** What a program left behind. */
export interface ProgramOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder of its own for a program, with a space in its name; gone when it is disposed of. */
export class Workplace implements AsyncDisposable {
  private constructor(
    /** Where programs run. */
    readonly path: string,
  ) {}

  /** Makes the folder. */
  static async make(): Promise<Workplace> {
    return new Workplace(await Deno.makeTempDir({ prefix: "aether start " }));
  }

  /** The file that the program keeps its store in. */
  get storeFile(): string {
    return join(this.path, "aether-data", "events.sqlite3");
  }

  /** Writes a file into the folder and returns its name. */
  async write(name: string, content: string | Uint8Array): Promise<string> {
    const path = join(this.path, name);
    if (typeof content === "string") await Deno.writeTextFile(path, content);
    else await Deno.writeFile(path, content);
    return name;
  }

  /** Runs the program on a terminal of its own, and returns what it prints there. */
  async onTerminal(...args: string[]): Promise<string> {
    const program = [Deno.execPath(), "run", "--quiet", "--no-prompt", "--config", CONFIG];
    const words = [...program, "--allow-read", "--allow-write", MAIN, ...args];
    const command = words.map((word) => `'${word}'`).join(" ");
    const { stdout } = await new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", command, "/dev/null"],
      cwd: this.path,
      stdin: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  }

  /** Starts the program with the permissions that `deno task start` gives it. */
  spawn(...args: string[]): Deno.ChildProcess {
    return new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--config",
        CONFIG,
        "--allow-read",
        "--allow-write",
        MAIN,
        ...args,
      ],
      cwd: this.path,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Runs the program as a user does, with `deno task start`, which itself runs elsewhere. */
  async task(...args: string[]): Promise<ProgramOutput> {
    const task = new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "--config", CONFIG, "start", ...args],
      cwd: this.path,
      // Deno keeps the one that a task around the tests may have set.
      env: { NO_COLOR: "1", INIT_CWD: this.path },
      stdin: "null",
    });
    return decode(await task.output());
  }

  /** Runs the program to its end. */
  async run(...args: string[]): Promise<ProgramOutput> {
    return decode(await this.spawn(...args).output());
  }

  /** Runs the program and returns what it printed; it must succeed. */
  async succeed(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, stdout);
    return stdout;
  }

  /** Runs the program and returns what it complained of; it must fail. */
  async fail(code: number, ...args: string[]): Promise<string> {
    const output = await this.run(...args);
    assert.equal(output.code, code, output.stdout + output.stderr);
    return output.stderr;
  }

  /** The global log of a namespace. */
  async readAll(namespace = "default"): Promise<StoredEvent[]> {
    await using store = await DenoKvEventStore.open(this.storeFile, { namespace });
    assert.deepEqual((await store.verify()).faults, []);
    return await Array.fromAsync(store.readAll());
  }

  /** Asserts that the global log holds these events, in this order, and no others. */
  async assertStored(expected: readonly ExpectedEvent[], namespace?: string): Promise<void> {
    const stored = await this.readAll(namespace);
    assert.equal(stored.length, expected.length);
    stored.forEach(({ actorId, version, eventType, timestamp, data }, index) =>
      assert.deepEqual({ actorId, version, eventType, timestamp, data }, expected[index], `event ${index}`)
    );
    assert.equal(new Set(stored.map(({ id }) => id)).size, expected.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** The output of a process as text. */
export function decode({ code, stdout, stderr }: Deno.CommandOutput): ProgramOutput {
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
