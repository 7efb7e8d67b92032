/** Starts functions as `deno serve` does it. */

import { pathOf, Service } from "./service_process.ts";

/** Which function, and on what. */
export interface FunctionOptions {
  /** The file of its code. @default {the one of `examples/deploy`} */
  readonly program?: string;
  /** The file of its database. Without one it is in memory, and the function may touch nothing at all. */
  readonly file?: string;
}

/** Starts a function on a free port. */
export async function startFunction(folder: string, options: FunctionOptions = {}): Promise<Service> {
  const { program = pathOf("examples/deploy/main.ts"), file } = options;
  const permissions = file === undefined ? [] : [`--allow-read=${file}`, `--allow-write=${file}`];
  return await Service.start({
    args: ["serve", "--unstable-cron", "--host=127.0.0.1", "--port=0", ...permissions, program],
    cwd: folder,
    env: file === undefined ? { DENO_KV_DB_MODE: "memory" } : { DENO_KV_DEFAULT_PATH: file },
  });
}
