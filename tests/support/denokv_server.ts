/**
 * A real KV Connect server, where one is installed: `denokv` of the variable DENOKV, or of the PATH.
 *
 * @module
 */

import { freePort } from "./ports.ts";

/** A server that runs. */
export interface DenoKvServer extends AsyncDisposable {
  /** What `Deno.openKv` takes. */
  readonly url: string;
}

const TOKEN = "a-token-of-a-test";

/** The command of an installed server. */
async function find(): Promise<string | undefined> {
  for (const command of [Deno.env.get("DENOKV"), "denokv"]) {
    if (!command) continue;
    try {
      const { success } = await new Deno.Command(command, {
        args: ["--help"],
        stdout: "null",
        stderr: "null",
      })
        .output();
      if (success) return command;
    } catch {
      // it is not installed under this name
    }
  }
  return undefined;
}

/** Starts a server with an empty database; nothing where none is installed. */
export async function startDenoKvServer(): Promise<DenoKvServer | undefined> {
  const command = await find();
  if (!command) return undefined;
  const folder = await Deno.makeTempDir({ prefix: "aether-denokv-" });
  const address = `127.0.0.1:${freePort()}`;
  const server = new Deno.Command(command, {
    args: ["--sqlite-path", `${folder}/kv.sqlite3`, "serve", "--addr", address, "--access-token", TOKEN],
    stdout: "null",
    stderr: "null",
  }).spawn();
  Deno.env.set("DENO_KV_ACCESS_TOKEN", TOKEN);
  const url = `http://${address}`;
  for (let tries = 0;; tries++) {
    try {
      await (await fetch(url)).body?.cancel();
      break;
    } catch (error) {
      if (tries === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return {
    url,
    async [Symbol.asyncDispose](): Promise<void> {
      server.kill("SIGKILL");
      await server.status;
      await Deno.remove(folder, { recursive: true });
    },
  };
}
